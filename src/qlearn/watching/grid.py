"""A board drawn with what was learned about it: values as shades, arrows, the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qlearn.algorithms.table.board import NO_ARROW, Board, taken_by
from qlearn.envs.builtin.grid import DOWN, FREE, GOAL, HOLE, LEFT, RIGHT, UP, WALL
from qlearn.watching.bars import WIDTH as BARS
from qlearn.watching.bars import bars, height_of
from qlearn.watching.palette import VALUES, step_of
from qlearn.watching.shapes import Shape, arrow, circle, number, rect, text

LARGEST_CELL, WIDEST, HIGHEST = 74.0, 520.0, 380.0
MARGIN, PAD = 16.0, 10.0
MOST_CELLS = 128  # along a side; on larger boards a block of cells becomes one
MOST_TIPS = 1600  # cells that say their numbers when pointed at
ROOM_FOR_VALUE, ROOM_FOR_ARROW = 44.0, 12.0  # the smallest cells that show them
WAYS = {UP: (0, -1), DOWN: (0, 1), LEFT: (-1, 0), RIGHT: (1, 0)}


class Learned(NamedTuple):
    """What is known about every state of a board."""

    board: Board
    table: np.ndarray  # (states, actions)
    discount: float


class GridArtist:
    """`field` is the state's own field that says where the agent is."""

    def __init__(self, environment: Any, learned: Learned, field: str) -> None:
        self.environment, self.learned, self.field = environment, learned, field
        self.names = environment.action_names
        self.rows, self.columns = learned.board.layout.kinds.shape
        self.block = -(-max(self.rows, self.columns) // MOST_CELLS)
        down, right = -(-self.rows // self.block), -(-self.columns // self.block)
        self.cell = min(LARGEST_CELL, WIDEST / right, HIGHEST / down)
        self.board = (right * self.cell + 2 * PAD, down * self.cell + 2 * PAD)
        least = height_of(len(self.names)) + 128
        self.width = int(self.board[0] + 2 * MARGIN + 24 + BARS + 24)
        self.height = int(max(self.board[1], least) + 2 * MARGIN)

    # The board, which stays as it is while a game is played.

    def ground(self) -> list[Shape]:
        shapes = [rect(MARGIN, MARGIN, *self.board, 12, "panel", "pale")]
        shapes += self._cells()
        if self.block == 1 and self.cell >= ROOM_FOR_ARROW:
            shapes += self._arrows()
        if self.block == 1 and self.cell >= ROOM_FOR_VALUE:
            shapes += self._values()
        return shapes

    def _cells(self) -> list[Shape]:
        """Equal neighbours of a row in one piece, where cells are too many to be pointed at."""
        roles = self._roles()
        single = self.rows * self.columns <= MOST_TIPS
        shapes: list[Shape] = []
        for row, line_of_roles in enumerate(roles):
            column = 0
            while column < len(line_of_roles):
                end = column + 1
                while (
                    not single
                    and end < len(line_of_roles)
                    and (line_of_roles[end] == line_of_roles[column])
                ):
                    end += 1
                shapes += self._cell(row, column, end, line_of_roles[column], single)
                column = end
        return shapes

    def _cell(self, row: int, column: int, end: int, role: str, single: bool) -> list[Shape]:
        gap = 0.035 * self.cell if single else 0.0
        x, y = MARGIN + PAD + column * self.cell + gap, MARGIN + PAD + row * self.cell + gap
        w, h = (end - column) * self.cell - 2 * gap, self.cell - 2 * gap
        radius = 0.12 * self.cell if single else None
        tip = self._tip(row * self.columns + column) if single else None
        if role not in ("bad", "good"):
            return [rect(x, y, w, h, radius, role, tip=tip)]
        if not single:
            return [rect(x, y, w, h, None, role)]
        middle, size = (x + w / 2, y + h / 2), 0.2 * self.cell
        mark = (
            circle(*middle, size, role)
            if role == "good"
            else circle(*middle, size, None, role, max(1.5, 0.05 * self.cell))
        )
        return [rect(x, y, w, h, radius, role, alpha=0.14, tip=tip), mark]

    def _roles(self) -> list[list[str]]:
        kinds, values, _, _ = _in_blocks(self.learned.board, self.block)
        known = values[np.isfinite(values)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        special = {WALL: "wall", HOLE: "bad", GOAL: "good"}

        def role(kind: int, value: float) -> str:
            if kind in special:
                return special[kind]
            if not np.isfinite(value):
                return "ground"
            return f"value{step_of(float(value), low, high, VALUES)}"

        return [
            [role(int(kind), value) for kind, value in zip(*row, strict=True)]
            for row in zip(kinds, values, strict=True)
        ]

    def _arrows(self) -> list[Shape]:
        board = self.learned.board
        taken = taken_by(board)
        shapes = []
        for row, column in np.argwhere(board.arrows != NO_ARROW):
            x, y = self._above_value(row * self.columns + column)
            across, down = WAYS[int(board.arrows[row, column])]
            size = 0.15 * self.cell
            on_way = bool(taken[row, column])
            width = max(1.0, (0.05 if on_way else 0.03) * self.cell)
            shapes.append(
                arrow(x, y, across * size, down * size, width, "ink", None if on_way else 0.45)
            )
        return shapes

    def _values(self) -> list[Shape]:
        values = self.learned.board.values
        size = round(min(13.0, 0.18 * self.cell), 1)
        return [
            text(
                (place := self._middle(row * self.columns + column))[0],
                place[1] + 0.37 * self.cell,
                number(float(values[row, column])), size, "ink", "middle",
            )
            for row, column in np.argwhere(np.isfinite(values))
        ]  # fmt: skip

    def _tip(self, state: int) -> str:
        row, column = divmod(state, self.columns)
        kind = int(self.learned.board.layout.kinds[row, column])
        what = {WALL: "wall", HOLE: "hole", GOAL: "goal", FREE: "cell"}[kind]
        what = "start" if state == self.learned.board.layout.start else what
        said = [f"{what}, row {row + 1}, column {column + 1}"]
        if kind == FREE:
            values = self.learned.table[state]
            said += [
                f"{name} {number(float(value))}"
                for name, value in zip(self.names, values, strict=True)
            ]
            said += self._update(state, int(np.argmax(values)))
        return "\n".join(said)

    def _update(self, state: int, action: int) -> list[str]:
        """What the best action's update says here by the board's own dynamics."""
        model = self._model()
        if model is None:
            return []
        chance, ended = model.chance[state, action], model.ended[state, action]
        following = self.learned.table.max(axis=1)[model.to[state, action]]
        reward = float(chance @ model.reward[state, action])
        later = float(chance @ np.where(ended, 0.0, following))
        target = reward + self.learned.discount * later
        error = target - float(self.learned.table[state, action])
        return [
            f"update of {self.names[action]}: {number(reward)} + {self.learned.discount:g} \N{MULTIPLICATION SIGN}"
            f" {number(later)} = {number(target)}, off by {number(error)}"
        ]

    def _model(self) -> Any:
        if not hasattr(self, "_known"):
            model = self.environment.model
            self._known = None if model is None else model(self.environment.world())
        return self._known

    # The agent and what it thinks.

    def moving(
        self,
        state: Mapping[str, Any],
        q: Sequence[float] | None,
        action: int | None,
        caption: str,
        span: tuple[float, float] | None,
    ) -> list[Shape]:
        cell = int(state[self.field])
        layout = self.learned.board.layout
        acts = bool(layout.kinds.flat[cell] == FREE)
        x, y = self._above_value(cell) if acts else self._middle(cell)
        size = max(3.0, 0.25 * self.cell)
        shapes = [circle(x, y, size, "accent", "panel", max(1.0, 0.05 * self.cell))]
        if action is not None and acts and self.cell >= ROOM_FOR_ARROW:
            across, down = WAYS[layout.directions[action]]
            reach = 0.11 * self.cell
            shapes.append(
                arrow(x, y, across * reach, down * reach, max(1.0, 0.04 * self.cell), "panel")
            )
        aside = self.board[0] + 2 * MARGIN + 24
        words = caption.split(" · ")
        shapes.append(text(aside, MARGIN + 32, words[0], 22))
        shapes += [text(aside, MARGIN + 56, " · ".join(words[1:]), 14, "soft")] if words[1:] else []
        if q is not None:
            shapes += bars(aside, MARGIN + 96, self.names, q, action, span)
        return shapes

    def _above_value(self, state: int) -> tuple[float, float]:
        x, y = self._middle(state)
        return x, y - (0.09 * self.cell if self.cell >= ROOM_FOR_VALUE else 0.0)

    def _middle(self, state: int) -> tuple[float, float]:
        row, column = divmod(state, self.columns)
        start = MARGIN + PAD + self.cell / 2
        return (
            float(start + column // self.block * self.cell),
            float(start + row // self.block * self.cell),
        )


def _in_blocks(board: Board, block: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Kinds and values, on boards too large to be drawn cell by cell of whole blocks."""
    kinds, values = board.layout.kinds, board.values
    if block == 1:
        return kinds, values, *kinds.shape
    rows, columns = (-(-side // block) for side in kinds.shape)
    missing = ((0, rows * block - kinds.shape[0]), (0, columns * block - kinds.shape[1]))
    shape = (rows, block, columns, block)
    parts = np.pad(kinds, missing, mode="edge").reshape(shape)
    most = np.where((parts == WALL).mean(axis=(1, 3)) > 0.5, WALL, FREE)
    for kind in (HOLE, GOAL):  # rare and important: one in a block is enough
        most[(parts == kind).any(axis=(1, 3))] = kind
    known = np.pad(np.isfinite(values), missing).reshape(shape)
    sums = np.pad(np.nan_to_num(values), missing).reshape(shape).sum(axis=(1, 3))
    counts = known.sum(axis=(1, 3))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return most.astype(np.int8), means, rows, columns
