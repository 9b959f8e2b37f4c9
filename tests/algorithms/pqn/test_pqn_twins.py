"""The fused engine beside the readable one: from a common state the same numbers, and back."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.algorithms import registry
from qlearn.algorithms.pqn import fused
from qlearn.envs.registry import find
from qlearn.errors import UserError

pytest.importorskip("torch")

SMALL = {
    "envs": 8,
    "rollout": 16,
    "epochs": 1,
    "minibatch": 128,
    "overtime": 1.0,
}  # one update a rollout
GAMES = {
    "cartpole": ("cartpole", {"max_steps": 13}),  # the pole falls, and time runs out
    "grid": ("grid", {"max_steps": 9}),  # states, one input each
}
SETTINGS = {
    "defaults": {},
    "radam": {"optimiser": "radam", "activation": "tanh", "hidden": "30x17", "clip": 0.1},
    "plain": {"layer_norm": False, "hidden": "33", "clip": 0.0, "average": 0.0, "lambda_": 0.5},
    "selu": {"activation": "selu", "scale_inputs": False, "overtime": 1.5, "explorers": 0.5},
    "cut": {"cut": True, "epsilon": 0.4, "lambda_": 0.9},
    "discount": {"discount": "0.5->0.9@400", "lambda_": 0.9},
    "margin": {"margin": 0.02, "daring": 0.2, "epsilon": 0.5, "lambda_": 0.5},
}


def learners(game, settings, seed=3):
    environment = find(*GAMES.get(game, (game, {})))
    config = registry.configure("pqn", {**SMALL, **settings}, environment, "fused")
    return tuple(
        registry.make_learner("pqn", engine, environment, config, seed)
        for engine in ("fused", "torch")
    )


def off(found, expected):
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return np.linalg.norm(found - expected) / max(1e-12, np.linalg.norm(expected))


def check_networks(architecture, ours, theirs, share):
    for name in ("params", "average", "first_moment", "second_moment"):
        parts = architecture.views(theirs[name])
        for part, expected in architecture.views(ours[name]).items():
            assert off(parts[part], expected) <= share, (name, part)


def check_the_rest(ours, theirs):
    assert set(ours) == set(theirs)
    for name in set(ours) - {"params", "average", "first_moment", "second_moment"}:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(theirs[name], ours[name])


def check_rollouts(quick, readable):
    theirs = readable.rollout
    for name in ("actions", "strays", "terminated", "truncated", "valid"):
        found = getattr(theirs, name).ravel()
        np.testing.assert_array_equal(found, getattr(quick.buffers, name), err_msg=name)
    for name in ("rewards", "targets"):
        found = getattr(theirs, name).ravel()
        np.testing.assert_allclose(found, getattr(quick.buffers, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("game", GAMES)
def test_one_update_from_a_common_state(game, settings):
    quick, readable = learners(game, SETTINGS[settings])
    ends = np.zeros(2, int)
    for rollouts in (0, 1, 12):  # played by the fused engine before
        quick.advance(quick.env_steps + rollouts * 128)
        state = quick.get_state()
        readable.set_state(state)
        for name, array in readable.get_state().items():
            np.testing.assert_array_equal(array, state[name], err_msg=name)
            assert array.dtype == state[name].dtype
        returns = quick.advance(quick.env_steps + 1)
        np.testing.assert_array_equal(readable.advance(readable.env_steps + 1), returns)
        check_rollouts(quick, readable)
        ours, theirs = quick.get_state(), readable.get_state()
        check_networks(quick.architecture, ours, theirs, 1e-6)
        check_the_rest(ours, theirs)
        ends += quick.buffers.terminated.sum(), quick.buffers.truncated.sum()
        figures = readable.figures()
        for name, value in quick.figures().items():
            assert figures[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert (ends > 0).all()  # both kinds of end were among them


def expected_return(readable, k, i):
    """Forwards, as it is defined: to an end, to the rollout's end, or to a random action."""
    now, lambda_ = readable.rollout, readable.config.lambda_
    reward, discount = float(now.rewards[k, i]), readable.discount
    if now.terminated[k, i]:
        return reward
    if now.truncated[k, i]:
        return reward + discount * now.last_values[k, i]
    value = now.values[k + 1, i]
    if k + 1 == len(now.rewards) or (readable.config.cut and now.strays[k + 1, i]):
        return reward + discount * value
    ahead = expected_return(readable, k + 1, i)
    return reward + discount * ((1.0 - lambda_) * value + lambda_ * ahead)


