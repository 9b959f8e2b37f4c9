"""How the states of a board lie beside one another, for whoever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qlearn.envs.builtin.grid import DOWN, FREE, GOAL, HOLE, LEFT, RIGHT, UP

WITH_BOARD = ("grid", "a map FILE.txt", "gym:FrozenLake-v1", "gym:CliffWalking-v1")
DIRECTIONS = {"up": UP, "down": DOWN, "left": LEFT, "right": RIGHT}


class Layout(NamedTuple):
    """Row after row, state after state."""

    kinds: np.ndarray  # (rows, columns) of FREE, WALL, HOLE, GOAL
    start: int  # the state where episodes begin
    directions: tuple[int, ...]  # UP, DOWN, LEFT or RIGHT of each action


def layout_of(environment: Any) -> Layout | None:
    """The board of an environment, or None where its states are no board."""
    if not environment.discrete:
        return None
    if environment.kind == "gymnasium":
        layout = _of_gymnasium(environment)
    else:
        layout = _of_grid(environment)
    if layout is None or layout.kinds.size != environment.observation:
        return None
    return layout


def _of_grid(environment: Any) -> Layout | None:
    world = environment.world_values
    if not {"cells", "rows", "columns", "start"} <= set(world):
        return None
    kinds = np.asarray(world["cells"]).reshape(world["rows"], world["columns"])
    return _layout(kinds, world["start"], environment.action_names)


def _of_gymnasium(environment: Any) -> Layout | None:
    from qlearn.envs.gym.finite import ACTION_NAMES

    env = _opened(environment)
    try:
        game = env.unwrapped
        read = READERS.get(type(game).__name__)
        if read is None:
            return None
        return _layout(*read(game), ACTION_NAMES[type(game).__name__])
    finally:
        env.close()


def _opened(environment: Any) -> Any:
    """Gymnasium's own object: only it knows the board, our compiled game knows states."""
    if hasattr(environment, "open"):
        return environment.open()
    from qlearn.envs.gym.foreign_copies import recipe_of

    return recipe_of(environment.target.partition(":")[2], environment.options).open()


def _frozen_lake(game: Any) -> tuple[np.ndarray, int]:
    marks = np.asarray(game.desc).astype("U1")
    kinds = np.select([marks == "H", marks == "G"], [HOLE, GOAL], FREE)
    return kinds, int(np.flatnonzero(marks == "S")[0])


def _cliff_walking(game: Any) -> tuple[np.ndarray, int]:
    kinds = np.where(game._cliff, HOLE, FREE)
    kinds[-1, -1] = GOAL
    return kinds, int(game.start_state_index)


READERS = {"FrozenLakeEnv": _frozen_lake, "CliffWalkingEnv": _cliff_walking}


def _layout(kinds: np.ndarray, start: int, names: Sequence[str]) -> Layout | None:
    if not names or not set(names) <= set(DIRECTIONS):
        return None
    return Layout(kinds.astype(np.int8), int(start), tuple(DIRECTIONS[name] for name in names))
