"""Q as bars, one an action: what the network thinks of every move at this moment."""

from __future__ import annotations

from collections.abc import Sequence

from qlearn.watching.shapes import Shape, number, rect, text

WIDTH = 152  # of a column of bars
ROW = 46
SHORTEST = 6.0


def bars(
    x: float,
    y: float,
    names: Sequence[str],
    q: Sequence[float],
    chosen: int | None,
    span: tuple[float, float] | None = None,
    width: float = WIDTH,
) -> list[Shape]:
    """Name, value and bar of every action, the chosen one in the accent; `span` is a whole bar."""
    low, high = span or (min(q), max(q))
    shapes: list[Shape] = []
    for k, (name, value) in enumerate(zip(names, q, strict=True)):
        top = y + k * ROW
        strong = k == chosen
        share = (value - low) / (high - low) if high > low else 0.5
        share = min(1.0, max(0.0, share))
        shapes += [
            text(x, top + 14, name, 14, "ink" if strong else "soft"),
            text(x + width, top + 14, number(value), 14, "ink" if strong else "soft", "end"),
            rect(x, top + 22, width, 6, 3, "pale"),
            rect(
                x, top + 22, SHORTEST + share * (width - SHORTEST), 6, 3,
                "accent" if strong else "track",
            ),
        ]  # fmt: skip
    return shapes


def height_of(actions: int) -> int:
    return actions * ROW - 10
