"""The fused engine beside the readable one: from a common state the same numbers, and back."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from qlearn.algorithms import registry
from qlearn.algorithms.dqn import fused
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.nets import mlp

torch = pytest.importorskip("torch")

RECORDED_LR = 2.5e-4

SMALL = {"start": 50, "replay": 1000, "hidden": "32x32", "envs": 4, "every": "16", "steps": 4000}
GAMES = {
    "cartpole": ("cartpole", {"max_steps": 13}),  # the pole falls, and time runs out
    "grid": ("grid", {"max_steps": 9}),  # states, one input each
}
SWITCHES = {
    "defaults": {},
    "single": {"double": False},
    "dueling": {"dueling": True, "hidden": "16x30"},
    "one step": {"n_step": 1},
    "prioritized": {"prioritized": True},
    "hard target": {"tau": 1.0, "target_every": 20},
    "mse": {"loss": "mse"},
    "unclipped": {"clip": 0.0, "average": 0.0},
    "clipped": {"clip": 0.01},
    "plain": {"layer_norm": False, "activation": "tanh", "scale_inputs": False},
    "radam": {"optimiser": "radam", "activation": "selu", "hidden": "33"},
    "all": {"double": True, "dueling": True, "prioritized": True, "n_step": 5, "hidden": "64x64"},
}
WEIGHTS, MOMENTS = ("params", "average", "target"), ("first_moment", "second_moment")


def learners(game, settings, seed=3):
    environment = find(*GAMES.get(game, (game, {})))
    config = registry.configure("dqn", {**SMALL, **settings}, environment, "fused")
    return tuple(
        registry.make_learner("dqn", engine, environment, config, seed)
        for engine in ("fused", "torch")
    )


def off(found, expected, beside):
    """By norms, beside that of the tensor itself or of what it is a small difference of."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return np.linalg.norm(found - expected) / max(1e-12, np.linalg.norm(beside))


def check_networks(architecture, ours, theirs, share, names):
    for name in names:
        parts = architecture.views(theirs[name])
        for part, expected in architecture.views(ours[name]).items():
            # Advantages of two actions have gradients that cancel but for a thousandth.
            beside = ours[name] if part == "advantage.bias" else expected
            assert off(parts[part], expected, beside) <= share, (name, part)


def check_the_rest(ours, theirs):
    assert set(ours) == set(theirs)
    for name in set(ours) - {*WEIGHTS, *MOMENTS}:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("game", GAMES)
