"""A design as a drawing: one ring's stages from top to bottom, its memories beside them.

Upright and narrow, so that it can be read on a telephone; colours are those of the page around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from qlearn.hardware.generate import WIDE, bits_for

WIDTH, LEFT, STAGE, MEMORY, RIGHT = 400, 34, 196, 256, 396
ROW, BOX, TOP = 58, 44, 98
CENTRE = LEFT + STAGE / 2


class Stage(NamedTuple):
    name: str
    clocks: int
    what: str
    memory: tuple[str, str] | None = None  # its name and its size
    writes: bool = False


def stages(manifest: Mapping[str, Any]) -> list[Stage]:
    """The way of one update through a ring; the clocks add up to the manifest's depth."""
    actions, width = manifest["actions"], manifest["width"]
    levels, lines = bits_for(actions), manifest["states"] * actions
    comparators = f"{actions - 1} comparator" + "s" * (actions != 2)
    entries = manifest["agents"] * manifest["states"]
    world = f"{lines:,} lines" + f" of {manifest['outcomes']}" * (manifest["outcomes"] > 1)
    return [
        Stage("greedy action of s", levels, comparators),
        Stage("choose a", 1, "greedy, or any by chance"),
        Stage("environment", 3, "s', r, ended", ("environment", world)),
        Stage("read Q(s', .)", 2, "all actions at once", _tables(actions, entries, width)),
        Stage("max Q(s', .)", levels, comparators),
        Stage("update", 5 + (width > WIDE), "3 multipliers, 1 rounding"),
        Stage("write, forward", 1, "Q(s, a)", ("the same tables", "second port"), writes=True),
    ]


def _tables(actions: int, entries: int, width: int) -> tuple[str, str]:
    return f"{actions} table{'s' * (actions != 1)}", f"{entries:,} x {width} bits"


def svg(manifest: Mapping[str, Any]) -> str:
    """The drawing, for a page that has the style classes `box`, `store`, `wire` and `soft`."""
    way = stages(manifest)
    bottom = TOP + ROW * len(way)
    shapes = [
        _host(manifest),
        *(_stage(stage, TOP + ROW * place) for place, stage in enumerate(way)),
        *(
            _wire(f"M{CENTRE} {TOP + ROW * k - ROW + BOX}V{TOP + ROW * k - 2}")
            for k in range(1, len(way))
        ),
        _around(manifest, bottom),
    ]
    label = f"{manifest['rings']} rings of {len(way)} parts, {manifest['depth']} clocks"
    return (
        f'<svg class="diagram" viewBox="0 0 {WIDTH} {bottom + 40}" role="img"'
        f' aria-label="{escape(label)}"><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4"'
        ' markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
        f'<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>{"".join(shapes)}</svg>'
    )


def _host(manifest: Mapping[str, Any]) -> str:
    rings = manifest["rings"]
    many = f"to all {rings} rings; this is one" if rings > 1 else "to the ring"
    return (
        _box("box", LEFT, 2, RIGHT - LEFT, BOX)
        + _text(LEFT + 10, 21, "host port (AXI4-Lite)")
        + _text(LEFT + 10, 38, "alpha, gamma, epsilon, seed; tables; counters", "soft")
        + _wire(f"M{CENTRE} {BOX + 2}V{TOP - 2}", both=True)
        + _text(CENTRE + 10, 76, many, "soft")
    )


def _stage(stage: Stage, top: float) -> str:
    clocks = f"{stage.clocks} clock" + "s" * (stage.clocks != 1)
    parts = [
        _box("box", LEFT, top, STAGE, BOX),
        _text(LEFT + 10, top + 19, stage.name),
        _text(LEFT + STAGE - 10, top + 19, clocks, "soft", "end"),
        _text(LEFT + 10, top + 36, stage.what, "soft"),
    ]
    if stage.memory:
        name, size = stage.memory
        begin, end = LEFT + STAGE + 2, MEMORY - 2
        along = (begin, end) if stage.writes else (end, begin)
        parts += [
            _box("store", MEMORY, top, RIGHT - MEMORY, BOX),
            _text(MEMORY + 8, top + 19, name),
            _text(MEMORY + 8, top + 36, size, "soft"),
            _wire(f"M{along[0]} {top + BOX / 2}H{along[1]}"),
        ]
    return "".join(parts)


def _around(manifest: Mapping[str, Any], bottom: float) -> str:
    """Back to the beginning: the row goes around with its agent."""
    waiting = manifest["agents"] - manifest["depth"]
    said = "s' and its row go around: the agent's next turn"
    if waiting:
        said += f", {waiting} clock{'s' * (waiting != 1)} later"
    return _wire(
        f"M{CENTRE} {bottom - ROW + BOX}V{bottom + 4}H12V{TOP + BOX / 2}H{LEFT - 2}"
    ) + _text(12, bottom + 24, said, "soft")


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>'


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _wire(path: str, both: bool = False) -> str:
    begin = ' marker-start="url(#tip)"' * both
    return f'<path class="wire" d="{path}" marker-end="url(#tip)"{begin}/>'
