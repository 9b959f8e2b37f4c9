"""The shapes of a scene: plain JSON, places in pixels, colours by their roles.

A text's `y` is its baseline, lines have round ends and corners, later shapes lie over earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Shape = dict[str, Any]
Point = Sequence[float]


def _shape(kind: str, **given: Any) -> Shape:
    """Without what was left out; a tenth of a pixel is fine enough, and short."""
    kept = {key: value for key, value in given.items() if value is not None}
    return {"kind": kind, **{key: _short(value) for key, value in kept.items()}}


def _short(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded


def rect(
    x: float,
    y: float,
    w: float,
    h: float,
    r: float | None = None,
    fill: str | None = None,
    stroke: str | None = None,
    alpha: float | None = None,
    tip: str | None = None,
) -> Shape:
    shape = _shape("rect", x=x, y=y, w=w, h=h, r=r, fill=fill, stroke=stroke, tip=tip)
    return _faint(shape, alpha)


def circle(
    x: float,
    y: float,
    r: float,
    fill: str | None = None,
    stroke: str | None = None,
    width: float | None = None,
    alpha: float | None = None,
) -> Shape:
    return _faint(_shape("circle", x=x, y=y, r=r, fill=fill, stroke=stroke, width=width), alpha)


def line(points: Iterable[Point], width: float, stroke: str, alpha: float | None = None) -> Shape:
    places = [[_short(float(x)), _short(float(y))] for x, y in points]
    return _faint(_shape("line", points=places, width=width, stroke=stroke), alpha)


def text(
    x: float,
    y: float,
    said: str,
    size: float,
    fill: str = "ink",
    anchor: str = "start",
    mono: bool = False,
) -> Shape:
    font = "mono" if mono else None
    return _shape("text", x=x, y=y, text=said, size=size, fill=fill, anchor=anchor, font=font)


def image(x: float, y: float, w: float, h: float, data: str) -> Shape:
    return _shape("image", x=x, y=y, w=w, h=h, data=data)


def _faint(shape: Shape, alpha: float | None) -> Shape:
    return shape if alpha is None else shape | {"alpha": round(alpha, 2)}


def arrow(x: float, y: float, dx: float, dy: float, width: float, stroke: str, alpha=None) -> Shape:
    """One line from (x - dx, y - dy) to (x + dx, y + dy) with its head, drawn in one go."""
    tip_x, tip_y = x + dx, y + dy
    left = (tip_x - 0.8 * dx - 0.8 * dy, tip_y - 0.8 * dy + 0.8 * dx)
    right = (tip_x - 0.8 * dx + 0.8 * dy, tip_y - 0.8 * dy - 0.8 * dx)
    tip = (tip_x, tip_y)
    return line([(x - dx, y - dy), tip, left, tip, right], width, stroke, alpha)


def number(value: float) -> str:
    """Three digits, as a person reads values: 4.58, 31.2, 1,240; a true minus sign."""
    size = abs(value)
    decimals = 2 if size < 10 else 1 if size < 100 else 0
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