def test_one_update_from_a_common_state(game, switch):
    quick, readable = learners(game, {**SWITCHES[switch], "every": "4", "updates": 0.25})
    for steps in (40, 60, 600):  # before any update, with few, with many
        quick.advance(steps)
        state = quick.get_state()
        readable.set_state(state)
        for name, array in readable.get_state().items():
            np.testing.assert_array_equal(array, state[name], err_msg=name)
            assert array.dtype == state[name].dtype
        quick.figures(), readable.figures()
        updates = quick.updates
        returns = quick.advance(steps + 4)
        assert quick.updates - updates == (1 if steps >= 50 else 0)
        np.testing.assert_array_equal(readable.advance(steps + 4), returns)
        ours, theirs = quick.get_state(), readable.get_state()
        check_networks(quick.architecture, ours, theirs, 1e-6, WEIGHTS)
        check_networks(quick.architecture, ours, theirs, 1e-5, MOMENTS)
        check_the_rest(ours, theirs)
        figures = readable.figures()
        for name, value in quick.figures().items():
            assert figures[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    ends = quick.ring.ends
    assert (ends == 1).any()
    assert (ends == 2).any()  # both kinds of end were among them


@cache
def recorded_update():
    return build("recorded batches", [fused.update], {})


def learn_recorded(quick, readable, batches):
    """The same drawn slots and weights through both engines."""
    kernels = recorded_update()
    torch.set_num_threads(1)
    for _ in range(batches):
        drawn = readable.replay.sample(readable.config.batch)
        quick.buffers.slots[:], quick.buffers.weights[:] = drawn.slots, drawn.weights
        kernels.update(
            quick.net, quick.target, quick.moments, quick.plan, quick.ring, quick.buffers,
            RECORDED_LR, quick.counts, 0, 1,
        )  # fmt: skip
        errors = readable.update(drawn)
        if readable.config.prioritized:
            readable.replay.prioritize(drawn.slots, errors)


# A ReLU that rounding has on in one engine and off in the other, once in some hundred batches,
# makes a gradient of its own, and training makes more of it: at 1e-3, of 36 runs of a thousand 10
# ended up to 0.1 apart, the others 1e-6. Without a kink they stay together.
LENGTHS = {"tanh": (1000, 1e-3), "relu": (100, 1e-3)}


@pytest.mark.parametrize("activation", LENGTHS)
@pytest.mark.parametrize("switch", SWITCHES)
def test_recorded_batches(switch, activation):
    batches, share = LENGTHS[activation]
    quick, readable = learners("cartpole", {**SWITCHES[switch], "activation": activation})
    quick.advance(400)
    readable.set_state(quick.get_state())
    for group in readable.optimiser.param_groups:
        group["lr"] = RECORDED_LR
    before = quick.updates
    learn_recorded(quick, readable, batches)
    assert quick.updates == readable.updates == before + batches
    check_networks(quick.architecture, quick.get_state(), readable.get_state(), share, WEIGHTS)


@pytest.mark.parametrize("settings", [{}, {"every": "episode"}, {"persist": 0.7}])
def test_a_run_from_the_same_seed(settings):
    quick, readable = learners("cartpole", settings)
    for steps in (60, 200, 400):
        np.testing.assert_array_equal(quick.advance(steps), readable.advance(steps))
        ours, theirs = quick.get_state(), readable.get_state()
        check_networks(quick.architecture, ours, theirs, 1e-5, WEIGHTS)
        check_the_rest(ours, theirs)
    assert quick.updates > 100


def test_checkpoints_cross_over():
    quick, readable = learners("cartpole", SWITCHES["all"])
    readable.advance(300)
    state = readable.get_state()
    quick.set_state(state)
    for name, array in quick.get_state().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    assert (quick.env_steps, quick.updates) == (readable.env_steps, readable.updates)
    ours, theirs = quick.evaluate(5, 0, 100), readable.evaluate(5, 0, 100)
    np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_a_policy_alone_crosses_over_too():
    quick, readable = learners("cartpole", SWITCHES["dueling"])
    quick.advance(300)
    policy = quick.policy_state()
    assert set(policy) == set(readable.policy_state()) == {"params", "average", "scale"}
    readable.set_policy(policy)
    other, _ = learners("cartpole", SWITCHES["dueling"], seed=9)
    other.set_policy(policy)
    expected = quick.evaluate(5, 0, 100).scores
    for learner in (readable, other):
        np.testing.assert_array_equal(learner.evaluate(5, 0, 100).scores, expected)
    mlp.forward(other.net, np.zeros(4, np.float32), 0, 0, 1)  # composed, too
    mlp.forward(quick.net, np.zeros(4, np.float32), 0, 0, 1)
    last = quick.net.layers[-1]
    np.testing.assert_array_equal(
        other.net.params[last[2] : last[2] + 60], quick.net.params[last[2] : last[2] + 60]
    )


def test_a_checkpoint_of_another_network_is_refused():
    _, readable = learners("cartpole", {})
    other, _ = learners("cartpole", {"hidden": "30"})
    with pytest.raises(ValueError, match="params"):
        readable.set_state(other.get_state())


def test_environments_that_step_from_python():
    environment = find("gym:CartPole-v1", {"native": False})
    config = registry.configure("dqn", {**SMALL, "every": "8"}, environment, "fused")
    quick, readable = (
        registry.make_learner("dqn", engine, environment, config, 1)
        for engine in ("fused", "torch")
    )
    for steps in (40, 200):
        np.testing.assert_array_equal(quick.advance(steps), readable.advance(steps))
    ours, theirs = quick.get_state(), readable.get_state()
    assert set(ours) == set(theirs)
    check_networks(quick.architecture, ours, theirs, 1e-5, WEIGHTS)
    np.testing.assert_array_equal(ours["replay.frames"], theirs["replay.frames"])
    assert quick.updates > 50


@pytest.mark.parametrize("name", ["AdamW", "sgd", "RMSprop", "adagrad"])
def test_any_optimiser_of_torch_learns_and_is_kept(name):
    _, readable = learners_on_torch(name)
    readable.advance(120)
    state = readable.get_state()
    _, other = learners_on_torch(name, seed=8)
    other.set_state(state)
    for learner in (readable, other):
        learner.advance(200)
    ours, theirs = readable.get_state(), other.get_state()
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
    assert (ours["params"] != state["params"]).any()


def learners_on_torch(optimiser, seed=3):
    environment = find("cartpole", {})
    config = registry.configure("dqn", {**SMALL, "optimiser": optimiser}, environment, "torch")
    return config, registry.make_learner("dqn", "torch", environment, config, seed)


def test_optimisers_that_do_not_exist_or_fit_are_one_line():
    with pytest.raises(UserError, match="no optimiser 'adm'"):
        learners_on_torch("adm")
    environment = find("cartpole", {})
    config = registry.configure("dqn", {"optimiser": "AdamW"}, environment, "fused")
    with pytest.raises(UserError, match="--engine torch takes any"):
        registry.make_learner("dqn", "fused", environment, config, 0)
