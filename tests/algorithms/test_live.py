"""Knobs of a learner: turned while it learns, it goes on as one that was made so would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qlearn.algorithms import registry
from qlearn.envs.registry import find
from qlearn.errors import UserError

PQN = {"envs": 4, "rollout": 16, "minibatch": 64, "epochs": 1, "hidden": "16", "steps": 4000}
DQN = {
    "envs": 4, "every": "8", "start": 50, "replay": 500, "hidden": "16", "batch": 16, "steps": 4000,
    "prioritized": True,
}  # fmt: skip
TABLE = {"lr": "0.5->0.1", "steps": 4000}
TURNED = {"epsilon": 0.9, "lr": "0.01->0.001", "discount": 0.5}
OF_PQN = {**TURNED, "restless": 0.1, "epochs": 2, "minibatch": 32}
OF_DQN = {**TURNED, "restless": 0.1, "every": "16", "tau": 0.5, "target_every": 3, "batch": 24}
CASES = {
    "dict": ("grid", "table", "dict", TABLE, TURNED),
    "numba": ("grid", "table", "numba", TABLE, TURNED),
    "numba, not tabulated": ("gym:FrozenLake-v1", "table", "numba", TABLE, TURNED),
    "numba by visits": ("grid", "table", "numba", {"steps": 4000}, TURNED),
    "numpy": ("grid", "table", "numpy", {**TABLE, "envs": 4, "rule": "sarsa"}, TURNED),
    "torch": ("grid", "table", "torch", {**TABLE, "envs": 4}, TURNED),
    "pqn": ("cartpole", "pqn", "fused", PQN, OF_PQN),
    "pqn on torch": ("cartpole", "pqn", "torch", PQN, OF_PQN),
    "dqn": ("cartpole", "dqn", "fused", DQN, OF_DQN),
    "dqn on torch": ("cartpole", "dqn", "torch", DQN, OF_DQN),
}


def made(case, **others):
    env, algo, engine, settings, _ = CASES[case]
    if engine == "torch":
        pytest.importorskip("torch")
    environment = find(env)
    config = registry.configure(algo, {**settings, **others}, environment, engine)
    return registry.make_learner(algo, engine, environment, config, 3)


def state_of(learner):
    return {name: np.array(array) for name, array in learner.get_state().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_turned_it_learns_as_one_made_so(case):
    turned = CASES[case][-1]
    learner, other = made(case), made(case)
    learner.advance(300)
    learner.figures()  # sums of updates of another size would be told apart by rounding
    state = state_of(learner)
    other.set_state(state)
    learner.retune(turned)
    assert learner.figures()["epsilon"] == 0.9
    if "visits" in state and state["visits"].size:  # whose arrays a learner made so has not
        expected = other
        expected.retune(turned)
    else:
        expected = made(case, **turned)
        expected.set_state(state)
        other.advance(700)
    expected.figures()
    np.testing.assert_array_equal(learner.advance(700), expected.advance(700))
    assert_same(state_of(learner), state_of(expected))
    if other is not expected:  # and not as one that was not turned
        ours, theirs = state_of(learner), state_of(other)
        assert any((ours[name] != theirs[name]).any() for name in ours)


@pytest.mark.parametrize("case", ["numba", "pqn", "dqn"])
def test_what_is_live_is_said_with_its_limits(case):
    learner = made(case)
    live = learner.live()
    assert set(live) == set(CASES[case][-1]) | ({"updates"} if case == "dqn" else set())
    assert live["discount"] == {
        "value": 0.998 if case == "pqn" else learner.plan.discount,  # of pqn it may be a schedule
        "kind": "schedule" if case == "pqn" else "number", "low": 0.0, "high": 1.0,
    }  # fmt: skip
    assert live["epsilon"]["value"] == learner.config.epsilon
    learner.retune({"epsilon": "0.5->0.1"})
    assert learner.live()["epsilon"]["value"] == "0.5->0.1"


REFUSED = [
    ("numba", {"epsilon": 1.5}, "epsilon must be between 0 and 1, not 1.5"),
    ("numba", {"epsilon": "soon"}, "epsilon: 'soon' is no number and no schedule"),
    ("numba", {"lr": "visits:1@0.6"}, "lr: a rate by visits needs them counted from the first"),
    ("numba", {"discount": "high"}, "discount must be a number, not 'high'"),
    ("numba", {"steps": 9}, "steps cannot change while it learns; known: discount, epsilon, lr"),
    ("numba", {"epsilom": 0.1}, "there is no setting 'epsilom'; did you mean 'epsilon'"),
    ("pqn", {"discount": "0.9->1.5"}, "discount must be between 0 and 1, not 1.5"),
    ("dqn", {"discount": "0.9->0.99"}, "discount must be a number, not '0.9->0.99'"),
    ("pqn", {"minibatch": 48}, "a minibatch of 48 does not divide"),
    ("pqn", {"epochs": 0}, "epochs must be between 1 and 32, not 0"),
    ("dqn", {"batch": 10**9}, "batch must be between 1 and 4096"),
    ("dqn", {"batch": 1.5}, "batch must be a whole number, not 1.5"),
    ("dqn", {"tau": 0}, "tau must be above 0"),
    ("dqn", {"every": "often"}, "every is a number of steps or 'episode'"),
    ("dqn", {"discount": 2.0, "epsilon": 0.5}, "discount must be between 0 and 1, not 2"),
]


@pytest.mark.parametrize(("case", "changes", "message"), REFUSED, ids=str)
def test_the_impossible_is_refused_and_changes_nothing(case, changes, message):
    learner = made(case)
    config, plan = learner.config, learner.plan
    with pytest.raises(UserError, match=message) as caught:
        learner.retune(changes)
    assert "\n" not in str(caught.value)
    assert (learner.config, learner.plan) == (config, plan)
    assert dataclasses.asdict(learner.config) == dataclasses.asdict(config)


@pytest.mark.parametrize("case", ["dqn", "dqn on torch"])
def test_another_rate_of_updates_counts_from_then_on_and_is_saved(case):
    learner = made(case, updates=0.25)
    learner.advance(1000)
    before, done = learner.updates, learner.env_steps
    learner.retune({"updates": 1.0})
    learner.retune({"epsilon": 0.2})  # which must not settle the bill again
    learner.advance(1200)
    assert learner.updates - before == pytest.approx(learner.env_steps - done, abs=9)
    other = made(case, updates=0.25)
    other.retune({"updates": 1.0, "epsilon": 0.2})
    other.set_state(state_of(learner))
    for one in (learner, other):
        one.advance(1400)
    assert_same(state_of(learner), state_of(other))
    learner.retune({"updates": 0.0})
    before = learner.updates
    learner.advance(1600)
    assert learner.updates == before
    assert "credit" not in made(case).get_state()


@pytest.mark.parametrize("algo", ["pqn", "dqn"])
def test_after_it_the_engines_agree_as_before(algo):
    quick, readable = made(algo), made(f"{algo} on torch")
    quick.advance(512)
    readable.set_state(state_of(quick))
    for learner in (quick, readable):
        learner.retune(CASES[algo][-1])
    np.testing.assert_array_equal(quick.advance(576), readable.advance(576))
    ours, theirs = state_of(quick), state_of(readable)
    assert ours.keys() == theirs.keys()
    assert quick.updates == readable.updates
    for name in ("params", "average"):
        away = np.linalg.norm(ours[name] - theirs[name]) / np.linalg.norm(ours[name])
        assert away < 1e-4, name
    figures = readable.figures()
    for name, value in quick.figures().items():
        assert figures[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
