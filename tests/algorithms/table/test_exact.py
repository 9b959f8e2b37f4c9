"""The exact solver against policy iteration in dense matrices, and its verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.algorithms.table import exact
from qlearn.envs.model import Model, model_of
from qlearn.envs.registry import find
from qlearn.errors import UserError


def random_model(seed, states=12, actions=3, outcomes=3, ends=0.1, rewards=(-2.0, 2.0)):
    chance = np.random.default_rng(seed)
    shape = (states, actions, outcomes)
    return Model(
        to=chance.integers(states, size=shape),
        chance=chance.dirichlet(np.ones(outcomes), (states, actions)),
        reward=chance.uniform(*rewards, shape),
        ended=chance.random(shape) < ends,
        start=chance.dirichlet(np.ones(states)),
    )


def values_of(model, discount, policy):
    """A policy's values by one dense linear system."""
    matrix = np.eye(model.states)
    earned = np.zeros(model.states)
    for s in range(model.states):
        for k in range(model.to.shape[2]):
            p = model.chance[s, policy[s], k]
            earned[s] += p * model.reward[s, policy[s], k]
            if not model.ended[s, policy[s], k]:
                matrix[s, model.to[s, policy[s], k]] -= discount * p
    return np.linalg.solve(matrix, earned)


def policy_iteration(model, discount):
    policy = np.zeros(model.states, int)
    while True:
        values = values_of(model, discount, policy)
        future = np.where(model.ended, 0.0, discount * values[model.to])
        table = (model.chance * (model.reward + future)).sum(axis=2)
        better = np.where(table.max(axis=1) > table[range(model.states), policy] + 1e-12,
                          table.argmax(axis=1), policy)  # fmt: skip
        if np.array_equal(better, policy):
            return values, table
        policy = better


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("states", [12, 90])  # beyond 64 a compiled sweep does the work
def test_the_optimum_is_policy_iterations(discount, states):
    for seed in range(5):
        model = random_model(seed, states)
        values, table = policy_iteration(model, discount)
        found = exact.solve(model, discount)
        np.testing.assert_allclose(found.values, values, atol=1e-8)
        np.testing.assert_allclose(found.table, table, atol=1e-8)


def test_without_discount_where_every_way_ends():
    for seed in range(5):
        model = random_model(seed)
        model.ended[:, :, 0] = True
        found = exact.solve(model, 1.0)
        np.testing.assert_allclose(found.values, policy_iteration(model, 1.0)[0], atol=1e-7)


def test_without_discount_a_walk_costs_its_length():
    """State 0 .. 3 in a row; left stays or goes back, right moves on, the end pays 10."""
    to = np.array([[[0], [1]], [[0], [2]], [[1], [3]], [[3], [3]]])
    ended = np.zeros_like(to, bool)
    ended[3] = True
    reward = np.full(to.shape, -1.0)
    reward[3] = 10.0
    model = Model(to, np.ones(to.shape), reward, ended, np.array([1.0, 0, 0, 0]))
    assert exact.solve(model, 1.0).values == pytest.approx([7.0, 8.0, 9.0, 10.0])


def test_nothing_is_earned_after_an_end():
    model = random_model(3, ends=2.0)
    expected = (model.chance * model.reward).sum(axis=2)
    np.testing.assert_allclose(exact.solve(model, 0.9).table, expected, atol=1e-12)


def test_a_policy_is_valued_where_it_goes_and_nowhere_else():
    for seed in range(5):
        model = random_model(seed, outcomes=2)
        start = np.zeros(model.states)
        start[4] = 1.0
        model = Model(model.to, model.chance, model.reward, model.ended, start)
        policy = np.random.default_rng(seed).integers(model.actions, size=model.states)
        found = exact.evaluate(model, 0.9, policy)
        reached = exact.reachable(model, policy)
        assert 4 in reached
        assert len(reached) < model.states
        np.testing.assert_allclose(found[reached], values_of(model, 0.9, policy)[reached])
        assert np.isnan(np.delete(found, reached)).all()


def test_impossible_and_ending_outcomes_reach_nothing():
    to = np.array([[[1, 2]], [[3, 3]], [[2, 2]], [[3, 3]]])
    chance = np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]])
    ended = np.zeros(to.shape, bool)
    ended[1] = True
    model = Model(to, chance, np.zeros(to.shape), ended, np.array([1.0, 0, 0, 0]))
    assert exact.reachable(model, np.zeros(4, int)).tolist() == [0, 1]


