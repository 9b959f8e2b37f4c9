from __future__ import annotations

import numpy as np
import pytest
from finite_problems import random_model, random_problem

import qlearn
from qlearn.envs.model import Model
from qlearn.errors import UserError
from qlearn.hardware.problem import CERTAIN, problem_of, start_list, tabulated
from qlearn.hardware.word import Word
from qlearn.runs.folder import RunFolder

Q88 = Word("Q8.8")


@pytest.mark.parametrize(
    ("target", "options", "shape", "starts"),
    [
        ("grid", {}, (25, 4, 1), 1),
        ("grid", {"slip": 0.2}, (25, 4, 3), 1),
        ("grid", {"random_start": True}, (25, 4, 1), 20),
        ("gym:FrozenLake-v1", {}, (16, 4, 3), 1),
        ("gym:FrozenLake-v1", {"is_slippery": False}, (16, 4, 1), 1),
        ("gym:Taxi-v4", {}, (500, 6, 1), 300),
        ("gym:CliffWalking-v1", {}, (48, 4, 1), 1),
    ],
)
def test_environments_become_tables(target, options, shape, starts):
    problem = problem_of(target, Q88, options)
    assert problem.to.shape == shape
    assert len(problem.starts) == starts
    assert (problem.threshold[:, :, -1] == CERTAIN).all()
    assert (np.diff(problem.threshold, axis=2, prepend=0) >= 0).all()
    assert problem.chance_difference < 2e-5
    assert problem.start_difference < 2e-5
    np.testing.assert_array_equal(problem.reward, problem.model.reward * 256)


def test_a_map_becomes_a_table(tmp_path):
    map_file = tmp_path / "maze.txt"
    map_file.write_text("S.#\n..O\n..G\n")
    problem = problem_of(str(map_file), Q88, {})
    assert problem.to.shape == (9, 4, 1)
    assert problem.starts.tolist() == [0]
    assert problem.alpha == 1.0  # a map without chance learns at once
    assert problem.reward.max() == 256


def test_what_chance_decides_is_learned_more_slowly():
    assert problem_of("grid", Q88).alpha == 0.5
    assert problem_of("grid", Q88, {"slip": 0.2}).alpha == 1 / 16
    assert problem_of("gym:FrozenLake-v1", Q88).alpha == 1 / 16


def test_thresholds_are_chances_summed_up():
    model = random_model(0, states=2, actions=1, outcomes=4)
    model.chance[0, 0] = [0.25, 0.0, 0.5, 0.25]
    model.chance[1, 0] = [1.0, 0.0, 0.0, 0.0]
    problem = tabulated(model, Q88, name="chances")
    assert problem.threshold[0, 0].tolist() == [16384, 16384, 49152, 65536]
    assert problem.threshold[1, 0].tolist() == [65536] * 4
    np.testing.assert_array_equal(problem.chance, model.chance)
    model.chance[0, 0] = [0.5, 0.0, 0.0, 0.49999]  # near enough to 1 for Gymnasium's tables
    problem = tabulated(model, Q88, name="chances")
    assert problem.threshold[0, 0].tolist() == [32768, 32768, 32768, 65536]


def test_starts_are_drawn_as_often_as_the_model_says():
    def repeats(*chances):
        return np.bincount(start_list("it", np.array(chances)), minlength=len(chances)).tolist()

    assert repeats(1.0) == [1]
    assert repeats(0.0, 0.5, 0.0, 0.5) == [0, 1, 0, 1]
    assert repeats(0.75, 0.25) == [3, 1]
    assert repeats(0.6, 0.3, 0.1) == [6, 3, 1]
    assert sum(repeats(0.123, 0.321, 0.556)) <= 64
    problem = random_problem(1, starts=9)
    assert len(problem.starts) <= 64
    assert problem.start_difference <= 1 / 64
    assert set(problem.starts) <= set(np.flatnonzero(problem.model.start))


def test_a_trained_table_gives_its_values(tmp_path):
    run = qlearn.train(
        "grid", algo="table", engine="dict", steps=2000, seed=1, out=tmp_path / "run"
    )
    problem = problem_of(str(tmp_path / "run"), Q88)
    values = run.learner().values()
    assert np.abs(values).max() > 1.0
    assert np.abs(problem.initial / 256 - values).max() <= 1 / 512
    assert (problem.states, problem.actions, problem.target) == (25, 4, "grid")
    with pytest.raises(UserError, match="is a run"):
        problem_of(str(tmp_path / "run"), Q88, {"slip": 0.1})


def empty(states: int, actions: int, outcomes: int = 1) -> Model:
    shape = (states, actions, outcomes)
    start = np.zeros(states)
    start[:1] = 1.0
    return Model(
        np.zeros(shape, int),
        np.ones(shape) / outcomes,
        np.zeros(shape),
        np.ones(shape, bool),
        start,
    )


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((4097, 2), "4,097 states; a circuit is made for 1 to 4,096"),
        ((3, 0), "0 actions; a circuit is made for 1 to 16"),
        ((3, 17), "17 actions"),
        ((3, 2, 17), "17 outcomes"),
    ],
)
def test_what_no_circuit_holds_is_refused_in_a_line(sizes, words):
    with pytest.raises(UserError, match=words) as error:
        tabulated(empty(*sizes), Q88, name="it")
    assert "\n" not in str(error.value)


def test_too_many_starts_are_refused():
    with pytest.raises(UserError, match="starts in 2,000 states"):
        start_list("it", np.full(2000, 1 / 2000))


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("cartpole", {}, "publishes no model"),
        ("snake", {}, "publishes no model"),
        ("gym:Blackjack-v1", {}, "publishes no model"),
        ("gird", {}, "did you mean 'grid'"),
        ("grid", {"slip": 2}, "between 0 and 1"),
        ("nowhere.txt", {}, "cannot read the map"),
    ],
)
def test_targets_without_tables_are_refused(target, options, words):
    with pytest.raises(UserError, match=words) as error:
        problem_of(target, Q88, options)
    assert "\n" not in str(error.value)


def test_a_replaced_reward_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def paid(before, action, after, reward, terminated):\n    return 0.0\n")
    with pytest.raises(UserError, match=r"leave env\.reward"):
        problem_of("grid", Q88, {"reward": f"{file}:paid"})


def test_a_network_is_no_table(tmp_path):
    qlearn.train("grid", algo="table", engine="dict", steps=10, out=tmp_path / "net")
    RunFolder.open(tmp_path / "net").update(algo="dqn")
    with pytest.raises(UserError, match="learned by dqn"):
        problem_of(str(tmp_path / "net"), Q88)
