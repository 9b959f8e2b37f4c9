"""The comparison as one HTML page that needs nothing else: tables, and every repeat as a dot."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qlearn.compare import sides
from qlearn.compare.names import short
from qlearn.runs.files import explained, write_bytes

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2733; --soft: #5b6b7a; --line: #dde3ea;
        --dot: #1d4ed8; --bar: #c2410c; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161c; --ink: #e4eaf1; --soft: #9aa8b6; --line: #2d3743;
          --dot: #7aa2ff; --bar: #fb923c; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       background: var(--paper); color: var(--ink); }
.wide { overflow-x: auto; margin-bottom: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .sides th, .sides td { text-align: left; }
.sides td { white-space: pre-wrap; } th:first-child, td:first-child { overflow-wrap: anywhere; }
svg { width: 100%; min-width: 34rem; height: auto; margin: 1.5rem 0; }
text { fill: var(--ink); } .note { color: var(--soft); }
.tick text { fill: var(--soft); } .tick line { stroke: var(--line); }
circle { fill: var(--dot); fill-opacity: .45; } .middle { stroke: var(--bar); stroke-width: 3; }
"""
WIDTH, LEFT, RIGHT, ROW, TOP = 900, 240, 30, 44, 20
HEADINGS = (
    "contender", "seconds", "speedup", "95 % interval", "CPU seconds", "steps/s", "updates/s",
    "memory, MB", "metric", "error to optimum", "optimal",
)  # fmt: skip
COUNTED = {
    "train_seconds": "Seconds are those of the training; imports and compiling are not in them.",
    "total_seconds": "Seconds are those of the whole process, imports and compiling included.",
}


def write(path: Path, found: Mapping[str, Any], seconds: Mapping[str, Sequence[float]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, path.parent) from None
    write_bytes(path, page(found, seconds).encode())


def page(found: Mapping[str, Any], seconds: Mapping[str, Sequence[float]]) -> str:
    count = len(next(iter(seconds.values())))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>qlearn compare</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>
<h1>Side by side</h1>
<p>{html.escape(found["verdict"])}</p>
{_table(_told([HEADINGS, *map(_cells, found["rows"])]))}
<div class="wide">{plot(seconds)}</div>
{_profiles(found)}
<p class="note">Contenders ran in turn, forwards then backwards, each time in a fresh process, after
a turn that does not count. {COUNTED[found["compared"]]} The median of {count}. Speedups are against
the first row, their intervals by bootstrap over the turns. Memory is the peak of a process.</p>
</body></html>
"""


def _profiles(found: Mapping[str, Any]) -> str:
    if not found.get("profiles"):
        return ""
    names, of = [row["name"] for row in found["rows"]], found["profiles"]
    tables = [sides.stages(names, of), sides.hottest(names, of)]
    return "<h2>Where the time of each goes</h2>" + "".join(_table(t, "sides") for t in tables)


def _told(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Without the columns in which no row says anything."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    return list(zip(*columns, strict=True))


def _table(rows: Sequence[Sequence[str]], kind: str = "") -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = "".join(line(cells, "td") for cells in rows[1:])
    return (
        f'<div class="wide"><table class="{kind}"><thead>{line(rows[0], "th")}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    speedup = row["speedup"]
    return [
        row["name"],
        _number(row["seconds"]["median"]),
        f"{speedup['median']:,.2f}x",
        f"{speedup['low']:,.2f} .. {speedup['high']:,.2f}",
        _number(row["cpu_seconds"]["median"]),
        _number(row["steps_per_second"]),
        _number(row["updates_per_second"]),
        _number(row["peak_memory_mb"]),
        _number(row["metric"]),
        _number(row["max_error_to_optimum"]),
        {True: "yes", False: "no", None: ""}[row["policy_optimal"]],
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def plot(seconds: Mapping[str, Sequence[float]]) -> str:
    """Every repeat as a dot on a logarithmic axis of seconds, the median as a bar."""
    everything = [value for values in seconds.values() for value in values]
    low = math.floor(math.log10(min(everything)))
    high = max(low + 1, math.ceil(math.log10(max(everything))))
    height = TOP + ROW * len(seconds) + 40

    def x(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    marks = []
    for power in range(low, high + 1):
        at = x(10.0**power)
        marks.append(
            f'<g class="tick"><line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - 36}"/>'
            f'<text x="{at:.1f}" y="{height - 14}" text-anchor="middle">{10.0**power:g} s</text></g>'
        )
    names = short(list(seconds))
    for k, (name, values) in enumerate(zip(names, seconds.values(), strict=True)):
        y = TOP + ROW * (k + 0.5)
        middle = statistics.median(values)
        marks.append(
            f'<text x="{LEFT - 14}" y="{y + 5:.1f}" text-anchor="end">{html.escape(name)}</text>'
            f'<line class="middle" x1="{x(middle):.1f}" x2="{x(middle):.1f}" y1="{y - 13:.1f}"'
            f' y2="{y + 13:.1f}"/>'
        )
        marks += [f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="5"/>' for value in values]
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" font-size="14" role="img"'
        f' aria-label="seconds of every repeat">{"".join(marks)}</svg>'
    )
