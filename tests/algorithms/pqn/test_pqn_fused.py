"""The fused engine: the same bits for any threads, states that go on, and mistakes in one line."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from qlearn.algorithms import registry
from qlearn.algorithms.network.team import Pace, Team
from qlearn.algorithms.pqn import fused
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.rng import PLAYER, streams

SMALL = {"envs": 12, "rollout": 16, "epochs": 2, "minibatch": 64}


def learner(settings, seed=0, game="cartpole", options=None):
    environment = find(game, options or {})
    config = registry.configure("pqn", {**SMALL, **settings}, environment, "fused")
    return registry.make_learner("pqn", "fused", environment, config, seed)


def same(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def strays(values, place, best, margin, daring, players, counts):
    """How often each action is taken instead of the best."""
    for i in range(len(players)):
        counts[fused.stray(values, place, best, len(counts), margin, daring, players[i])] += 1


@pytest.mark.parametrize(
    ("margin", "daring", "shares"),
    [
        (0.0, 0.1, (1 / 3, 1 / 3, 1 / 3)),  # any action as often
        (0.5, 0.1, (0.63, 1 / 30, 1 / 3)),  # the dear one in a tenth of the cases
        (0.5, 0.0, (2 / 3, 0.0, 1 / 3)),
        (0.5, 1.0, (1 / 3, 1 / 3, 1 / 3)),
        (0.005, 0.0, (1.0, 0.0, 0.0)),
    ],
)
def test_what_would_cost_more_than_the_margin_is_seldom_tried(margin, daring, shares):
    values = np.array([9.0, 1.0, 0.0, 0.99], np.float32)  # of another row the first
    counts, players = np.zeros(3, np.int64), streams(5, 30_000, PLAYER)
    kernels = build("strays of a test", (strays,), {})
    kernels.prepare("strays", values, 1, 0, margin, daring, players, counts)
    counts[:] = 0
    kernels.strays(values, 1, 0, margin, daring, players, counts)
    np.testing.assert_allclose(counts / len(players), shares, atol=0.02)
    assert (counts[np.array(shares) == 0.0] == 0).all()


UNEVEN = {"envs": 13, "rollout": 10, "minibatch": 26}


@pytest.mark.parametrize(
    "settings", [{}, UNEVEN, {"hidden": "33x17", "activation": "tanh", "minibatch": 32}]
)
def test_any_number_of_threads_learns_the_same_bits(settings):
    states, returns = [], []
    for threads in (1, 2, 3):
        playing = learner({**settings, "threads": threads})
        assert playing.threads == threads
        returns.append(playing.advance(1500))
        states.append(playing.get_state())
    assert len(returns[0]) > 0
    for k in (1, 2):
        np.testing.assert_array_equal(returns[k], returns[0])
        same(states[k], states[0])


def test_a_board_of_zeros_learns_the_same_bits_on_any_threads():
    settings = {"hidden": "32x16", "scale_inputs": False, "clip": 1.0}
    states = []
    for threads in (1, 2, 3):
        playing = learner({**settings, "threads": threads}, game="snake")
        playing.advance(1000)
        assert (playing.net.found >= 0).all()  # zeros were left out
        states.append(playing.get_state())
    same(states[1], states[0])
    same(states[2], states[0])


def test_few_copies_take_few_threads():
    assert learner({"envs": 4, "rollout": 16, "threads": 3}).threads == 1


def test_threads_found_by_trying_change_no_bit():
    one, many = learner({"threads": 1}), learner({"threads": 0})
    many.pace, many.team = Pace(0, 3), Team(3)
    run, tried = many.team.run, []
    many.team.run = lambda members, *rest: (tried.append(members), run(members, *rest))[1]
    np.testing.assert_array_equal(many.advance(9000), one.advance(9000))
    same(many.get_state(), one.get_state())
    assert tried[:6] == [1, 2] * 3
    assert many.threads in (1, 2)


def paced(pace, costs, stretches):
    """The numbers of members that a pace takes where each costs this much."""
    taken = []
    for _ in range(stretches):
        taken.append(pace.members)
        pace.took(costs[pace.members])
    return taken


def test_a_pace_settles_on_the_fastest_and_looks_again():
    pace = Pace(0, 5)
    assert pace.numbers == [1, 2, 4]
    tries, rest = [1, 2, 4] * Pace.ROUNDS, Pace.REST
    busy = {1: 1.0, 2: 4.0, 4: 4.0}  # another program has come
    assert paced(pace, {1: 3.0, 2: 2.0, 4: 2.5}, len(tries)) == tries
    assert not pace.trying
    assert pace.best == 2
    assert paced(pace, {2: 2.0}, rest) == [2] * rest
    assert paced(pace, busy, len(tries)) == tries
    assert paced(pace, busy, rest) == [1] * rest
    assert paced(pace, busy, len(tries)) == tries  # it had changed: it soon looks again
    assert paced(pace, busy, 2 * rest) == [1] * 2 * rest  # and later, where it has not
    assert pace.trying


def test_slow_tries_among_fast_ones_are_forgiven():
    pace = Pace(0, 2)
    for turn in range(2 * Pace.ROUNDS):
        interrupted = pace.members == 2 and turn > 1
        pace.took(9.0 if interrupted else 3.0 / pace.members)
    assert not pace.trying
    assert pace.best == 2


def test_a_pace_that_is_told_does_not_try():
    assert paced(Pace(3, 8), {3: 1.0}, 2 * Pace.REST) == [3] * 2 * Pace.REST
    assert Pace(9, 4).best == 4
    assert not Pace(0, 1).trying


def test_it_goes_on_from_its_state_bit_for_bit():
    first = learner({})
    first.advance(1000)
    state = first.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    returns = first.advance(2000)
    same(state, kept)  # a state is a copy
    second = learner({"threads": 2}, seed=5)
    second.set_state(state)
    np.testing.assert_array_equal(second.advance(2000), returns)
    same(second.get_state(), first.get_state())


def test_chunks_change_no_bit():
    whole, chunks = learner({}), learner({})
    returns = whole.advance(2000)
    parts = [chunks.advance(steps) for steps in range(100, 2001, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), returns)
    same(chunks.get_state(), whole.get_state())


def test_evaluation_changes_no_bit():
    one, other = learner({}), learner({})
    one.advance(600)
    before = one.get_state()
    first = one.evaluate(7, 1, 100)
    one.policy()(np.zeros(4, np.float32))
    same(one.get_state(), before)
    np.testing.assert_array_equal(one.evaluate(7, 1, 100).scores, first.scores)
    one.advance(1200)
    other.advance(1200)
    same(one.get_state(), other.get_state())


def test_a_player_chooses_by_its_values():
    one = learner({})
    one.advance(600)
    policy = one.policy()
    seen = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    values = np.stack([one.player.values(row, one.scale) for row in seen])
    assert values.shape == (50, one.environment.actions)
    assert values.argmax(axis=1).tolist() == [policy(row) for row in seen]
    assert np.unique(values).size > 50


def test_init_gives_different_seeds_the_same_untrained_network():
    ours, theirs = (learner({"init": "7"}, seed=seed).get_state() for seed in (1, 2))
    np.testing.assert_array_equal(ours["params"], theirs["params"])
    assert (ours["copies"] != theirs["copies"]).any()
    np.testing.assert_array_equal(learner({}, seed=7).get_state()["params"], ours["params"])
    assert (learner({}, seed=1).get_state()["params"] != ours["params"]).any()


def test_inputs_are_scaled_by_what_was_seen():
    scaled, plain = learner({}), learner({"scale_inputs": False})
    before = plain.get_state()
    scaled.advance(5000)
    plain.advance(5000)
    np.testing.assert_array_equal(plain.get_state()["scale"], before["scale"])
    # Its books are those of everything seen, however often the scale changed on the way.
    state = scaled.get_state()
    seen = state["counts"][4]
    assert seen == scaled.env_steps
    assert (state["scale"][1] > 1.0).all()  # a pole that stands is seen within narrow bounds
    spread = np.sqrt(state["scale_books"][1] / seen)
    np.testing.assert_allclose(state["scale"][1], 1.0 / spread, rtol=1e-6)
    np.testing.assert_allclose(state["scale"][0], state["scale_books"][0], rtol=1e-6)


def test_a_still_world_shows_the_books_are_the_mean_and_spread():
    """With lr 0 and a uniform policy the games are those of any scale: what was seen is known."""
    still = {"lr": 0.0, "epsilon": 1.0, "average": 0.0, "rollout": 4, "minibatch": 48}
    playing, plain = learner(still), learner({**still, "scale_inputs": False})
    rows = []
    for _ in range(20):
        playing.advance(playing.env_steps + 1)
        plain.advance(plain.env_steps + 1)
        rows.append(plain.buffers.inputs[: 48 * 4].reshape(48, 4).astype(np.float64))
    rows = np.concatenate(rows)
    books = playing.get_state()["scale_books"]
    np.testing.assert_allclose(books[0], rows.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(books[1] / len(rows)), rows.std(axis=0), rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"envs": 0}, "envs must be at least 1"),
        ({"rollout": -1}, "rollout must be at least 1"),
        ({"epochs": 0}, "epochs"),
        ({"minibatch": 0}, "minibatch"),
        ({"minibatch": 50}, "does not divide"),
        ({"threads": -1}, "threads"),
        ({"steps": 0}, "steps"),
        ({"episodes": -1}, "episodes"),
        ({"clip": -1.0}, "clip"),
        ({"discount": 1.5}, "discount"),
        ({"lambda_": 2.0}, "lambda_"),
        ({"explorers": 2.0}, "explorers"),
        ({"restless": -0.5}, "restless"),
        ({"average": 1.0}, "average"),
        ({"reward_scale": 0.0}, "reward_scale"),
        ({"optimiser": "sgd"}, "adam or radam"),
        ({"activation": "rleu"}, "relu"),
        ({"hidden": "64xx"}, "hidden"),
        ({"hidden": "64,64"}, "hidden"),
        ({"hidden": "0"}, "at least 1 unit"),
        ({"hidden": "100000x100000"}, "parameters"),
        ({"lr": 2.0}, "lr must be between 0 and 1"),
        ({"lr": "fast"}, "lr"),
        ({"epsilon": "1.5->0"}, "epsilon must be between 0 and 1"),
        ({"init": "nothing.safetensors"}, "nothing.safetensors"),
        ({"learning_rate": 0.1}, "there is no setting"),
        ({"envs": "many"}, "envs"),
        ({"margin": -1}, "margin must be at least 0"),
        ({"daring": 2}, "daring must be between 0 and 1"),
    ],
)
def test_each_mistake_is_one_line(settings, said):
    with pytest.raises(UserError) as caught:
        learner(settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_minibatch_is_at_most_the_rollout():
    assert learner({"minibatch": 4096}).config.minibatch == 12 * 16


FUSE = """
from qlearn.rng import integers


