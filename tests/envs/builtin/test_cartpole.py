"""Our CartPole is Gymnasium's CartPole-v1, transition for transition."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

import qlearn
from qlearn.envs.builtin import cartpole
from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import find

FIELDS = ("position", "velocity", "angle", "spin")
COPIES = 1000


def numbers(states):
    """The four numbers of many states, in float64."""
    return np.stack([states[name] for name in FIELDS], axis=1)


@pytest.fixture(scope="module")
def theirs():
    game = gymnasium.make("CartPole-v1").unwrapped
    game.reset(seed=0)
    return game


def their_step(theirs, state, action):
    theirs.state = np.array(state, np.float64)
    theirs.steps_beyond_terminated = None
    _, reward, terminated, truncated, _ = theirs.step(action)
    return np.array(theirs.state, np.float64), reward, terminated, truncated


def test_a_hundred_thousand_random_transitions_are_gymnasiums(theirs):
    batch = qlearn.make("cartpole", envs=COPIES, seed=1)
    batch.reset()
    rng = np.random.default_rng(2)
    largest, ends, compared = 0.0, 0, 0
    spread = [2.5, 3.0, 0.22, 3.5]  # further than a game gets: some of these end at once
    for _ in range(100):
        drawn = rng.uniform(-1.0, 1.0, (COPIES, 4)) * spread
        for name, column in zip(FIELDS, drawn.T, strict=True):
            batch.copies["state"][name] = column
        actions = rng.integers(2, size=COPIES)
        _, rewards, terminated, truncated, info = batch.step(actions)
        assert not truncated.any()
        # Where a game has ended only what was observed of its last state is left, in float32.
        after = np.where(
            terminated[:, None], info["final_observations"], numbers(batch.copies["state"])
        )
        for k in range(COPIES):
            state, reward, ended, _ = their_step(theirs, drawn[k], int(actions[k]))
            assert ended == terminated[k]
            assert reward == rewards[k]
            if ended:
                np.testing.assert_array_equal(after[k], state.astype(np.float32))
            else:
                largest = max(largest, np.abs(after[k] - state).max())
            ends += ended
            compared += 1
    assert compared == 100_000
    assert 5_000 < ends < 95_000
    assert largest < 1e-6


def test_whole_games_are_gymnasiums_step_for_step():
    """Followed without setting the state again: what is off adds up, and the pole multiplies it."""
    theirs = gymnasium.make("CartPole-v1")
    game = PlainGame(find("cartpole"), seed=5)
    rng = np.random.default_rng(3)
    lengths = []
    for _ in range(40):
        theirs.reset(seed=0)
        game.reset()
        state = game.copy.state
        theirs.unwrapped.state = np.array([getattr(state, name) for name in FIELDS])
        ended = False
        while not ended:
            # Sometimes what keeps the pole up, so that some games are long.
            lean = state.angle + 0.3 * state.spin
            action = int(lean > 0.0) if rng.random() < 0.4 else int(rng.integers(2))
            seen, reward, terminated, truncated, _ = theirs.step(action)
            got = game.step(action)
            assert got == (reward, terminated, truncated)
            ended = terminated or truncated
            shown = game.final_observation if ended else game.observation
            np.testing.assert_allclose(shown, seen, atol=1e-6)
        lengths.append(game.copy.last_length)
    assert max(lengths) > 50


def holds_the_pole(observation):
    return 0.02 * observation[0] + 0.05 * observation[1] + observation[2] + observation[3] / 3 > 0


def test_the_limit_is_at_500_steps_as_gymnasiums():
    theirs = gymnasium.make("CartPole-v1")
    batch = qlearn.make("cartpole", envs=50, seed=0)
    batch.reset()
    theirs.reset(seed=0)
    theirs.unwrapped.state = numbers(batch.copies["state"])[0]
    seen = theirs.unwrapped.state
    for step in range(1, 501):
        seen, _, their_end, their_cut, _ = theirs.step(int(holds_the_pole(seen)))
        *_, terminated, truncated, _ = batch.step(holds_the_pole(batch.observations.T))
        assert not terminated.any()
        assert (their_end, their_cut) == (False, step == 500)
        assert (truncated == (step == 500)).all()
    assert (batch.last_length == 500).all()
    assert (batch.last_score == 500.0).all()


def test_falling_in_the_last_step_is_a_fall():
    batch = qlearn.make("cartpole", envs=2, seed=0)
    batch.reset()
    batch.copies["elapsed"] = 499
    batch.copies["state"]["angle"][1] = 0.3
    *_, terminated, truncated, _ = batch.step([0, 0])
    assert terminated.tolist() == [False, True]
    assert truncated.tolist() == [True, False]


def test_games_begin_like_gymnasiums_evenly_within_a_twentieth():
    batch = qlearn.make("cartpole", envs=20_000, seed=0)
    batch.reset()
    first = numbers(batch.copies["state"])
    assert np.abs(first).max() < 0.05
    assert np.abs(first.mean(axis=0)).max() < 5 * 0.1 / math.sqrt(12 * 20_000)
    for column in first.T:
        counts = np.histogram(column, 10, (-0.05, 0.05))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 40
    assert np.abs(np.corrcoef(first.T) - np.eye(4)).max() < 5 / math.sqrt(20_000)


def test_sine_and_cosine_are_exact_where_a_pole_stands():
    for angle in np.linspace(-0.25, 0.25, 2001).tolist():
        assert abs(cartpole.sine(angle) - math.sin(angle)) < 1e-16
        assert abs(cartpole.cosine(angle) - math.cos(angle)) < 3e-16


def test_shaping_weighs_what_it_is_named_after():
    weights = {"shape_angle": 2.0, "shape_position": 0.5, "shape_velocity": 0.25}
    batch = qlearn.make("cartpole", envs=32, seed=1, **weights)
    batch.reset()
    _, rewards, terminated, _, _ = batch.step([1] * 32)
    assert not terminated.any()
    position, velocity, angle, _ = np.abs(numbers(batch.copies["state"])).T
    np.testing.assert_allclose(
        rewards, 1.0 - 2.0 * angle - 0.5 * position - 0.25 * velocity, rtol=1e-6
    )


def test_every_position_can_be_drawn():
    game = PlainGame(find("cartpole"), seed=0)
    game.reset()
    for position, angle in [(0.0, 0.0), (-2.4, 0.2), (2.4, -0.2), (3.0, 0.5)]:
        game.copy.state.position, game.copy.state.angle = position, angle
        rows = game.draw().splitlines()
        assert len({len(row) for row in rows}) == 1
        assert len(rows) == 8
