"""What is said of words that do not suit, and that it comes true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from finite_problems import random_model, random_problem

from qlearn.algorithms.table.exact import solve
from qlearn.hardware.error import distance_to_optimum, updates_until_optimal
from qlearn.hardware.fast import FastRing
from qlearn.hardware.generate import design_of, manifest
from qlearn.hardware.problem import problem_of, tabulated, words
from qlearn.hardware.rest import rest_of, update_of
from qlearn.hardware.warnings import warnings
from qlearn.hardware.word import Word

Q88 = Word("Q8.8")
BY_RULE = ("half_up", "even", "floor")


def said(problem, alpha=0.5, gamma=0.9, rounding="half_up"):
    return "\n".join(warnings(problem, problem.word, alpha, gamma, rounding))


def test_nothing_is_said_where_all_is_well():
    assert said(problem_of("grid", Q88)) == ""


def test_small_and_large_rewards_are_told():
    small = problem_of("grid", Q88, {"step_reward": -0.001})
    assert "rewards as small as 0.001 are 0 in Q8.8" in said(small)
    large = problem_of("grid", Q88, {"hole_reward": -200.0})
    assert "rewards as large as 200 are cut to" in said(large)


def test_saturation_is_told_with_what_the_optimum_needs():
    problem = problem_of("grid", Word("Q4.12"))
    assert "values can saturate: rewards as large as 5" in said(problem)
    assert "reach 5.95, which fit" in said(problem)
    assert "which do not fit" in said(problem_of("grid", Word("Q3.13")))
    assert "saturate" not in said(problem, gamma=0.3)  # 5 < 8 (1 - 0.3)


def test_differences_below_a_unit_are_told():
    problem = problem_of("gym:FrozenLake-v1", Q88)
    assert "less than a unit" in said(problem, alpha=0.01, gamma=0.9)
    assert "less than a unit" not in said(problem_of("grid", Q88), alpha=0.5)
    assert "less than half a unit" in said(problem_of("grid", Q88), alpha=0.001)


def test_chances_and_starts_that_never_come_are_told():
    model = random_model(2, outcomes=2)
    model.chance[0, 0] = [1.0 - 1e-6, 1e-6]
    start = np.zeros(20)
    start[:3] = [0.998, 0.001, 0.001]
    text = said(tabulated(replace(model, start=start), Q88, name="rare"))
    assert "outcomes as likely as 1e-06 never happen" in text
    assert "2 of 3 starts are never drawn" in text


# ------------------------------------------------------------------------------- what rounding does


@pytest.mark.parametrize("rounding", BY_RULE)
@pytest.mark.parametrize("word", ["Q8.8", "Q6.2", "Q3.5"])
def test_tables_end_where_it_is_said(word, rounding):
    """Whatever is visited in whichever order; Q3.5 saturates."""
    met = set()
    for seed in range(4):
        problem = random_problem(seed, word)
        ring = FastRing(problem, problem.word, rounding, 0.5, 0.75, 1.0, seed, agents=14)
        ring.advance(1_000_000)
        late = ring.run(100_000)
        seen = np.zeros((14, problem.states), bool)  # again and again, by this agent
        seen[late.agent, late.state] = True
        rest = rest_of(problem, rounding, 0.5, 0.75)
        assert rest is not None
        assert (rest.lowest <= ring.table)[seen].all()
        assert (ring.table <= rest.highest)[seen].all()
        greedy = np.take_along_axis(rest.greedy()[None], ring.table.argmax(2)[..., None], 2)
        assert greedy[seen].all()
        update = update_of(problem, rounding, 0.5, 0.75)
        np.testing.assert_array_equal(update(rest.lowest), rest.lowest)
        np.testing.assert_array_equal(update(rest.highest), rest.highest)
        met |= set(rest.highest.ravel().tolist())
    assert len(met) > 10


def test_where_tables_rest_is_not_told_of_chance():
    assert rest_of(random_problem(1, outcomes=2), "floor", 0.5, 0.9) is None
    assert rest_of(random_problem(1), "stochastic", 0.5, 0.9) is None


@pytest.mark.parametrize(
    ("word", "rounding", "words"),
    [
        ("Q12.4", "floor", "tables come to rest where the greedy policy is not optimal"),
        ("Q12.4", "half_up", "tables may come to rest where"),
        ("Q12.4", "stochastic", ""),
        ("Q8.8", "floor", ""),
    ],
)
def test_a_policy_that_never_becomes_optimal_is_told(word, rounding, words):
    design = design_of("grid", word, rounding=rounding)
    told = "\n".join(manifest(design)["warnings"])
    assert words in told
    assert bool(words) == bool(told)
    ring = design.ring(fast=True)
    found = updates_until_optimal(ring, design.gamma, 300_000)
    assert (found is None) == ("tables come to rest" in told)


def test_values_that_were_learned_before_sink_but_do_not_have_to_rise():
    problem = problem_of("grid", Word("Q12.4"))
    learned = words(solve(problem.model, 0.9).table, problem.word)
    assert "tables come to rest" in said(problem, rounding="floor")
    assert "tables come to rest" not in said(replace(problem, initial=learned), rounding="floor")


def test_a_word_that_holds_no_value_of_the_problem():
    told = said(problem_of("gym:CliffWalking-v1", Word("Q4.12")), gamma=0.99)
    assert "tables come to rest" in told
    assert "nor beyond 7.99976" in told


def test_floor_takes_half_a_unit_of_every_update_where_chance_decides():
    lake = problem_of("gym:FrozenLake-v1", Q88)
    assert "as if every reward were 0.0312 less" in said(lake, 1 / 16, 0.99, "floor")
    assert "as if every reward" not in said(lake, 1 / 16, 0.99, "half_up")
    finer = problem_of("gym:FrozenLake-v1", Word("Q4.12"))
    assert "as if every reward" not in said(finer, 1 / 16, 0.99, "floor")
    optimal = {}
    for problem in (lake, finer):
        ring = FastRing(problem, problem.word, "floor", 1 / 16, 0.99, 0.3, agents=32)
        ring.advance(3_000_000)
        optimal[problem.word.name] = distance_to_optimum(problem, 0.95, ring.table).optimal_policies
    assert optimal["Q8.8"] == 0 < optimal["Q4.12"]


def test_rounding_by_chance_has_noise_and_no_border():
    lake = problem_of("gym:FrozenLake-v1", Q88)
    assert "less than a unit" in said(lake, 1 / 16, 0.99)
    assert said(lake, 1 / 16, 0.99, "stochastic") == ""
    coarse = problem_of("gym:FrozenLake-v1", Word("Q12.4"))
    assert "noise of rounding by chance" in said(coarse, 1 / 16, 0.99, "stochastic")