class Fuse:
    actions = 2
    observation = (1,)
    max_steps = 0
    state = {"t": "int64", "end": "int64"}

    @staticmethod
    def reset(state, rng):
        state.t = 0
        state.end = 10000 + integers(rng, 10000)  # of one copy before all others

    @staticmethod
    def step(state, action, rng):
        state.t += 1
        if state.t > state.end:
            raise ValueError("burnt down")
        return 1.0, False

    @staticmethod
    def observe(state, observation):
        observation[0] = state.t / 20000
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_what_an_environment_raises_comes_out(tmp_path, threads):
    path = tmp_path / "fuse.py"
    path.write_text(FUSE)
    settings = {"envs": 8, "rollout": 64, "minibatch": 512, "epochs": 1, "threads": threads}
    burning = learner({**settings, "hidden": "4"}, game=f"{path}:Fuse")
    caught = []

    def advance():
        try:
            burning.advance(8 * 30000)
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=advance, daemon=True)
    thread.start()
    thread.join(60.0)
    assert not thread.is_alive(), "a thread waits for one that has given up"
    assert "burnt down" in str(caught[0])
    assert burning.env_steps <= 8 * 20000


def test_weights_without_measure_are_one_clear_line():
    environment = find("cartpole")
    settings = {"layer_norm": False, "clip": 0.0, "optimiser": "adam", "steps": 100_000}
    config = registry.configure("pqn", settings, environment, "fused")
    learner = registry.make_learner("pqn", "fused", environment, config, 0)
    learner.net.params[:] *= np.float32(1e30)
    with pytest.raises(UserError, match=r"numbers are lost at step .*: lr \(.*\) is too large"):
        learner.advance(100_000)
