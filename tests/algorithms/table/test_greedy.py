"""Greedy play: whole episodes, endless ones cut off and counted, ours and Gymnasium's alike."""

from __future__ import annotations

import numpy as np
import pytest
from table_learners import learner

from qlearn.algorithms.table import exact
from qlearn.algorithms.table.greedy import Evaluator, policy_of
from qlearn.envs.model import model_of
from qlearn.envs.registry import find


def table_of(states, actions, **best):
    """A table whose greedy action is 0 but where said otherwise."""
    table = np.zeros((states, actions))
    table[:, 0] = 1.0
    for state, action in best.items():
        table[int(state[1:]), action] = 2.0
    return table


def test_ties_go_to_the_lowest_action_for_any_shape_of_observation():
    policy = policy_of(np.array([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]]))
    assert (policy(np.array([0])), policy([1])) == (1, 0)


@pytest.fixture(scope="module")
def on_grid():
    return Evaluator(find("grid"))


def test_a_looping_policy_is_cut_off_and_counted(on_grid):
    found = on_grid(table_of(25, 4), 7, 0, 50).report()  # up for ever
    assert (found["episodes"], found["cut_off"], found["mean_length"]) == (7, 7, 50.0)
    assert found["mean"] == found["max"] == -50.0


def test_an_episode_that_ends_on_the_last_step_allowed_is_not_cut_off(on_grid):
    optimum = exact.solve(model_of(find("grid")), 0.9).table
    assert on_grid(optimum, 3, 0, 9).report()["cut_off"] == 0
    assert on_grid(optimum, 3, 0, 9).mean == -7.0
    assert on_grid(optimum, 3, 0, 8).cut_off == 3


def test_some_loop_and_some_do_not():
    evaluate = Evaluator(find("grid", {"random_start": "true"}))
    down = table_of(25, 4)[:, [3, 0, 1, 2]]
    found = evaluate(down, 300, 1, 40)
    assert 0 < found.cut_off < 300
    assert (found.lengths == 40).sum() == found.cut_off
    assert (found.scores[found.lengths == 40] == -40.0).all()


def test_the_same_seed_plays_the_same_games():
    evaluate = Evaluator(find("grid", {"slip": "0.4"}))
    table = exact.solve(model_of(find("grid")), 0.9).table
    one, same, other = (evaluate(table, 50, seed, 500) for seed in (1, 1, 2))
    assert one.scores.tolist() == same.scores.tolist() != other.scores.tolist()


def test_the_mean_of_greedy_episodes_is_the_policys_exact_value():
    environment = find("grid", {"slip": "0.2"})
    model = model_of(environment)
    table = exact.solve(model, 1.0).table
    value = exact.judge(model, 1.0, table, exact.solve(model, 1.0)).policy_value
    found = Evaluator(environment)(table, 20_000, 0, 100_000)
    assert abs(found.mean - value) < 5 * found.scores.std() / np.sqrt(20_000)
    assert found.cut_off == 0


LAKE = {"native": "false", "is_slippery": "false"}
WAY = {"s0": 1, "s4": 1, "s8": 2, "s9": 1, "s13": 2, "s14": 2}  # down down right down right right


def test_gymnasiums_own_copies_play_as_many_episodes():
    evaluate = Evaluator(find("gym:FrozenLake-v1", LAKE))
    found = evaluate(table_of(16, 4, **WAY), 45, 0, 1000).report()
    assert (found["episodes"], found["mean"], found["mean_length"]) == (45, 1.0, 6.0)
    assert found["cut_off"] == 0


def test_gymnasiums_endless_games_are_cut_off_with_what_they_paid():
    evaluate = Evaluator(find("gym:CliffWalking-v1", {"native": "false"}))
    found = evaluate(table_of(48, 4), 40, 0, 30).report()  # up for ever
    assert (found["episodes"], found["cut_off"]) == (40, 40)
    assert found["min"] == found["max"] == -30.0


def test_long_episodes_count_as_much_as_short_ones():
    """Stopping at the first so many to end would leave the long ones out."""
    native, theirs = ({"success_rate": "0.5", **how} for how in ({}, {"native": "false"}))
    table = exact.solve(model_of(find("gym:FrozenLake-v1", native)), 0.99).table
    ours = Evaluator(find("gym:FrozenLake-v1", native))(table, 4000, 0, 1000)
    gyms = Evaluator(find("gym:FrozenLake-v1", theirs))(table, 400, 0, 1000)
    wide = 4 * np.sqrt(ours.lengths.var() / 400)
    assert abs(ours.lengths.mean() - gyms.lengths.mean()) < wide


def test_learners_act_as_their_table_says():
    one = learner("numba")
    one.advance(20_000)
    best = one.values().argmax(axis=1)
    assert [one.policy()(np.array([s])) for s in range(25)] == best.tolist()
