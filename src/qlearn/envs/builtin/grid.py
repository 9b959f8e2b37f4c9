"""Grid worlds: the classic 5x5 board, and boards drawn in text files."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn.envs.model import Model
from qlearn.errors import UserError
from qlearn.rng import integers, uniform

FREE, WALL, HOLE, GOAL = 0, 1, 2, 3
UP, DOWN, LEFT, RIGHT = 0, 1, 2, 3  # the classic script's order

CLASSIC_BOARD = ("S....", "O..O.", ".....", ".O...", "..O.G")


def reward_of(kind, world):
    if kind == HOLE:
        return world.hole_reward
    if kind == GOAL:
        return world.goal_reward
    return world.step_reward


def neighbour(cell, action, rows, columns):
    """The cell next door, or the same cell at the border."""
    row = cell // columns
    column = cell - row * columns
    if action == UP:
        return cell - columns if row > 0 else cell
    if action == DOWN:
        return cell + columns if row < rows - 1 else cell
    if action == LEFT:
        return cell - 1 if column > 0 else cell
    return cell + 1 if column < columns - 1 else cell


def slipped(action, rng, slip):
    """The way one really goes: with chance `slip` to one side or the other, as on FrozenLake."""
    if slip > 0.0:
        chance = uniform(rng)
        if chance < slip:
            side = 2 if action < 2 else 0  # left/right of up or down, up/down of left or right
            return side + int(chance < 0.5 * slip)
    return action


class Grid:
    """Reach the goal on the classic 5x5 board with holes; a text file gives another board."""

    actions = 4
    action_names = ("up", "down", "left", "right")
    options: dict[str, Any] = {
        "reward": ("classic", "arrival"),
        "slip": 0.0,
        "step_reward": -1.0,
        "goal_reward": 1.0,
        "hole_reward": -5.0,
        "random_start": False,
        "max_steps": 0,
    }
    settings = {"table": {"lr": 0.5, "epsilon": 0.1, "steps": 200_000}}  # the classic script's
    board: tuple[str, ...] = CLASSIC_BOARD
    starts: np.ndarray | None = None  # where random starts may be; by default, on any free cell
    state = {"cell": "int64"}
    state_number = "cell"

    @classmethod
    def configure(cls, options):
        if not 0.0 <= options["slip"] <= 1.0:
            raise UserError(f"env.slip must be between 0 and 1, not {options['slip']}")
        cells, start = read_board(cls.board)
        rows, columns = cells.shape
        starts = cls.starts if cls.starts is not None else np.flatnonzero(cells == FREE)
        return {
            "observation": rows * columns,
            "discount": 0.9,
            "world": {
                "cells": cells.reshape(-1),
                "rows": rows,
                "columns": columns,
                "start": start,
                "starts": starts if options["random_start"] else np.array([start]),
                "classic": options["reward"] == "classic",
            },
        }

    @staticmethod
    def reset(state, rng, world):
        state.cell = world.start
        if world.random_start:
            state.cell = int(world.starts[integers(rng, world.starts.shape[0])])

    @staticmethod
    def step(state, action, rng, world):
        here = world.cells[state.cell]
        if world.classic and here >= HOLE:
            # The classic script visits a terminal state once more: its own reward is its value.
            return reward_of(here, world), True
        to = neighbour(state.cell, slipped(action, rng, world.slip), world.rows, world.columns)
        there = world.cells[to]
        if there != WALL:
            state.cell = to
        else:
            there = here
        if world.classic:
            return reward_of(here, world), False
        return reward_of(there, world), there >= HOLE

    @staticmethod
    def observe(state, obs):
        obs[0] = state.cell

    @staticmethod
    def model(world):
        return model_of_board(world)

    @staticmethod
    def draw(state, world):
        marks = np.array(list(".#OG"))[world.cells]
        marks[world.start] = "S"
        marks[state.cell] = "@"
        return "\n".join(" ".join(row) for row in marks.reshape(world.rows, world.columns))


def read_board(lines):
    """The cells of a board (rows, columns) and the start's index."""
    cells = np.array([[".#OG".find("." if mark == "S" else mark) for mark in row] for row in lines])
    start = [k for k, mark in enumerate("".join(lines)) if mark == "S"]
    return cells.astype(np.int8), start[0]


def model_of_board(world):
    """The board's exact dynamics; the readable `Grid.step` is what it is tested against."""
    cells = world.cells
    count = cells.size
    here = np.arange(count)
    row, column = here // world.columns, here % world.columns
    doors = np.stack(
        [
            np.where(row > 0, here - world.columns, here),
            np.where(row < world.rows - 1, here + world.columns, here),
            np.where(column > 0, here - 1, here),
            np.where(column < world.columns - 1, here + 1, here),
        ],
        axis=1,
    )
    doors = np.where(cells[doors] == WALL, here[:, None], doors)
    if world.slip > 0.0:
        sides = np.array([[2, 3], [2, 3], [0, 1], [0, 1]])
        ways = np.concatenate([np.arange(4)[:, None], sides], axis=1)
        chances = np.array([1.0 - world.slip, world.slip / 2, world.slip / 2])
    else:
        ways, chances = np.arange(4)[:, None], np.array([1.0])
    to = doors[:, ways]
    worth = np.array([world.step_reward, world.step_reward, world.hole_reward, world.goal_reward])
    chance = np.broadcast_to(chances, to.shape)
    start = np.zeros(count)
    start[world.starts] = 1.0 / world.starts.size
    is_end = cells >= HOLE
    if world.classic:
        reward = np.broadcast_to(worth[cells][:, None, None], to.shape)
        ended = np.broadcast_to(is_end[:, None, None], to.shape)
    else:
        reward, ended = worth[cells[to]], is_end[to]
    return Model(to, chance, reward, ended, start)