@pytest.mark.parametrize("cut", [False, True])
def test_a_return_looks_past_a_random_action_or_ends_there(cut):
    _, readable = learners("cartpole", {"cut": cut, "epsilon": 0.4, "lambda_": 0.9})
    readable.advance(3 * 128)
    now = readable.rollout
    expected = [[expected_return(readable, k, i) for i in range(8)] for k in range(16)]
    np.testing.assert_allclose(now.targets, expected, rtol=1e-5, atol=1e-5)
    assert now.terminated.any()
    assert now.truncated.any()
    assert 5 < now.strays.sum() < 50
    assert not now.strays[-1].any()


@pytest.mark.parametrize("game", GAMES)
def test_a_few_minibatches_from_a_common_state(game):
    quick, readable = learners(game, {"epochs": 2, "minibatch": 32})
    quick.advance(5 * 128)
    readable.set_state(quick.get_state())
    quick.advance(6 * 128)
    readable.advance(6 * 128)
    check_rollouts(quick, readable)
    ours, theirs = quick.get_state(), readable.get_state()
    check_networks(quick.architecture, ours, theirs, 1e-4)  # rounding, eight updates long
    check_the_rest(ours, theirs)


def test_from_the_same_seed_they_begin_alike():
    quick, readable = learners("cartpole", {})
    ours, theirs = quick.get_state(), readable.get_state()
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)


def test_checkpoints_cross_over():
    quick, readable = learners("cartpole", SETTINGS["radam"])
    readable.advance(10 * 128)
    state = readable.get_state()
    quick.set_state(state)
    for name, array in quick.get_state().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    assert (quick.env_steps, quick.updates) == (readable.env_steps, readable.updates)
    ours, theirs = quick.evaluate(5, 0, 100), readable.evaluate(5, 0, 100)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    np.testing.assert_array_equal(
        quick.advance(quick.env_steps + 1), readable.advance(readable.env_steps + 1)
    )
    check_networks(quick.architecture, quick.get_state(), readable.get_state(), 1e-6)


def test_a_checkpoint_of_another_network_is_refused():
    _, readable = learners("cartpole", {})
    other, _ = learners("cartpole", {"hidden": "30"})
    with pytest.raises(ValueError, match="params"):
        readable.set_state(other.get_state())


def test_environments_that_step_from_python():
    environment = find("gym:CartPole-v1", {"native": False})
    config = registry.configure("pqn", {**SMALL, "envs": 4, "rollout": 32}, environment, "fused")
    quick, readable = (
        registry.make_learner("pqn", engine, environment, config, 1)
        for engine in ("fused", "torch")
    )
    assert set(quick.get_state()) == set(readable.get_state())
    for _ in range(2):
        np.testing.assert_array_equal(
            quick.advance(quick.env_steps + 1), readable.advance(readable.env_steps + 1)
        )
        check_rollouts(quick, readable)
    check_networks(quick.architecture, quick.get_state(), readable.get_state(), 1e-5)
    assert quick.counts[fused.EPISODES] > 0


def test_the_readable_engine_learns_and_plays():
    _, readable = learners("cartpole", {"steps": 256})
    assert not readable.finished
    readable.advance(256)
    assert readable.finished
    before = readable.get_state()
    readable.evaluate(3, 0, 50)
    assert readable.policy()(np.zeros(4, np.float32)) in (0, 1)
    for name, array in readable.get_state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert readable.stages()["learn"][1] == readable.updates == 2
    assert all(seconds > 0.0 for seconds, _ in readable.stages().values())


def test_both_engines_are_known():
    environment = find("cartpole")
    assert registry.choose(environment, "pqn", "torch") == ("pqn", "torch")
    foreign = find("gym:CartPole-v1", {"native": False})
    assert registry.choose(foreign, "auto", "torch") == ("pqn", "torch")
    with pytest.raises(UserError, match="torch"):
        registry.choose(environment, "pqn", "torhc")
