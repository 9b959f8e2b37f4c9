"""Several seeds: one run each, and what is said of them together."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.errors import UserError
from qlearn.runs.seeds import interquartile_mean, summary, train_seeds


def test_the_interquartile_mean_is_the_middle_halfs():
    assert interquartile_mean([100.0, 1.0, 2.0, -50.0]) == 1.5
    assert interquartile_mean(range(100)) == 49.5
    assert interquartile_mean([7.0]) == 7.0
    assert interquartile_mean([1.0, 3.0]) == 2.0
    # Of five, 1.25 fall away at either end: three quarters of the second and the fourth stay.
    assert interquartile_mean([0.0, 1.0, 2.0, 4.0, 99.0]) == pytest.approx((0.75 + 2 + 3) / 2.5)


def test_the_interquartile_mean_is_scipys_where_quarters_are_whole():
    from scipy.stats import trim_mean

    scores = np.random.default_rng(0).normal(size=40)
    assert interquartile_mean(scores.tolist()) == pytest.approx(trim_mean(scores, 0.25))


def test_the_interval_holds_the_mean_and_narrows_with_more_scores():
    chance = np.random.default_rng(1)
    widths = []
    for n in (8, 200):
        found = summary(chance.normal(size=n).tolist())
        assert found["low"] <= found["iqm"] <= found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0] / 2
    assert summary([5.0] * 4) == {"mean": 5, "median": 5, "iqm": 5, "low": 5, "high": 5}


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    chance = np.random.default_rng(2)
    held = [
        found["low"] <= 0.0 <= found["high"]
        for found in (summary(chance.normal(size=30).tolist()) for _ in range(60))
    ]
    assert 50 <= sum(held) <= 60


def test_a_run_for_every_seed(tmp_path):
    found = train_seeds("grid", 3, seed=4, out=tmp_path / "many", steps=600, engine="dict")
    assert [one["seed"] for one in found["runs"]] == [4, 5, 6]
    assert [one["run"] for one in found["runs"]] == [
        str(tmp_path / "many" / f"seed-{seed}") for seed in (4, 5, 6)
    ]
    means = [one["eval"]["mean"] for one in found["runs"]]
    assert found["summary"]["mean"] == pytest.approx(np.mean(means))
    assert found["summary"]["median"] == np.median(means)


def test_no_seed_is_no_training():
    with pytest.raises(UserError, match="seeds must be at least 1, not 0"):
        train_seeds("grid", 0)
