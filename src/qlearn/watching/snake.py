"""Snake drawn from its state: the body fades towards the tail, which leaves its cell first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qlearn.envs.builtin.snake_views import NO_FOOD, columns_right, rows_down
from qlearn.watching.bars import WIDTH as BARS
from qlearn.watching.bars import bars
from qlearn.watching.palette import BODY, step_of
from qlearn.watching.shapes import Shape, circle, line, rect, text

BOARD = 380.0
MARGIN = 16.0
PAD = 12.0  # between the board's edge and its cells


class SnakeArtist:
    height = int(BOARD + 2 * MARGIN)

    def __init__(self, size: int, start_length: int, names: Sequence[str]) -> None:
        self.size, self.start_length, self.names = size, start_length, names
        self.cell = (BOARD - 2 * PAD) / size
        self.width = int(BOARD + 2 * MARGIN + 24 + BARS + 24)

    def ground(self) -> list[Shape]:
        gap = max(1.0, self.cell * 0.06)
        side, radius = self.cell - 2 * gap, self.cell * 0.14
        first = MARGIN + PAD + gap
        return [
            rect(MARGIN, MARGIN, BOARD, BOARD, 12, "panel", "wall"),
            *(
                rect(
                    first + column * self.cell,
                    first + row * self.cell,
                    side,
                    side,
                    radius,
                    "ground",
                )
                for row in range(self.size)
                for column in range(self.size)
            ),
        ]

    def moving(
        self,
        state: Mapping[str, Any],
        q: Sequence[float] | None,
        action: int | None,
        caption: str,
        span: tuple[float, float] | None,
    ) -> list[Shape]:
        shapes = []
        if state["food"] != NO_FOOD:
            shapes.append(circle(*self._middle(state["food"]), 0.3 * self.cell, "food"))
        shapes += self._body(state)
        x = BOARD + 2 * MARGIN + 24
        shapes += [
            text(x, MARGIN + 48, str(int(state["length"]) - self.start_length), 48),
            text(x, MARGIN + 74, caption, 14, "soft"),
        ]
        if q is not None:
            order = _from_left(self.names)
            chosen = order.index(action) if action is not None else None
            shapes += bars(
                x, MARGIN + 116, [self.names[k] for k in order], [q[k] for k in order], chosen, span
            )
        return shapes

    def _middle(self, cell: int) -> tuple[float, float]:
        row, column = divmod(int(cell), self.size)
        start = MARGIN + PAD + self.cell / 2
        return start + column * self.cell, start + row * self.cell

    def _body(self, state: Mapping[str, Any]) -> list[Shape]:
        """Stretches of one shade each, from the tail on: where they meet, the younger lies over."""
        length, room = int(state["length"]), len(state["ring"])
        tail = int(state["head"]) + 1 - length
        places = [self._middle(state["ring"][(tail + k) % room]) for k in range(length)]
        thick = 0.66 * self.cell
        shapes = []
        for shade in range(BODY):
            steps = [k for k in range(length) if step_of(k, 0, length - 1, BODY) == shade]
            if steps:
                stretch = places[max(0, steps[0] - 1) : steps[-1] + 1]
                shapes.append(line(_corners(stretch), thick, f"body{shade}"))
        return shapes + self._head(places[-1], int(state["heading"]))

    def _head(self, place: tuple[float, float], heading: int) -> list[Shape]:
        x, y = place
        down, right = rows_down(heading), columns_right(heading)
        eye = 0.15 * self.cell
        return [
            circle(x, y, 0.38 * self.cell, "head"),
            *(
                circle(
                    x + 0.1 * self.cell * right + side * eye * down,
                    y + 0.1 * self.cell * down + side * eye * right,
                    0.065 * self.cell + 0.5,
                    "panel",
                )
                for side in (-1, 1)
            ),
        ]


def _corners(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without the places in the middle of a straight stretch."""
    kept = [
        here
        for before, here, after in zip(places, places[1:], places[2:], strict=False)
        if not (before[0] == here[0] == after[0] or before[1] == here[1] == after[1])
    ]
    return [places[0], *kept, places[-1]]


def _from_left(names: Sequence[str]) -> list[int]:
    """Relative moves as they lie before the snake: left, straight, right."""
    if "straight" not in names:
        return list(range(len(names)))
    return [names.index(name) for name in ("left", "straight", "right")]
