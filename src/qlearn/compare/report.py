"""The comparison as one HTML page that needs nothing else: a table, and every repeat as a dot."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qlearn.runs.files import explained, write_bytes

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; color: #1b2733;
       padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid #dde3ea; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; margin: 1.5rem 0; }
.note { color: #5b6b7a; }
"""
WIDTH, LEFT, RIGHT, ROW, TOP = 900, 240, 30, 44, 20


def write(
    path: Path, rows: Sequence[Mapping[str, Any]], seconds: Mapping[str, Sequence[float]]
) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, path.parent) from None
    write_bytes(path, page(rows, seconds).encode())


def page(rows: Sequence[Mapping[str, Any]], seconds: Mapping[str, Sequence[float]]) -> str:
    body = "".join(_line(row) for row in rows)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>qlearn compare</title>
<style>{STYLE}</style></head><body>
<h1>Side by side</h1>
<table><thead><tr><th>contender</th><th>seconds</th><th>speedup</th><th>95 % interval</th>
<th>steps/s</th><th>updates/s</th><th>memory, MB</th><th>metric</th><th>error to optimum</th>
<th>optimal</th></tr></thead><tbody>{body}</tbody></table>
{plot(seconds)}
<p class="note">Contenders ran in turn, forwards then backwards, after a turn that does not count.
Seconds are medians over {len(next(iter(seconds.values())))} repeats with a seed each; imports and
compiling are not in them. Speedups are against the first row, their intervals by bootstrap over
the turns. Memory is the peak of a process of its own.</p>
</body></html>
"""


def _line(row: Mapping[str, Any]) -> str:
    speedup = row["speedup"]
    cells = [
        html.escape(row["name"]),
        _number(row["seconds"]["median"]),
        f"{speedup['median']:,.1f}x",
        f"{speedup['low']:,.1f} .. {speedup['high']:,.1f}",
        _number(row["steps_per_second"]),
        _number(row["updates_per_second"]),
        _number(row["peak_memory_mb"]),
        _number(row["metric"]),
        _number(row["max_error_to_optimum"]),
        {True: "yes", False: "no", None: ""}[row["policy_optimal"]],
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


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
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - 36}" stroke="#dde3ea"/>'
            f'<text x="{at:.1f}" y="{height - 14}" text-anchor="middle" fill="#5b6b7a">'
            f"{10.0**power:g} s</text>"
        )
    for k, (name, values) in enumerate(seconds.items()):
        y = TOP + ROW * (k + 0.5)
        ordered = sorted(values)
        middle = ordered[len(ordered) // 2]
        marks.append(
            f'<text x="{LEFT - 14}" y="{y + 5:.1f}" text-anchor="end">{html.escape(name)}</text>'
            f'<line x1="{x(middle):.1f}" x2="{x(middle):.1f}" y1="{y - 13:.1f}"'
            f' y2="{y + 13:.1f}" stroke="#c2410c" stroke-width="3"/>'
        )
        marks += [
            f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="5" fill="#1d4ed8" fill-opacity="0.45"/>'
            for value in values
        ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" font-size="14" role="img"'
        f' aria-label="seconds of every repeat">{"".join(marks)}</svg>'
    )
