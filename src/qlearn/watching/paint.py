"""A scene as pixels, by Pillow: drawn larger than asked for, then made smaller, so edges are soft."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from qlearn.errors import missing_extra
from qlearn.watching.palette import palettes
from qlearn.watching.shapes import Shape

FINE = 4.0  # times as many pixels along a side while drawing, of a scene of its own size
LEAST_FINE = 3
LACKING = str.maketrans(
    {"\N{MINUS SIGN}": "-", "\N{MULTIPLICATION SIGN}": "x"}
)  # what Pillow's font has not
MONO = 0.6  # a letter's width of its height


class Painter:
    """Paints frames of one size; what they share is painted once."""

    def __init__(
        self,
        width: int,
        height: int,
        ground: Iterable[Shape] = (),
        *,
        dark: bool = False,
        scale: float = 1.0,
    ) -> None:
        image = _pillow().Image
        self.colours = palettes()["dark" if dark else "light"]
        self.size = (_even(width * scale), _even(height * scale))
        self.finer = max(LEAST_FINE, round(FINE / scale))
        self.factor = self.finer * scale
        large = (self.size[0] * self.finer, self.size[1] * self.finer)
        self.blank = image.new("RGB", large, self.colours["ground"])
        self._draw(self.blank, ground)
        self.canvas = self.blank.copy()

    def paint(self, shapes: Iterable[Shape]) -> Any:
        """The shared ground with these shapes over it, as a PIL.Image."""
        self.canvas.paste(self.blank)
        self._draw(self.canvas, shapes)
        return self.canvas.reduce(self.finer)

    def _draw(self, target: Any, shapes: Iterable[Shape]) -> None:
        for shape in shapes:
            if "alpha" in shape:
                self._faint(target, shape)
            else:
                self._shape(target, shape)

    def _faint(self, target: Any, shape: Shape) -> None:
        """Drawn whole on a copy, of which that share is then laid over."""
        box = self._box(shape, target.size)
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        below = target.crop(box)
        self._shape(target, shape)
        target.paste(_pillow().Image.blend(below, target.crop(box), shape["alpha"]), box)

    def _box(self, shape: Shape, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """What the shape may touch, in pixels of the canvas."""
        if shape["kind"] == "circle":
            places = [
                (shape["x"] + way * shape["r"], shape["y"] + way * shape["r"]) for way in (-1, 1)
            ]
        elif shape["kind"] == "line":
            places = shape["points"]
        elif "w" in shape:
            places = [
                (shape["x"], shape["y"]),
                (shape["x"] + shape["w"], shape["y"] + shape["h"]),
            ]
        else:
            return (0, 0, *size)
        edge = shape.get("width", 1) + 2
        low = [int((min(place[k] for place in places) - edge) * self.factor) for k in (0, 1)]
        high = [int((max(place[k] for place in places) + edge) * self.factor) for k in (0, 1)]
        return (max(0, low[0]), max(0, low[1]), min(size[0], high[0]), min(size[1], high[1]))

    def _shape(self, target: Any, shape: Shape) -> None:
        draw = _pillow().ImageDraw.Draw(target)
        getattr(self, f"_{shape['kind']}")(target, draw, shape)

    def _colour(self, shape: Shape, key: str) -> str | None:
        return self.colours[shape[key]] if key in shape else None

    def _length(self, value: float) -> int:
        return round(value * self.factor)

    def _outline(self, shape: Shape) -> dict[str, Any]:
        width = self._length(shape.get("width", 1)) if "stroke" in shape else 0
        return {
            "fill": self._colour(shape, "fill"),
            "outline": self._colour(shape, "stroke"),
            "width": width,
        }

    def _rect(self, target: Any, draw: Any, shape: Shape) -> None:
        x, y = self._length(shape["x"]), self._length(shape["y"])
        right = self._length(shape["x"] + shape["w"]) - 1
        bottom = self._length(shape["y"] + shape["h"]) - 1
        if right < x or bottom < y:
            return
        box, radius = (x, y, right, bottom), self._length(shape.get("r", 0))
        if radius:
            draw.rounded_rectangle(box, radius, **self._outline(shape))
        else:
            draw.rectangle(box, **self._outline(shape))

    def _circle(self, target: Any, draw: Any, shape: Shape) -> None:
        half = shape.get("width", 1) / 2 if "stroke" in shape else 0  # lies on the edge, as in SVG
        r = shape["r"] + half
        draw.ellipse(
            [round((shape[key] + way * r) * self.factor) for way in (-1, 1) for key in ("x", "y")],
            **self._outline(shape),
        )

    def _line(self, target: Any, draw: Any, shape: Shape) -> None:
        colour, width = self._colour(shape, "stroke"), max(1, self._length(shape["width"]))
        points = [(x * self.factor, y * self.factor) for x, y in shape["points"]]
        draw.line(points, fill=colour, width=width)
        for x, y in points:  # round ends and corners
            r = width / 2 - 0.5
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def _text(self, target: Any, draw: Any, shape: Shape) -> None:
        font, colour = _font(shape["size"] * self.factor), self._colour(shape, "fill")
        place = (shape["x"] * self.factor, shape["y"] * self.factor)
        said = shape["text"].translate(LACKING)
        if shape.get("font") == "mono":
            advance = MONO * shape["size"] * self.factor
            for k, letter in enumerate(said):
                if not letter.isspace():
                    at = (place[0] + (k + 0.5) * advance, place[1])
                    draw.text(at, letter, colour, font, anchor="ms")
            return
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.get("anchor", "start")]
        draw.text(place, said, colour, font, anchor=anchor)

    def _image(self, target: Any, draw: Any, shape: Shape) -> None:
        with _pillow().Image.open(io.BytesIO(base64.b64decode(shape["data"]))) as inner:
            size = (self._length(shape["w"]), self._length(shape["h"]))
            fitted = inner.convert("RGB").resize(size, _pillow().Image.Resampling.BICUBIC)
        target.paste(fitted, (self._length(shape["x"]), self._length(shape["y"])))


def paint(scene: Mapping[str, Any], dark: bool = False, scale: float = 1.0) -> Any:
    """One scene as a PIL.Image."""
    painter = Painter(scene["width"], scene["height"], dark=dark, scale=scale)
    return painter.paint(scene["shapes"])


def frames_of(
    content: Mapping[str, Any], which: Sequence[int], dark: bool = False, scale: float = 1.0
) -> Iterable[Any]:
    """The frames of a clip, painted as they are asked for."""
    painter = Painter(
        content["width"], content["height"], content["ground"], dark=dark, scale=scale
    )
    for k in which:
        yield painter.paint(content["frames"][k]["scene"]["shapes"])


def _even(length: float) -> int:
    """Films want even sides."""
    return max(2, 2 * round(length / 2))


@lru_cache(maxsize=64)
def _font(size: float) -> Any:
    """The font that Pillow brings: the same letters on every machine."""
    return _pillow().ImageFont.load_default(max(1.0, size))


@lru_cache(maxsize=1)
def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError:
        raise missing_extra("Pillow", "watch") from None
    return PIL
