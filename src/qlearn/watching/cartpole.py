"""CartPole drawn from its state: track, cart, pole, the push, and Q of both pushes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qlearn.envs.builtin.cartpole import ANGLE_LIMIT, POSITION_LIMIT
from qlearn.watching.bars import bars
from qlearn.watching.shapes import Shape, circle, line, rect, text

WIDTH, HEIGHT = 640, 352
UNIT = 112.0  # pixels of one metre on the track
MIDDLE, TRACK = 320.0, 250.0
CART = (84.0, 36.0)
POLE = 132.0
BAR = 244.0


class CartPoleArtist:
    width, height = WIDTH, HEIGHT

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def ground(self) -> list[Shape]:
        reach = POSITION_LIMIT * UNIT
        ends = (MIDDLE - reach, MIDDLE + reach)
        return [
            rect(16, 16, WIDTH - 32, HEIGHT - 32, 12, "panel", "pale"),
            line([(ends[0], TRACK), (ends[1], TRACK)], 3, "track"),
            *(line([(x, TRACK - 9), (x, TRACK + 9)], 3, "track") for x in ends),
            line([(MIDDLE, TRACK + 7), (MIDDLE, TRACK + 13)], 2, "pale"),
        ]

    def moving(
        self,
        state: Mapping[str, Any],
        q: Sequence[float] | None,
        action: int | None,
        caption: str,
        span: tuple[float, float] | None,
    ) -> list[Shape]:
        x, angle = MIDDLE + UNIT * float(state["position"]), float(state["angle"])
        width, height = CART
        top = TRACK - height - 5
        shapes = [
            text(36, 48, caption, 15, "soft"),
            text(
                WIDTH - 36,
                48,
                f"{math.degrees(angle):+.1f}°".replace("-", "\N{MINUS SIGN}"),
                15,
                "soft",
                "end",
            ),
            *(
                line([(x, top), _along(x, top, way * ANGLE_LIMIT, POLE + 18)], 1.5, "pale")
                for way in (-1, 1)
            ),
            rect(x - width / 2, top, width, height, 7, "wall"),
            *(circle(x + side * 24, TRACK - 5, 6.5, "wall", "panel", 2.5) for side in (-1, 1)),
            line([(x, top + 3), _along(x, top + 3, angle, POLE)], 10, "accent"),
            circle(x, top + 3, 4, "panel"),
        ]
        if action is not None:
            shapes.append(_push(x, top + height / 2, 1 if action else -1))
        if q is not None:
            places = (36.0, WIDTH - 36.0 - BAR)
            for k, place in enumerate(places):
                chosen = 0 if action == k else None
                limits = span or (min(q), max(q))
                shapes += bars(place, 284, self.names[k : k + 1], q[k : k + 1], chosen, limits, BAR)
        return shapes


def _along(x: float, y: float, angle: float, length: float) -> tuple[float, float]:
    return x + length * math.sin(angle), y - length * math.cos(angle)


def _push(x: float, y: float, way: int) -> Shape:
    """An arrow head on the side where the cart is pushed to."""
    at = x + way * (CART[0] / 2 + 16)
    return line([(at - way * 6, y - 7), (at + way * 2, y), (at - way * 6, y + 7)], 3, "accent")
