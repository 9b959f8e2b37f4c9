"""Grid maps from text files: read, checked, and given rewards under which the goal is worth it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.envs import spec
from qlearn.envs.builtin.grid import FREE, GOAL, HOLE, WALL, Grid
from qlearn.errors import UserError

LARGEST = 1000  # rows, columns
PLAIN_CELLS = 4096  # boards up to this size are searched in plain Python, without compiling


def load(path: Path, chosen: Mapping[str, Any], reward=None) -> spec.Environment:
    """The environment of a map file. Its notes say what is odd about the map."""
    lines = read_lines(path)
    cells = np.array([list(line) for line in lines])
    kinds = np.zeros(cells.shape, np.int8)
    for mark, kind in (("#", WALL), ("O", HOLE), ("G", GOAL)):
        kinds[cells == mark] = kind
    start = int(np.flatnonzero(cells == "S")[0])
    to_goal = distances(kinds, GOAL)
    slip = spec.settle(Grid.options, chosen, f"{path.name}: ")["slip"]

    class Map(Grid):
        __doc__ = f"The board of {path.name}, {len(lines)} x {len(lines[0])}."
        board = lines
        # A random start from which the goal cannot be reached would be an episode without end.
        starts = np.flatnonzero(to_goal > 0 if to_goal[start] > 0 else kinds.reshape(-1) == FREE)
        settings = {"table": table_settings(kinds.size, slip)}
        options = {**Grid.options, "hole_reward": np.nan}

    reach = int(to_goal.max())
    effort = max(1.0, reach / max(1e-9, 1.0 - slip)) if slip < 1.0 else float(10 * kinds.size)
    Map.options["hole_reward"] = min(Grid.options["hole_reward"], -2.0 * float(np.ceil(effort)))
    environment = spec.from_class(Map, path.name, "map", chosen, reward, target=str(path))
    discount = max(0.9, 1.0 - 1.0 / (2.0 * effort))
    said = notes(environment, kinds, start, to_goal, discount)
    return replace(environment, discount=discount, notes=tuple(said))


STEPS_A_CELL = 2000  # 200 x 200 random mazes were optimal after 1,250, five of five


def table_settings(cells: int, slip: float) -> dict[str, Any]:
    """How a table learns a board of this size, where the user says nothing."""
    steps = min(200_000_000, max(200_000, STEPS_A_CELL * cells))
    # Where nothing is left to chance, every update may be believed at once.
    return {"steps": steps} | ({"lr": 1.0, "epsilon": 0.1} if slip == 0.0 else {})


def read_lines(path: Path) -> tuple[str, ...]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the map {path}: {error.strerror}") from None
    try:
        if b"\0" in data:
            raise ValueError
        text = data.decode("utf-8-sig")
    except ValueError:
        raise UserError(f"{path} is no text file; a map is made of S G O . and #") from None
    lines = tuple(line.rstrip() for line in text.rstrip().splitlines())
    if not any(lines):
        raise UserError(f"the map {path} is empty; a map is made of S G O . and #")
    for number, line in enumerate(lines, 1):
        for column, mark in enumerate(line, 1):
            if mark not in "SGO.#":
                raise UserError(
                    f"{path}:{number}: unknown character {mark!r} in column {column};"
                    " a map is made of S (start) G (goal) O (hole) . (free) # (wall)"
                )
        if len(line) != len(lines[0]):
            raise UserError(
                f"{path}:{number}: the line has {len(line)} cells, the first has {len(lines[0])};"
                " all lines must be of one length"
            )
    if len(lines) > LARGEST or len(lines[0]) > LARGEST:
        raise UserError(
            f"the map {path} is {len(lines)} x {len(lines[0])}; up to {LARGEST} x {LARGEST} works"
        )
    starts = [(n, line.find("S") + 1) for n, line in enumerate(lines, 1) if "S" in line]
    count = sum(line.count("S") for line in lines)
    if count == 0:
        raise UserError(f"the map {path} has no start; put one S where episodes begin")
    if count > 1:
        at = ", ".join(f"line {n}" for n, _ in starts)
        raise UserError(f"the map {path} has {count} starts ({at}); one S is needed")
    if not any("G" in line for line in lines):
        raise UserError(f"the map {path} has no goal; put a G where episodes should end")
    return lines


def search(cells, columns, kind, distance, queue):
    """Breadth first from every cell of a kind, backwards over cells one can walk on."""
    head = 0
    tail = 0
    for cell in range(cells.shape[0]):
        distance[cell] = -1
        if cells[cell] == kind:
            distance[cell] = 0
            queue[tail] = cell
            tail += 1
    while head < tail:
        cell = queue[head]
        head += 1
        column = cell % columns
        for way in range(4):
            if way == 0:
                to = cell - columns
            elif way == 1:
                to = cell + columns
            elif way == 2:
                to = cell - 1 if column > 0 else -1
            else:
                to = cell + 1 if column < columns - 1 else -1
            if 0 <= to < cells.shape[0] and cells[to] == FREE and distance[to] < 0:
                distance[to] = distance[cell] + 1
                queue[tail] = to
                tail += 1


def distances(kinds: np.ndarray, kind: int) -> np.ndarray:
    """Steps from every free cell to the nearest cell of a kind; -1 where there is no way."""
    distance = np.empty(kinds.size, np.int64)
    queue = np.empty(kinds.size, np.int64)
    arguments = (kinds.reshape(-1), kinds.shape[1], kind, distance, queue)
    if kinds.size <= PLAIN_CELLS:
        search(*arguments)
    else:
        from qlearn.kernels.build import build

        kernels = build("map search", [search], {})
        kernels.prepare("search", *arguments)
        kernels.search(*arguments)
    return distance


def notes(
    environment: spec.Environment,
    kinds: np.ndarray,
    start: int,
    to_goal: np.ndarray,
    discount: float,
) -> list[str]:
    """What a person should know before training on the map."""
    if to_goal[start] < 0:
        return ["the goal cannot be reached from the start"]
    if environment.options["slip"] > 0.0:
        return []  # the exact solver speaks for boards with chance
    options = environment.options
    later = 1 if options["reward"] == "arrival" else 0
    forever = _endless(options["step_reward"], discount) if _can_wait(kinds, start) else -np.inf
    to_hole = distances(kinds, HOLE)[start]

    def worth(steps: int, reward: float) -> float:
        """The return of walking straight to an end that is `steps` away."""
        walked = steps - later
        if discount == 1.0:
            return options["step_reward"] * walked + reward
        paid = options["step_reward"] * (1.0 - discount**walked) / (1.0 - discount)
        return paid + discount**walked * reward

    goal = worth(int(to_goal[start]), options["goal_reward"])
    hole = worth(int(to_hole), options["hole_reward"]) if to_hole >= 0 else -np.inf
    if hole >= goal and hole >= forever:
        return [
            f"with these rewards and discount {discount:g} ending in a hole is optimal"
            f" ({hole:.4g} against {goal:.4g} at the goal); lower env.hole_reward or raise discount"
        ]
    if forever > goal:
        return [
            f"with these rewards and discount {discount:g} never arriving is optimal"
            f" ({forever:.4g} against {goal:.4g} at the goal); raise env.goal_reward or discount"
        ]
    return []


def _can_wait(kinds: np.ndarray, start: int) -> bool:
    """Whether an episode can go on for ever: not where every first step ends it."""
    row, column = divmod(start, kinds.shape[1])
    walled = np.pad(kinds, 1, constant_values=WALL)
    around = walled[[row, row + 2, row + 1, row + 1], [column + 1, column + 1, column, column + 2]]
    return bool((around < HOLE).any())


def _endless(step_reward: float, discount: float) -> float:
    if discount < 1.0:
        return step_reward / (1.0 - discount)
    return 0.0 if step_reward == 0.0 else float(np.inf if step_reward > 0.0 else -np.inf)
