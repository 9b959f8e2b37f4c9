"""The classic board in the classic script's convention, arrival, walls and slipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

import qlearn
from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import find
from qlearn.errors import UserError

UP, DOWN, LEFT, RIGHT = range(4)
HOLES = [(1, 0), (3, 1), (4, 2), (1, 3)]
GOAL = (4, 4)
STRAIGHT_HOME = [RIGHT, DOWN, DOWN, RIGHT, RIGHT, RIGHT, DOWN, DOWN]


class ClassicScript:
    """The loop of the script everyone starts with: its positions, its sums, its ends."""

    def __init__(self):
        self.state, self.total = (0, 0), 0.0

    def reward(self):
        if self.state in HOLES:
            return -5
        return 1 if self.state == GOAL else -1

    def is_end(self):
        return self.state == GOAL or self.state in HOLES

    def next_position(self, action):
        row, column = self.state
        there = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)][action]
        return there if 0 <= there[0] <= 4 and 0 <= there[1] <= 4 else self.state

    def turn(self, action):
        """One turn of its loop; the sum of the episode where it has ended, else None."""
        if self.is_end():
            total = self.total + self.reward()
            self.__init__()
            return total
        self.total += self.reward()
        self.state = self.next_position(action)
        return None


def test_every_sum_of_the_classic_script():
    batch = qlearn.make("grid", envs=20, seed=0)
    batch.reset()
    scripts = [ClassicScript() for _ in range(20)]
    rng = np.random.default_rng(0)
    sums = []
    for _ in range(400):
        actions = rng.integers(4, size=20)
        observations, rewards, terminated, truncated, _ = batch.step(actions)
        assert not truncated.any()
        for k, script in enumerate(scripts):
            paid = script.reward()
            total = script.turn(actions[k])
            assert rewards[k] == paid
            assert terminated[k] == (total is not None)
            assert divmod(int(observations[k, 0]), 5) == script.state
            if total is not None:
                assert batch.last_return[k] == batch.last_score[k] == total
                sums.append(total)
    assert len(sums) > 500
    assert max(sums) > -15.0 > min(sums)


def play(game, actions):
    return [game.step(action) for action in actions]


def at(game):
    return divmod(int(game.copy.state.cell), game.world.columns)


def test_the_classic_numbers():
    environment = find("grid")
    assert (environment.observation, environment.actions, environment.max_steps) == (25, 4, 0)
    assert environment.discount == 0.9
    assert environment.action_names == ("up", "down", "left", "right")
    game = PlainGame(environment)
    assert game.reset().tolist() == [0]
    assert play(game, STRAIGHT_HOME) == [(-1.0, False, False)] * 8
    assert at(game) == GOAL
    assert game.step(UP) == (1.0, True, False)  # the exit: its own reward, whatever the action
    assert game.copy.last_return == -7.0
    assert game.copy.last_length == 9
    assert game.final_observation.tolist() == [24]
    assert game.observation.tolist() == [0]


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_costs_five(hole):
    for reward in ("classic", "arrival"):
        game = PlainGame(find("grid", {"reward": reward}))
        game.reset()
        down, right = hole
        # First along a row without holes, then into the hole from the side or from above.
        way = {
            (1, 0): [DOWN],
            (1, 3): [RIGHT] * 3 + [DOWN],
            (3, 1): [RIGHT] + [DOWN] * 3,
            (4, 2): [RIGHT] + [DOWN] * 2 + [RIGHT] + [DOWN] * 2,
        }[hole]
        paid = play(game, way)
        if reward == "classic":
            assert paid == [(-1.0, False, False)] * len(way)
            assert at(game) == (down, right)
            assert game.step(RIGHT) == (-5.0, True, False)
        else:
            assert paid == [(-1.0, False, False)] * (len(way) - 1) + [(-5.0, True, False)]
            assert game.final_observation.tolist() == [5 * down + right]


def test_arrival_pays_at_the_door():
    game = PlainGame(find("grid", {"reward": "arrival"}))
    game.reset()
    assert play(game, STRAIGHT_HOME) == [(-1.0, False, False)] * 7 + [(1.0, True, False)]
    assert game.copy.last_return == -6.0
    assert game.final_observation.tolist() == [24]


@pytest.mark.parametrize("reward", ["classic", "arrival"])
def test_a_move_into_the_border_stays_and_costs_a_step(reward):
    game = PlainGame(find("grid", {"reward": reward}))
    game.reset()
    assert play(game, [UP, LEFT, UP]) == [(-1.0, False, False)] * 3
    assert at(game) == (0, 0)
    play(game, [RIGHT] * 6)
    assert at(game) == (0, 4)


def test_rewards_of_ones_own():
    options = {"step_reward": -0.25, "goal_reward": 9.0, "hole_reward": -2.0}
    game = PlainGame(find("grid", options))
    game.reset()
    assert {paid for paid, *_ in play(game, STRAIGHT_HOME)} == {-0.25}
    assert game.step(0) == (9.0, True, False)
    play(game, [DOWN])
    assert game.step(0) == (-2.0, True, False)


@pytest.mark.parametrize("reward", ["classic", "arrival"])
def test_a_move_into_a_wall_stays(tmp_path, reward):
    path = tmp_path / "walls.txt"
    path.write_text("S#G\n...\n")
    game = PlainGame(find(str(path), {"reward": reward}))
    game.reset()
    assert game.step(RIGHT) == (-1.0, False, False)
    assert at(game) == (0, 0)
    play(game, [DOWN, RIGHT])
    assert game.step(UP)[0] == -1.0
    assert at(game) == (1, 1)


def test_the_limit_cuts_off():
    batch = qlearn.make("grid", max_steps=3)
    batch.reset()
    cuts = [bool(batch.step([UP])[3][0]) for _ in range(6)]
    assert cuts == [False, False, True] * 2


@pytest.mark.parametrize("slip", [0.0, 0.3, 2 / 3, 1.0])
def test_slipping_goes_to_either_side_that_often(tmp_path, slip):
    """With 2/3 each of the three ways is as likely as on FrozenLake."""
    path = tmp_path / "field.txt"
    path.write_text("....G\n.....\n..S..\n.....\n.....\n")
    envs = 40_000
    batch = qlearn.make(str(path), envs=envs, slip=slip, seed=1)
    shift = {UP: -5, DOWN: 5, LEFT: -1, RIGHT: 1}
    sides = {UP: (LEFT, RIGHT), DOWN: (LEFT, RIGHT), LEFT: (UP, DOWN), RIGHT: (UP, DOWN)}
    for action in range(4):
        batch.reset()
        moved = batch.step(np.full(envs, action))[0][:, 0] - 12
        expected = {action: 1.0 - slip, sides[action][0]: slip / 2, sides[action][1]: slip / 2}
        for way, chance in expected.items():
            share = (moved == shift[way]).mean()
            assert abs(share - chance) < 5 * math.sqrt(max(chance * (1 - chance), 1e-9) / envs)
        assert np.isin(moved, [shift[way] for way in expected]).all()


def test_random_starts_are_even_over_the_free_cells():
    batch = qlearn.make("grid", envs=20_000, random_start=True, seed=2)
    cells = batch.reset()[0][:, 0]
    counts = np.bincount(cells, minlength=25).reshape(5, 5)
    assert all(counts[cell] == 0 for cell in [*HOLES, GOAL])
    free = counts[counts > 0]
    assert free.size == 20
    assert ((free - 1000) ** 2 / 1000).sum() < 55  # chi-square, 19 degrees: 1 in 10,000


@pytest.mark.parametrize("slip", [-0.1, 1.1, "often", float("nan")])
def test_slips_that_cannot_be(slip):
    with pytest.raises(UserError, match=r"env\.slip must be"):
        find("grid", {"slip": slip})


def test_a_board_as_text():
    game = PlainGame(find("grid"))
    game.reset()
    game.step(RIGHT)
    assert game.draw().splitlines() == [
        "S @ . . .", "O . . O .", ". . . . .", ". O . . .", ". . O . G",
    ]  # fmt: skip
