"""Buckets: equal parts between bounds, the same states compiled, interpreted and from Gymnasium."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import batch, find
from qlearn.errors import UserError

COUNTS = (3, 4, 5, 6)


def literal(numbers, environment, counts=COUNTS):
    """Which state by the definition: parts of equal width, the outermost take what is outside."""
    low, high = environment.bounds
    place = 0
    for number, a, b, count in zip(numbers, low, high, counts, strict=True):
        edges = [a + (b - a) * k / count for k in range(1, count)]
        place = place * count + sum(number >= edge for edge in edges)
    return place


@pytest.fixture(scope="module")
def cartpole():
    return find("cartpole", {"buckets": "3x4x5x6"})


def test_a_box_becomes_so_many_states(cartpole):
    assert cartpole.discrete
    assert cartpole.observation == 3 * 4 * 5 * 6
    assert cartpole.options["buckets"] == "3x4x5x6"
    assert find("cartpole", {"buckets": 7}).observation == 7**4
    again = find(cartpole.target, cartpole.options)
    assert again.observation == cartpole.observation


def test_every_state_is_the_definitions(cartpole):
    plain = find("cartpole")
    divided, whole = batch(cartpole, 50, 3), batch(plain, 50, 3)
    states, numbers = divided.reset()[0], whole.reset()[0]
    chance, seen, ends = np.random.default_rng(0), set(), 0
    for _ in range(200):
        for state, row in zip(states[:, 0], numbers, strict=True):
            assert state == literal(row, plain)
            seen.add(int(state))
        actions = chance.integers(2, size=50)
        states, _, terminated, truncated, info = divided.step(actions)
        numbers, _, theirs, _, other = whole.step(actions)
        np.testing.assert_array_equal(terminated, theirs)
        for k in np.flatnonzero(terminated | truncated):
            assert info["final_observations"][k, 0] == literal(
                other["final_observations"][k], plain
            )
            ends += 1
    assert len(seen) > 30
    assert ends > 100


def test_the_interpreter_sees_the_same_states(cartpole):
    game, one = PlainGame(cartpole, 5), batch(cartpole, 1, 5)
    game.reset()
    one.reset()
    for k in range(200):
        assert game.observation[0] == one.observations[0, 0]
        game.step(k % 2)
        one.step([k % 2])


EDGES = """
class Edges:
    actions = 2
    observation = (1,)
    state = {"x": "float64"}
    bounds = ((-1.0, 3.0),)
    max_steps = 0

    def reset(state, rng):
        state.x = -3.0

    def step(state, action, rng):
        state.x += 0.5
        return 0.0, False

    def observe(state, obs):
        obs[0] = state.x
"""


def test_the_outermost_parts_take_what_is_outside(tmp_path):
    (tmp_path / "edges.py").write_text(EDGES)
    environment = find(f"{tmp_path}/edges.py:Edges", {"buckets": "4"})
    one = batch(environment, 1)
    states = [int(one.reset()[0][0, 0])]
    states += [int(one.step([0])[0][0, 0]) for _ in range(16)]
    #  -3 .. -1.5 outside; -1, -0.5 first; 0, 0.5 second; 1, 1.5; 2, 2.5; 3 and beyond
    assert states == [0] * 6 + [1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3]


def test_gymnasiums_own_are_divided_alike(tmp_path):
    chosen = {"native": "false", "buckets": "4x5"}
    environment = find("gym:MountainCar-v0", chosen)
    assert environment.observation == 20
    assert environment.discrete
    inner = environment.inner
    with batch(environment, 3, 1) as ours, batch(inner, 3, 1) as theirs:
        states, numbers = ours.reset()[0], theirs.reset()[0]
        for k in range(30):
            assert states[:, 0].tolist() == [literal(row, inner, (4, 5)) for row in numbers]
            actions = np.array([k // 3 % 3] * 3)
            states, numbers = ours.step(actions)[0], theirs.step(actions)[0]
        saved = {name: np.array(array) for name, array in ours.get_state().items()}
        assert saved


@pytest.mark.parametrize(
    ("env", "buckets", "message"),
    [
        ("grid", "4", "grid has states already"),
        ("cartpole", "4x4", "has 2 counts; cartpole shows 4"),
        ("cartpole", "0", "must be at least 1, not 0"),
        ("cartpole", "-3", "must be at least 1, not -3"),
        ("cartpole", "2.5", "must be a number, or one for each of the 4 numbers seen"),
        ("cartpole", "", "must be a number"),
        ("cartpole", "8x", "must be a number"),
        ("cartpole", "99999", "the table would have 1e"),
        ("gym:CartPole-v1", "4x4x4x4x4", "has 5 counts"),
    ],
)
def test_impossible_buckets_are_one_clear_line(env, buckets, message):
    with pytest.raises(UserError, match=message) as caught:
        find(env, {"buckets": buckets})
    assert "\n" not in str(caught.value)


def test_bounds_are_needed(tmp_path):
    (tmp_path / "open.py").write_text(
        EDGES.replace("bounds = ((-1.0, 3.0),)", "").replace("Edges", "Open")
    )
    with pytest.raises(UserError, match="does not say between which bounds"):
        find(f"{tmp_path}/open.py:Open", {"buckets": "4"})
    with pytest.raises(UserError, match="does not say between which bounds"):
        find("gym:CartPole-v1", {"native": "false", "buckets": "4"})
