"""What a table learned about a board: values, the greedy policy, and the way it takes; as text."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qlearn.envs.builtin.grid import FREE, GOAL, HOLE, WALL
from qlearn.envs.layout import WITH_BOARD, Layout, layout_of
from qlearn.errors import UserError

NO_ARROW = -1
MOST_BOXED_ROWS = 12  # with more, boxes are taller than a screen
MOST_ROWS = 100
NARROWEST = 4  # characters of a cell that shows a value


class Board(NamedTuple):
    layout: Layout
    values: np.ndarray  # (rows, columns), of the best action; nan where `arrows` has none
    arrows: np.ndarray  # (rows, columns) UP, DOWN, LEFT, RIGHT of the greedy action, or NO_ARROW
    way: tuple[int, ...]  # the states from the start on; empty where chance has a say
    ending: str  # goal | hole | circles | open: where the way leads


def board_of(environment: Any, table: np.ndarray, initial: float = 0.0) -> Board:
    """The board of a table (states, actions) whose entries began at `initial`.

    Walls and ends have no arrow: nobody acts there. Nor have cells whose actions are all worth
    what they were at first: greedy there is the action with the lowest number, for no reason.
    """
    layout = layout_of(environment)
    if layout is None:
        raise UserError(f"{environment.name} is no board; {', '.join(WITH_BOARD)} are")
    shape = layout.kinds.shape
    best = np.argmax(table, axis=1)
    highest = table.max(axis=1)
    decided = np.any(table != initial, axis=1) & (layout.kinds.reshape(-1) == FREE)
    arrows = np.where(decided, np.array(layout.directions)[best], NO_ARROW)
    values = np.where(decided, highest, np.nan)
    way, ending = _way(environment, layout, best)
    return Board(layout, values.reshape(shape), arrows.reshape(shape), way, ending)


def _way(environment: Any, layout: Layout, best: np.ndarray) -> tuple[tuple[int, ...], str]:
    """Where the greedy policy goes from the start, if chance never decides."""
    model = environment.model(environment.world()) if environment.model is not None else None
    if model is None or not model.deterministic:
        return (), "open"
    kinds = layout.kinds.reshape(-1)
    cell, way = layout.start, {}  # a dict keeps the order and finds a cell at once
    while cell not in way:
        way[cell] = True
        if kinds[cell] != FREE:
            return tuple(way), "goal" if kinds[cell] == GOAL else "hole"
        cell = int(model.to[cell, best[cell], 0])
    return (*way, cell), "circles"


def summary(board: Board) -> str:
    """One line: where the greedy policy goes."""
    moves = len(board.way) - 1
    said = {
        "goal": f"from the start the greedy policy reaches the goal in {moves} moves",
        "hole": f"from the start the greedy policy falls into a hole after {moves} moves",
        "circles": "from the start the greedy policy goes round in circles",
        "open": "where one goes is partly chance; arrows are what the policy tries",
    }
    return said[board.ending]


def taken_by(board: Board) -> np.ndarray:
    """The cells (rows, columns) on the way from the start."""
    taken = np.zeros(board.arrows.shape, np.bool_)
    taken.flat[list(board.way)] = True
    return taken


def decimals_of(values: np.ndarray) -> int:
    """As many decimals as give the largest value three digits, the same for all."""
    known = np.abs(values[np.isfinite(values)])
    largest = float(known.max()) if known.size else 0.0
    if largest == 0.0:
        return 0
    return int(np.clip(2 - np.floor(np.log10(largest)), 0, 4))


def number(value: float, decimals: int) -> str:
    """With so many decimals, and no minus before nothing."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


# As text.


class Marks(NamedTuple):
    """The characters a board is drawn with."""

    arrows: str  # up, down, left, right
    on_the_way: str
    wall: str
    unknown: str
    flat: str  # sides of boxes
    side: str
    corners: tuple[tuple[str, str, str], ...]  # of the top, the middle and the bottom


CORNERS = (("┌", "┬", "┐"), ("├", "┼", "┤"), ("└", "┴", "┘"))
FINE = Marks("↑↓←→", "⇑⇓⇐⇒", "█", "·", "─", "│", CORNERS)
PLAIN = Marks("^v<>", "^v<>", "#", ".", "-", "|", (("+", "+", "+"),) * 3)


def text(board: Board, width: int = 100, marks: Marks = FINE) -> str:
    """The board in at most `width` characters: with values, else arrows alone, else a part."""
    rows, columns = board.layout.kinds.shape
    said = ["", *_legend(board, marks), summary(board)]
    if rows <= MOST_ROWS and columns * NARROWEST <= width:
        for draw in (_boxed, _spaced) if rows <= MOST_BOXED_ROWS else (_spaced,):
            for decimals in range(decimals_of(board.values), -1, -1):
                drawn = draw(board, decimals, marks)
                if len(drawn[0]) <= width:
                    return "\n".join([*drawn, *said])
    window, note = _window(board, width)
    gap = " " if 2 * columns - 1 <= width else ""
    drawn = [gap.join(row) for row in _glyphs(board, marks)[window]]
    return "\n".join([*drawn, "", note, *said[1:]])


