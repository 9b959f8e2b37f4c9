from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from finite_problems import random_problem

from qlearn.errors import UserError
from qlearn.hardware.error import (
    bound,
    distance,
    distance_to_optimum,
    updates_until_optimal,
)
from qlearn.hardware.fast import FastRing
from qlearn.hardware.generate import design_of
from qlearn.hardware.problem import problem_of
from qlearn.hardware.word import ROUNDINGS, Word

ALPHA, GAMMA = 0.3, 0.85


def ring_of(problem, rounding="half_up", **more):
    settings = {"alpha": ALPHA, "gamma": GAMMA, "epsilon": 0.4, "agents": 14, "seed": 3} | more
    return FastRing(problem, problem.word, rounding, **settings)


@pytest.mark.parametrize("word", ["Q8.8", "Q8.4", "Q6.12", "Q16.16"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_stays_within_the_bound(rounding, word):
    for seed in range(5):
        problem = random_problem(seed, word, outcomes=1 + seed % 3, actions=3 + seed)
        ring = ring_of(problem, rounding)
        trace = ring.run(20_000)
        found = distance(problem, rounding, ALPHA, GAMMA, trace, ring.table)
        assert found.within_limits
        assert 0.0 < found.mean_error <= found.max_error <= found.bound


def test_the_bound_by_hand():
    """With coefficients and rewards that are exact, only the rounding itself is left."""
    problem = problem_of("grid", Word("Q8.8"))
    half_a_unit = 2**-9 / (0.5 * (1 - 0.5))
    assert bound(problem, problem.word, "half_up", 0.5, 0.5) == pytest.approx(half_a_unit)
    assert bound(problem, problem.word, "even", 0.5, 0.5) == pytest.approx(half_a_unit)
    assert bound(problem, problem.word, "floor", 0.5, 0.5) == pytest.approx(2 * half_a_unit)
    assert bound(problem, problem.word, "stochastic", 0.5, 0.5) == pytest.approx(2 * half_a_unit)
    assert bound(problem, problem.word, "even", 0.5, 1.0) == np.inf


def test_the_bound_with_coefficients_that_are_not_exact():
    """0.3 is 39322 units of 2^-17 (0.4 too many), 0.3 x 0.85 is 33424 (0.64 too many)."""
    problem = problem_of("grid", Word("Q8.8"))  # rewards -5, -1, 1: exact
    one, u = 2**17, 2**-9
    largest = (39322 / one * 5 + u) / ((39322 - 33424) / one)
    each = u + 0.4 / one * largest + 0.64 / one * largest + 0.4 / one * 5
    assert bound(problem, problem.word, "half_up", 0.3, 0.85) == pytest.approx(each / (0.3 * 0.15))


def test_the_bound_is_nearly_met():
    """Values that rise from 0 stop where an update's share is rounded away: no idle figure."""
    problem = problem_of("grid", Word("Q9.2"), {"step_reward": 1.0})
    found = {}
    for rounding in ROUNDINGS:
        ring = ring_of(problem, rounding, alpha=0.25, gamma=0.75)
        trace = ring.run(400_000)
        found[rounding] = distance(problem, rounding, 0.25, 0.75, trace, ring.table)
        assert found[rounding].max_error <= found[rounding].bound
    for rounding in ("half_up", "even", "floor"):
        assert found[rounding].max_error > 0.85 * found[rounding].bound
    assert found["floor"].max_error > found["even"].bound
    assert found["stochastic"].max_error < 0.5 * found["even"].max_error  # it does not stop


def test_a_wrong_table_is_found_out():
    problem = problem_of("grid", Word("Q8.8"))
    ring = ring_of(problem)
    trace = ring.run(5000)
    table = ring.table.copy()
    table[2, 3, 1] += 60
    found = distance(problem, "half_up", ALPHA, GAMMA, trace, table)
    assert found.max_error > found.bound


def test_no_bound_where_real_values_leave_the_word():
    problem = random_problem(1, "Q3.6", scale=10.0)
    ring = ring_of(problem)
    found = distance(problem, "half_up", ALPHA, GAMMA, ring.run(5000), ring.table)
    assert not found.within_limits
    assert found.bound == np.inf


def test_initial_values_are_where_both_begin():
    design = design_of("grid", alpha=0.5)
    learned = ring_of(design.problem).table[0]
    learned[:] = np.random.default_rng(0).integers(-900, 900, learned.shape)
    problem = replace(design.problem, initial=learned)
    ring = ring_of(problem)
    np.testing.assert_array_equal(ring.table[5], learned)
    found = distance(problem, "half_up", ALPHA, GAMMA, ring.run(5000), ring.table)
    assert found.max_error <= found.bound


def test_a_trace_of_another_problem_is_refused():
    problem, other = random_problem(1), random_problem(2)
    ring = ring_of(other)
    with pytest.raises(UserError, match="cannot do"):
        distance(problem, "half_up", ALPHA, GAMMA, ring.run(500), ring.table)


@pytest.mark.parametrize("rounding", ["half_up", "even", "stochastic"])
@pytest.mark.parametrize("target", ["grid", "gym:CliffWalking-v1"])
def test_policies_become_optimal(target, rounding):
    design = design_of(target, rounding=rounding)
    ring = design.ring(fast=True)
    updates = updates_until_optimal(ring, design.gamma, 2_000_000)
    assert updates is not None
    assert updates >= 14 * 25
    found = distance_to_optimum(design.problem, design.gamma, ring.table)
    assert found.optimal_policies == found.agents == design.agents


def test_policies_of_maps_become_optimal(tmp_path):
    map_file = tmp_path / "maze.txt"
    map_file.write_text("S..O...\n.#.....\n..O.#..\n....#.O\n.O.....\n...O#..\n..#...G\n")
    for word in ("Q8.8", "Q16.16"):
        design = design_of(str(map_file), word=word)
        ring = design.ring(fast=True)
        assert updates_until_optimal(ring, design.gamma, 5_000_000) is not None


def test_taxi_becomes_optimal():
    design = design_of("gym:Taxi-v4")
    ring = design.ring(fast=True)
    assert updates_until_optimal(ring, design.gamma, 20_000_000, every=2_000_000) is not None


def test_what_learned_nothing_is_not_optimal():
    design = design_of("grid")
    ring = design.ring()
    assert distance_to_optimum(design.problem, 0.9, ring.table).optimal_policies == 0
    assert updates_until_optimal(design.ring(fast=True), 0.9, 100) is None
