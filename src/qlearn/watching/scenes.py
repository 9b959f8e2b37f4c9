"""One frame of one game as a scene: `{"width", "height", "shapes"}`, plain JSON without colours.

An artist knows how one kind of game is drawn: `ground()`, what stays the same through a game, and
`moving(state, q, action, caption, span)`, what does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from qlearn.kernels.bind import plain_value
from qlearn.watching.bars import WIDTH as BARS
from qlearn.watching.bars import bars, height_of
from qlearn.watching.shapes import Shape, image, rect, text

MARGIN = 16.0
LETTER = 15.0  # of games drawn as text
ADVANCE = 0.6  # a letter's width of its height
MOST_BARS = 8
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # a terminal's
WIDEST, HIGHEST = 480.0, 400.0  # of a game that comes as a picture


class Artist(Protocol):
    width: int
    height: int

    def ground(self) -> list[Shape]: ...

    def moving(
        self,
        state: Mapping[str, Any],
        q: Sequence[float] | None,
        action: int | None,
        caption: str,
        span: tuple[float, float] | None,
    ) -> list[Shape]: ...


def scene_of(
    environment: Any,
    state: Mapping[str, Any],
    q: Sequence[float] | None = None,
    action: int | None = None,
    caption: str = "",
    *,
    span: tuple[float, float] | None = None,
    table: np.ndarray | None = None,
    discount: float | None = None,
) -> dict[str, Any]:
    """The whole scene of one state; `table` (states, actions) shades a board's cells.

    A state is the environment's own fields; of Gymnasium's environments `{"image": base64,
    "width", "height"}`. Bars of Q go from `span[0]` to `span[1]`.
    """
    artist = artist_of(environment, table, discount)
    shapes = artist.moving(state, q, action, caption, span)
    return scene(artist, [*artist.ground(), *shapes])


def scene(artist: Artist, shapes: list[Shape]) -> dict[str, Any]:
    return {"width": artist.width, "height": artist.height, "shapes": shapes}


def artist_of(
    environment: Any,
    table: np.ndarray | None = None,
    discount: float | None = None,
    initial: float = 0.0,
    size: tuple[int, int] | None = None,
) -> Artist:
    """Who draws this environment; `size` is the size of its own pictures, where it makes them."""
    names = environment.action_names or tuple(f"action {k}" for k in range(environment.actions))
    if size is not None:
        return PictureArtist(size, names)
    if environment.kind == "builtin" and environment.name == "cartpole":
        from qlearn.watching.cartpole import CartPoleArtist

        return CartPoleArtist(names)
    if environment.kind == "builtin" and environment.name == "snake":
        from qlearn.watching.snake import SnakeArtist

        options = environment.options
        return SnakeArtist(options["size"], options["start_length"], names)
    on_board = _board(environment, table, discount, initial)
    return on_board or TextArtist(environment, names)


def _board(
    environment: Any, table: np.ndarray | None, discount: float | None, initial: float
) -> Artist | None:
    """Of environments whose state is the number of a cell."""
    from qlearn.envs.layout import layout_of

    fields: Sequence[str] = environment.state.names if environment.compiled else ()
    if len(fields) != 1 or layout_of(environment) is None:
        return None
    from qlearn.algorithms.table.board import board_of
    from qlearn.watching.grid import GridArtist, Learned

    if table is None:
        table = np.full((environment.observation, environment.actions), initial)
    discount = environment.discount if discount is None else discount
    learned = Learned(board_of(environment, table, initial), table, discount)
    return GridArtist(environment, learned, fields[0])


class Beside:
    """A game at the left, its caption and the bars of Q at the right of it."""

    def __init__(self, width: float, height: float, names: Sequence[str]) -> None:
        self.names = names
        self.inner = (width, height)
        least = 96 + height_of(len(names)) if len(names) <= MOST_BARS else 96
        self.width = int(width + 2 * MARGIN + 24 + BARS + 24)
        self.height = int(max(height, least) + 2 * MARGIN)

    def ground(self) -> list[Shape]:
        return [rect(MARGIN, MARGIN, *self.inner, 12, "panel", "pale")]

    def aside(
        self,
        q: Sequence[float] | None,
        action: int | None,
        caption: str,
        span: tuple[float, float] | None,
    ) -> list[Shape]:
        x = self.inner[0] + 2 * MARGIN + 24
        first, *more = caption.split(" · ")
        shapes = [text(x, MARGIN + 26, first, 22)]
        if more:
            shapes.append(text(x, MARGIN + 50, " · ".join(more), 14, "soft"))
        if q is not None and len(self.names) <= MOST_BARS:
            shapes += bars(x, MARGIN + 88, self.names, q, action, span)
        elif action is not None:
            shapes.append(text(x, MARGIN + 102, self.names[action], 14))
        return shapes


class TextArtist(Beside):
    """As the environment draws itself for a terminal, or field by field."""

    def __init__(self, environment: Any, names: Sequence[str]) -> None:
        self.environment = environment
        world: Any = environment.world()
        self.world = world._make(map(plain_value, world))
        super().__init__(456.0, 380.0, names)

    def moving(self, state, q, action, caption, span):
        lines = COLOURS.sub("", self._text(state)).expandtabs().splitlines() or [""]
        longest = max(1, *(len(line) for line in lines))
        width, height = self.inner
        size = min(
            LETTER + 5, (width - 40) / (ADVANCE * longest), (height - 40) / (1.25 * len(lines))
        )
        x = MARGIN + (width - ADVANCE * size * longest) / 2
        y = MARGIN + (height - 1.25 * size * len(lines)) / 2 + size
        fixed = [line.replace(" ", "\N{NO-BREAK SPACE}") for line in lines]
        return [
            *(
                text(x, y + 1.25 * size * k, line, size, mono=True)
                for k, line in enumerate(fixed)
                if line.strip()
            ),
            *self.aside(q, action, caption, span),
        ]

    def _text(self, state: Mapping[str, Any]) -> str:
        from types import SimpleNamespace

        if self.environment.draw is not None:
            return self.environment.picture(SimpleNamespace(**state), self.world)
        return "\n".join(f"{key} = {value}" for key, value in state.items())


class PictureArtist(Beside):
    """As Gymnasium's environment paints itself."""

    def __init__(self, size: tuple[int, int], names: Sequence[str]) -> None:
        factor = min(1.0, WIDEST / size[0], HIGHEST / size[1])
        super().__init__(round(size[0] * factor), round(size[1] * factor), names)

    def ground(self):
        return []

    def moving(self, state, q, action, caption, span):
        return [
            image(MARGIN, MARGIN, *self.inner, state["image"]),
            rect(MARGIN, MARGIN, *self.inner, stroke="pale"),
            *self.aside(q, action, caption, span),
        ]