def encodable(encoding: str | None) -> Marks:
    """Arrows where the terminal can show them, ^ v < > elsewhere."""
    try:
        (FINE.arrows + FINE.on_the_way + FINE.wall + "┌─│·").encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return FINE


def _glyphs(board: Board, marks: Marks) -> np.ndarray:
    """One character a cell (rows, columns); the start shows itself, not its arrow."""
    kinds = board.layout.kinds
    glyphs = _arrows(board, marks)
    glyphs[kinds == WALL] = marks.wall
    glyphs[kinds == HOLE] = "O"
    glyphs[kinds == GOAL] = "G"
    glyphs.flat[board.layout.start] = "S"
    return glyphs


def _arrows(board: Board, marks: Marks) -> np.ndarray:
    # NO_ARROW is -1, which finds the last character.
    usual = np.array([*marks.arrows, marks.unknown])[board.arrows]
    on_the_way = np.array([*marks.on_the_way, marks.unknown])[board.arrows]
    return np.where(taken_by(board), on_the_way, usual)


def _written(board: Board, decimals: int) -> np.ndarray:
    """Every value as text, nothing where there is none."""
    return np.array(
        [
            ["" if np.isnan(value) else number(value, decimals) for value in row]
            for row in board.values
        ]
    )


def _cells(board: Board, decimals: int, marks: Marks, room: int) -> tuple[list, list]:
    """The upper and the lower half of every cell, each as wide as the widest value plus `room`."""
    written = _written(board, decimals)
    wide = max(3, max(map(len, written.flat))) + room
    glyphs, arrows = _glyphs(board, marks), _arrows(board, marks)
    upper = [[glyph.center(wide) for glyph in row] for row in glyphs]
    row, column = divmod(board.layout.start, glyphs.shape[1])
    arrow, left = str(arrows[row, column]).center(wide), 1 if wide > 4 else 0
    upper[row][column] = f"{arrow[:left]}S{arrow[left + 1 :]}"
    lower = [[value.rjust(wide - room // 2).ljust(wide) for value in row] for row in written]
    for row, column in np.argwhere(board.layout.kinds == WALL):
        upper[row][column] = lower[row][column] = marks.wall * wide
    return upper, lower


def _boxed(board: Board, decimals: int, marks: Marks) -> list[str]:
    upper, lower = _cells(board, decimals, marks, room=2)
    side, line = marks.side, marks.flat * len(upper[0][0])
    edges = [
        left + cross.join([line] * len(upper[0])) + right for left, cross, right in marks.corners
    ]
    lines = [edges[0]]
    for one, other in zip(upper, lower, strict=True):
        lines += [side + side.join(half) + side for half in (one, other)]
        lines.append(edges[1])
    return [*lines[:-1], edges[2]]


def _spaced(board: Board, decimals: int, marks: Marks) -> list[str]:
    upper, lower = _cells(board, decimals, marks, room=0)
    lines = []
    for one, other in zip(upper, lower, strict=True):
        lines += [" ".join(one), " ".join(other), ""]
    return lines[:-1]


def _window(board: Board, width: int) -> tuple[tuple[slice, slice], str]:
    """The part of the board that fits, around the start, and what to say about it."""
    rows, columns = board.layout.kinds.shape
    row, column = divmod(board.layout.start, columns)
    high, wide = min(rows, MOST_ROWS), min(columns, width)
    top = min(max(0, row - high // 2), rows - high)
    left = min(max(0, column - wide // 2), columns - wide)
    window = (slice(top, top + high), slice(left, left + wide))
    if (high, wide) == (rows, columns):
        return window, "arrows only: a wider terminal or --png FILE also shows the values"
    return window, (
        f"rows {top + 1} to {top + high} and columns {left + 1} to {left + wide} of a board of"
        f" {rows} x {columns}, around the start; --png FILE shows all of it"
    )


def _legend(board: Board, marks: Marks) -> list[str]:
    kinds, free = board.layout.kinds, board.layout.kinds == FREE
    entries = [
        ("S start", True),
        ("G goal", bool(np.any(kinds == GOAL))),
        ("O hole", bool(np.any(kinds == HOLE))),
        (f"{marks.wall} wall", bool(np.any(kinds == WALL))),
        (f"{marks.on_the_way[-1]} the way from the start",
         len(board.way) > 1 and marks.on_the_way != marks.arrows),
        (f"{marks.unknown} nothing learned", bool(np.any(free & (board.arrows == NO_ARROW)))),
    ]  # fmt: skip
    return ["   ".join(entry for entry, there in entries if there)]