@pytest.fixture(scope="module")
def grid():
    model = model_of(find("grid"))
    return model, exact.solve(model, 0.9)


def test_the_optimal_table_is_judged_so(grid):
    model, optimum = grid
    verdict = exact.judge(model, 0.9, optimum.table, optimum)
    assert verdict.policy_optimal
    assert verdict.max_error_to_optimum < 1e-12
    # Seven steps to the goal's door, one through it (the classic board's own figures).
    paid = -sum(0.9**k for k in range(8)) + 0.9**8
    assert verdict.policy_value == pytest.approx(paid)
    assert verdict.optimum == pytest.approx(paid)


def test_the_right_way_with_wrong_numbers_is_optimal_with_an_error(grid):
    model, optimum = grid
    verdict = exact.judge(model, 0.9, optimum.table + 0.25, optimum)
    assert verdict.policy_optimal
    assert verdict.max_error_to_optimum == pytest.approx(0.25)


def test_walking_into_a_hole_is_not_optimal(grid):
    model, optimum = grid
    table = optimum.table.copy()
    table[0] = [-9, -1, -9, -9]  # down, where the first hole is
    verdict = exact.judge(model, 0.9, table, optimum)
    assert not verdict.policy_optimal
    assert verdict.policy_value == pytest.approx(-1.0 - 0.9 * 5.0)


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_a_policy_that_never_ends_is_not_optimal(grid, discount, recwarn):
    model, _ = grid
    optimum = exact.solve(model, discount)
    looping = np.zeros_like(optimum.table)  # up for ever, against the border
    verdict = exact.judge(model, discount, looping, optimum)
    assert not verdict.policy_optimal
    assert not recwarn.list


def test_a_policy_that_slips_about_for_ever_is_not_optimal(tmp_path, recwarn):
    """Without discount its equations have no solution; rounding must not give them one."""
    (tmp_path / "shut.txt").write_text("S..#.G\n...#..\n......\n")
    for slip in ("0.1", "0.3", "0.6", "0.7"):
        model = model_of(find(str(tmp_path / "shut.txt"), {"slip": slip}))
        optimum = exact.solve(model, 1.0)
        table = np.zeros((18, 4))
        table[:, 0] = 1.0  # up; slips left and right, never down
        verdict = exact.judge(model, 1.0, table, optimum)
        assert not verdict.policy_optimal
    assert not recwarn.list


def test_without_discount_a_loop_that_earns_nothing_is_worth_nothing():
    to = np.array([[[1], [2]], [[1], [1]], [[2], [2]]])
    reward = np.array([[[5.0], [7.0]], [[0.0], [0.0]], [[1.0], [1.0]]])
    ended = np.zeros(to.shape, bool)
    ended[2] = True
    model = Model(to, np.ones(to.shape), reward, ended, np.array([1.0, 0, 0]))
    assert exact.evaluate(model, 1.0, np.zeros(3, int))[:2].tolist() == [5.0, 0.0]
    assert exact.evaluate(model, 1.0, np.ones(3, int))[[0, 2]].tolist() == [8.0, 1.0]
    assert exact.solve(model, 1.0).values.tolist() == [8.0, 0.0, 1.0]


def test_no_optimum_without_discount_and_end_is_said_in_words(tmp_path):
    (tmp_path / "shut.txt").write_text("S#G\n.#.\n")
    model = model_of(find(str(tmp_path / "shut.txt")))
    with pytest.raises(UserError, match="without discount there is no optimum"):
        exact.solve(model, 1.0)
    assert np.isfinite(exact.solve(model, 0.9).values).all()


def test_within_one_percent_counts_as_optimal():
    to = np.zeros((1, 2, 1), int)
    model = Model(to, np.ones(to.shape), np.array([[[100.0], [99.5]]]), np.ones(to.shape, bool),
                  np.ones(1))  # fmt: skip
    optimum = exact.solve(model, 0.9)
    assert exact.judge(model, 0.9, np.array([[0.0, 1.0]]), optimum).policy_optimal
    model.reward[0, 1] = 98.5
    assert not exact.judge(model, 0.9, np.array([[0.0, 1.0]]), optimum).policy_optimal
