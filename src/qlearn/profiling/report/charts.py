"""Drawings of the page: stages as bars and over time, memory over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from qlearn.profiling.report import words

WIDTH, HEIGHT = 1000, 100  # of a drawing's own coordinates; the page stretches them
MOST_POINTS = 500
READS_WELL = (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15)


def colour(stage: str) -> str:
    """The classes that give a stage its colour, the same wherever it is shown."""
    family, number = words.family(stage)
    return f"{family} n{number}"


def strip(stages: Sequence[Mapping[str, Any]]) -> str:
    """All stages side by side; the list below it says the same in words."""
    parts = "".join(
        f'<i class="{colour(stage["name"])}" data-stage="{escape(stage["name"])}"'
        f' style="flex-grow:{stage["share"]:.5f}"'
        f' title="{escape(words.title(stage["name"]))} {words.share(stage["share"])}"></i>'
        for stage in stages
        if stage["share"] > 0
    )
    return f'<div class="strip" aria-hidden="true">{parts}</div>'


def bars(stages: Sequence[Mapping[str, Any]]) -> str:
    largest = max((stage["share"] for stage in stages), default=0) or 1
    rows = "".join(
        f'<li><button type="button" class="stage {colour(stage["name"])}" aria-pressed="false"'
        f' data-stage="{escape(stage["name"])}">'
        f"<span>{escape(words.title(stage['name']))}</span>"
        f'<i class="bar" style="--w:{stage["share"] / largest:.4f}"></i>'
        f"<b>{words.share(stage['share'])}</b><em>{words.seconds(stage['seconds'])}</em>"
        "</button></li>"
        for stage in stages
    )
    return f'<ul class="stages">{rows}</ul>'


def over_time(raw: Any, stage_of: Sequence[str], order: Sequence[str]) -> str:
    """Each slice of the run by stage, from left to right; what slows down, widens."""
    slices = [(start, _by_stage(sums, stage_of)) for start, sums in raw.timeline]
    slices = [(start, sums) for start, sums in slices if sum(sums.values()) > 0]
    if len(slices) < 2:
        return ""
    width = WIDTH / len(slices)
    marks = []
    for k, (_, sums) in enumerate(slices):
        whole, top = sum(sums.values()), 0.0
        for stage in order:
            height = HEIGHT * sums.get(stage, 0.0) / whole
            if height > 0:
                marks.append(
                    f'<rect class="{colour(stage)}" data-stage="{escape(stage)}"'
                    f' x="{k * width:.2f}" y="{top:.2f}"'
                    f' width="{width + 0.5:.2f}" height="{height:.2f}"/>'
                )
            top += height
    last = slices[-1][0] + (slices[-1][0] - slices[-2][0])
    return _framed("".join(marks), "stages over time", ["100 %", "0 %"], slices[0][0], last)


def memory(points: Sequence[Sequence[float]]) -> str:
    """Megabytes over seconds, from zero, so that growth looks as large as it is."""
    points = _thinned([point for point in points if len(point) == 2])
    if len(points) < 2:
        return ""
    begun, ended = points[0][0], points[-1][0]
    top = _round_up(max(mb for _, mb in points))
    places = [
        (WIDTH * (at - begun) / ((ended - begun) or 1), HEIGHT * (1 - mb / top))
        for at, mb in points
    ]
    line = " ".join(f"{x:.1f},{y:.2f}" for x, y in places)
    marks = (
        f'<polygon class="under" points="0,{HEIGHT} {line} {WIDTH},{HEIGHT}"/>'
        f'<polyline class="line" points="{line}"/>'
    )
    grown = points[-1][1] - points[0][1]
    label = f"memory over time, from {points[0][1]:.0f} to {points[-1][1]:.0f} MB ({grown:+.0f} MB)"
    scale = [words.megabytes(top), words.megabytes(top / 2), "0"]
    return _framed(marks, label, scale, begun, ended)


def _framed(marks: str, label: str, scale: Sequence[str], begun: float, ended: float) -> str:
    """Text stands beside the drawing, not in it: it stays readable on a narrow screen."""
    levels = "".join(f"<span>{text}</span>" for text in scale)
    middle = words.seconds((begun + ended) / 2)
    return (
        f'<div class="chart"><div class="levels" aria-hidden="true">{levels}</div>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}">{marks}</svg>'
        f'<div class="times" aria-hidden="true"><span>{words.seconds(begun)}</span>'
        f"<span>{middle}</span><span>{words.seconds(ended)}</span></div></div>"
    )


def _by_stage(sums: Mapping[Any, float], stage_of: Sequence[str]) -> dict[str, float]:
    total: dict[str, float] = {}
    for stack, seconds in sums.items():
        stage = stage_of[int(stack)]
        total[stage] = total.get(stage, 0.0) + seconds
    return total


def _thinned(points: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """The highest of each stretch: a peak is what memory is looked at for."""
    stretch = math.ceil(len(points) / MOST_POINTS)
    return [
        max(points[k : k + stretch], key=lambda point: point[1])
        for k in range(0, len(points), stretch or 1)
    ]


def _round_up(value: float) -> float:
    """The next number that reads well on an axis."""
    if value <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(value))
    return next(step * factor for factor in READS_WELL if step * factor >= value)
