"""Groups over their seeds, in the middle of which the interquartile mean stands."""

from __future__ import annotations

import csv as csv_module
import io
import random

import numpy as np
import pytest
from sites import judged, row, write_run

from qlearn.dashboard.compare import _cell, compare, csv, interval, iqm
from qlearn.dashboard.store import Store
from qlearn.runs.seeds import interquartile_mean


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 11, 40])
def test_the_middle_is_that_of_train_seeds(count):
    scores = [random.Random(count).gauss(0, 1) for _ in range(count)]
    assert iqm(np.array(scores)[:, None])[0] == pytest.approx(interquartile_mean(scores))


def test_an_interval_holds_its_middle_and_shrinks_with_more_seeds():
    chance = np.random.default_rng(1)
    few, many = chance.normal(5.0, 1.0, (5, 1)), chance.normal(5.0, 1.0, (100, 1))
    widths = []
    for values in (few, many):
        low, high = interval([values], 1000)
        assert low[0] <= iqm(values)[0] <= high[0]
        widths.append(high[0] - low[0])
    assert widths[1] < 0.5 * widths[0]


def test_seeds_are_drawn_within_their_own_environment():
    """Without strata the share of each environment would vary, and with it the middle."""
    low, high = interval([np.zeros((6, 1)), np.ones((6, 1))], 500)
    assert low == high == pytest.approx(0.5)
    low, high = interval([np.repeat([[0.0], [1.0]], 6, axis=0)], 500)
    assert low < 0.4 < 0.6 < high


def test_groups_differ_by_anything_but_the_seed(home):
    for seed in range(2):
        write_run(home, f"a{seed}", [judged(10, 1.0)], seed=seed)
        write_run(home, f"b{seed}", [judged(10, 1.0)], seed=seed, config={"lr": 0.2})
    write_run(home, "c", [judged(10, 1.0)], engine="dict")
    write_run(home, "d", [judged(10, 1.0)], env_options={"slip": 0.2})
    store = Store(home)
    found = compare(store, store.names(), "eval.mean", "env_steps")
    assert sorted(sorted(group["runs"]) for group in found["groups"]) == [
        ["a0", "a1"], ["b0", "b1"], ["c"], ["d"],
    ]  # fmt: skip
    assert found["methods"] == []


def test_a_curve_is_there_where_all_its_runs_are(home):
    write_run(home, "a", [judged(step, 1.0 * step) for step in range(0, 101, 10)], seed=0)
    write_run(home, "b", [judged(step, 3.0 * step) for step in range(50, 201, 10)], seed=1)
    curve = compare(Store(home), ["a", "b"], "eval.mean", "env_steps")["groups"][0]["curve"]
    assert (curve["x"][0], curve["x"][-1]) == (50, 100)
    assert np.allclose(curve["mean"], 2 * curve["x"])
    assert np.allclose(curve["low"], curve["x"])
    assert np.allclose(curve["high"], 3 * curve["x"])


@pytest.mark.parametrize("rows", [[], [row(10)], [judged(10, 4.0)]])
def test_runs_with_little_or_nothing(home, rows):
    write_run(home, "a", rows)
    write_run(home, "b", [judged(99, 6.0)], seed=1)
    found = compare(Store(home), ["a", "b"], "eval.mean", "env_steps")
    assert found["groups"][0]["final"]["scores"][-1] == 6.0
    csv(found)
    assert compare(Store(home), ["a"], "nix", "seconds")["groups"][0]["final"]["iqm"] is None


def test_a_method_over_several_environments(home):
    for env, scores in (("grid", (0.0, 1.0, 0.5)), ("snake", (10.0, 30.0, 20.0))):
        for (algo, seed), score in zip((("table", 0), ("dqn", 0), ("dqn", 1)), scores, strict=True):
            write_run(
                home, f"{env}{algo}{seed}", [judged(10, score)], env_name=env, algo=algo, seed=seed
            )
    store = Store(home)
    found = compare(store, store.names(), "eval.mean", "env_steps")
    methods = {method["label"]: method for method in found["methods"]}
    assert methods["table on numba"]["iqm"] == 0.0
    assert methods["dqn on numba"]["iqm"] == pytest.approx(0.75)
    assert sorted(methods["dqn on numba"]["envs"]) == ["grid", "snake"]
    assert any(group["label"] == "snake, dqn on numba" for group in found["groups"])


def test_a_noisy_metric_ends_in_its_last_tenth(home):
    rows = [row(step, **{"return": 0.0 if step < 90 else step % 2}) for step in range(100)]
    write_run(home, "a", rows)
    found = compare(Store(home), ["a"], "return", "env_steps")
    assert found["groups"][0]["final"]["scores"] == [0.5]


def test_a_name_is_no_formula(home):
    write_run(home, "a", [judged(10, 1.0)], algo='=HYPERLINK("x")\n,', engine="-1+1")
    lines = list(
        csv_module.reader(io.StringIO(csv(compare(Store(home), ["a"], "eval.mean", "seconds"))))
    )
    assert {len(line) for line in lines} == {10}
    assert not any(cell[:1] in tuple("=+@") for line in lines for cell in line)
    assert _cell("-1+1") == "'-1+1"
