"""The comparison as a picture: every turn's seconds, every pair's ratio, stages of each side."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qlearn import plotting
from qlearn.compare.names import short
from qlearn.errors import UserError
from qlearn.profiling.report import words
from qlearn.runs.files import write_bytes

FORMATS = {".png": plotting.png, ".svg": plotting.svg}
TURN, MIDDLE = "#2f6db5", "#d4552b"
# Kinds of stages, as on the page of `profile`; within a kind, each paler than the one before.
KINDS = {
    "playing": "#3b6fb6",
    "data": "#3f8f5f",
    "learning": "#8a5bb5",
    "showing": "#c07a2c",
    "waiting": "#8796a5",
    "rest": "#b9c0c7",
}
WIDTH, ROW, TOP, BOTTOM = 8.0, 0.42, 0.55, 0.55  # inches
LINE, NAME = 105, 28  # letters that fit
LEFT, RIGHT, BETWEEN = 0.24, 0.97, 0.05  # shares of the width
PALER, PALEST = 0.14, 0.55  # shares of white
LETTER = 0.009  # of a band; a stage without room for its name stays without
DECADES_FROM = 8.0  # times; less is drawn on a plain axis from zero


def path(name: str | Path) -> Path:
    """Where the picture goes; refused before anything is measured for it."""
    target = Path(name).expanduser().absolute()
    if target.suffix.lower() not in FORMATS:
        raise UserError(f"--plot: the picture's name must end in .png or .svg, not '{name}'")
    if not target.parent.is_dir():
        raise UserError(f"--plot: there is no folder {target.parent}")
    if target.is_dir():
        raise UserError(f"--plot: {target} is a folder")
    plotting.figure(1, 1)  # says what is missing where Matplotlib is
    return target


def write(target: Path, found: Mapping[str, Any], seconds: Mapping[str, Sequence[float]]) -> None:
    write_bytes(target, FORMATS[target.suffix.lower()](draw(found, seconds)))


def draw(found: Mapping[str, Any], seconds: Mapping[str, Sequence[float]]) -> Any:
    """A row a contender, the first on top, in every panel."""
    count, profiles = len(seconds), found.get("profiles")
    panel = ROW * (count + 0.6)
    height = TOP + panel + BOTTOM + (panel + BOTTOM if profiles else 0.0)
    page = plotting.figure(WIDTH, height)
    middle = (LEFT + RIGHT) / 2
    bottom, high = 1 - (TOP + panel) / height, panel / height
    times = page.add_axes((LEFT, bottom, middle - LEFT - BETWEEN / 2, high))
    ratios = page.add_axes((middle + BETWEEN / 2, bottom, RIGHT - middle - BETWEEN / 2, high))
    names = ["\n".join(textwrap.wrap(name, NAME)[:2]) for name in short(list(seconds))]
    _draw_seconds(times, list(seconds.values()))
    _draw_ratios(ratios, found["rows"], list(seconds.values()))
    for axes, named in ((times, names), (ratios, [])):
        _finish(axes, count, named)
    if profiles:
        _draw_stages(
            page.add_axes((LEFT, BOTTOM / 2 / height, RIGHT - LEFT, high)), profiles, names
        )
    if found.get("verdict"):
        heading = textwrap.fill(found["verdict"], LINE)
        page.text(0.015, 1 - 0.1 / height, heading, fontsize=plotting.NORMAL,
                  color=plotting.INK, va="top")  # fmt: skip
    return page


def _draw_seconds(axes: Any, seconds: Sequence[Sequence[float]]) -> None:
    for row, values in enumerate(seconds):
        _dots(axes, row, values)
        _bar(axes, row, statistics.median(values))
    _scale(axes, [value for values in seconds for value in values])
    axes.set_xlabel("seconds: turns, median", fontsize=plotting.SMALL, color=plotting.INK)


def _draw_ratios(
    axes: Any, rows: Sequence[Mapping[str, Any]], seconds: Sequence[Sequence[float]]
) -> None:
    pairs = [[b / mine for b, mine in zip(seconds[0], of, strict=True)] for of in seconds]
    for row, (found, values) in enumerate(zip(rows, pairs, strict=True)):
        if row:
            _dots(axes, row, values)
        speedup = found["speedup"]
        axes.plot([speedup["low"], speedup["high"]], [row, row], color=MIDDLE, linewidth=2.2,
                  solid_capstyle="butt", zorder=3)  # fmt: skip
        _bar(axes, row, speedup["median"])
    axes.axvline(1.0, color=plotting.INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    _scale(axes, [value for values in pairs for value in values])
    axes.set_xlabel("times as fast as the first: pairs, median, 95 % interval",
                    fontsize=plotting.SMALL, color=plotting.INK)  # fmt: skip


def _dots(axes: Any, row: int, values: Sequence[float]) -> None:
    axes.plot(values, [row] * len(values), "o", color=TURN, markersize=5, alpha=0.45,
              markeredgewidth=0, zorder=4)  # fmt: skip


def _bar(axes: Any, row: int, value: float) -> None:
    axes.plot([value, value], [row - 0.28, row + 0.28], color=MIDDLE, linewidth=2, zorder=5)


def _scale(axes: Any, values: Sequence[float]) -> None:
    """Decades where the slowest takes many times the fastest."""
    if max(values) <= DECADES_FROM * min(values):
        axes.set_xlim(0, max(values) * 1.08)
        return
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 1.4, max(values) * 1.4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if max(values) > 100 * min(values):
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    else:
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if _leads(value) else "")


def _leads(value: float) -> bool:
    """Of a decade's minor ticks, 2 and 5 are named."""
    return round(value / 10 ** math.floor(math.log10(value))) in (2, 5)


def _draw_stages(
    axes: Any, profiles: Sequence[Mapping[str, Any] | None], names: Sequence[str]
) -> None:
    for row, side in enumerate(profiles):
        begun = 0.0
        for stage in words.ordered((side or {}).get("stages", ())):
            colour, white = _colour(stage["name"])
            axes.barh(row, stage["share"], left=begun, height=0.62, color=colour, edgecolor="white",
                      linewidth=0.6, zorder=2)  # fmt: skip
            title = words.title(stage["name"])
            if stage["share"] >= LETTER * len(title):
                axes.text(begun + stage["share"] / 2, row, title, ha="center", va="center",
                          fontsize=plotting.SMALL - 2, zorder=3,
                          color=plotting.INK if white > PALER else "white")  # fmt: skip
            begun += stage["share"]
    _finish(axes, len(profiles), names)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")


def _colour(stage: str) -> tuple[tuple[float, ...], float]:
    """A stage's colour, and the share of white in it."""
    from matplotlib.colors import to_rgb

    kind, number = words.family(stage)
    white = min(PALEST, PALER * number)
    full = to_rgb(KINDS.get(kind, KINDS["rest"]))
    return tuple((1 - white) * part + white for part in full), white


def _finish(axes: Any, count: int, names: Sequence[str]) -> None:
    axes.set_ylim(count - 0.4, -0.6)  # the first on top
    axes.set_yticks(range(count), labels=names or [""] * count)
    axes.tick_params(which="both", labelsize=plotting.SMALL, colors=plotting.INK, width=0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=plotting.PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
