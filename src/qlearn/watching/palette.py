"""Roles and their colours: what is drawn names a role, light and dark give it a colour."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

VALUES = 10  # steps of the ramp value0 .. value9, pale to strong
BODY = 10  # of body0 .. body9, tail to neck


@cache
def palettes() -> dict[str, dict[str, str]]:
    """`light` and `dark`: every role's colour as #rrggbb."""
    return json.loads(files(__package__).joinpath("palette.json").read_text(encoding="utf-8"))


def step_of(value: float, low: float, high: float, steps: int) -> int:
    """Which step of a ramp a value between low and high has; the middle where all are alike."""
    if not high > low:
        return steps // 2
    return min(steps - 1, max(0, int((value - low) / (high - low) * steps)))
