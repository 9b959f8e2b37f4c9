"""Puts samples where the time was spent.

A sample is taken at the next place where the interpreter looks for signals: after calls and at the
ends of loops. So a search in a list, an entry of a dict or a sum never shows by itself; its time is
charged to the place that comes next. Windows in which every step was timed say what ran before each
such place and how long it took, and the samples there are shared out accordingly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median_low
from typing import Any

from qlearn.profiling.source import source_of

Stack = tuple[int, ...]
Row = tuple[str, Stack, float, int]  # thread, stack, seconds, count
Window = list[tuple[Stack, int]]  # steps as they followed each other, with their nanoseconds
Timeline = list[tuple[float, dict[int, float]]]  # start, seconds by row
Parts = list[tuple[Stack, float]]
Line = tuple[str, str, int, int]  # file, function, its first line, line

MAIN = "main"
CHEAP = 0.2  # the share of steps that cost next to nothing: what they took was the watching
LEAST = 10.0  # nanoseconds


def sharpened(
    rows: Sequence[Row], timeline: Timeline, windows: Iterable[Window]
) -> tuple[list[Row], Timeline]:
    """The same seconds in all, by the expressions they were spent in."""
    parts_of = shares({stack for thread, stack, _, _ in rows if thread == MAIN}, windows)
    numbers: dict[tuple[str, Stack], int] = {}
    seconds: list[float] = []
    counts: list[int] = []
    moved: list[list[tuple[int, float]]] = []
    for thread, stack, taken, count in rows:
        parts = parts_of.get(stack) if thread == MAIN else None
        moved.append([])
        for place, (part, share) in enumerate(parts or [(stack, 1.0)]):
            number = numbers.setdefault((thread, part), len(numbers))
            if number == len(seconds):
                seconds.append(0.0)
                counts.append(0)
            seconds[number] += taken * share
            counts[number] += count if place == 0 else 0
            moved[-1].append((number, share))
    new = [(*key, s, c) for key, s, c in zip(numbers, seconds, counts, strict=True)]
    return new, [(start, _moved(sums, moved)) for start, sums in timeline]


def shares(observed: set[Stack], windows: Iterable[Window]) -> dict[Stack, Parts]:
    """For each stack that samples were taken at: what they stand for, the largest part first."""
    sums: dict[Stack, dict[Stack, float]] = defaultdict(lambda: defaultdict(float))
    for segment in _segments(observed, _priced(list(windows))):
        at = segment[-1][0]
        for stack, cost in segment:
            sums[at][stack] += cost
    return {at: _normal(parts) for at, parts in sums.items()}


def by_line(rows: Sequence[Row], windows: list[Window], frames: Sequence[Any]) -> list[dict]:
    """Seconds by line, those below included; hits estimated from what a hit of the function's
    lines takes, and the same for lines that are run one after the other."""
    whole: dict[Line, float] = defaultdict(float)
    own: dict[Line, float] = defaultdict(float)
    for thread, stack, seconds, _ in rows:
        if thread != MAIN or not stack:
            continue
        for line in {_line(frames[place]) for place in stack}:
            whole[line] += seconds
        own[_line(frames[stack[-1]])] += seconds
    cost, seen = _hits(_priced(windows), frames)
    spent, watched = _by_function(own), _by_function(cost)
    hits = _evened(seen)
    return [
        {
            "file": line[0],
            "function": line[1],
            "first_line": line[2],
            "line": line[3],
            "hits": round(hits[line] * spent[line[:3]] / watched[line[:3]] * 1e9),
            "seconds": seconds,
        }
        for line, seconds in sorted(whole.items(), key=lambda item: -item[1])
        if hits.get(line)
    ]


def _priced(windows: list[Window]) -> list[list[tuple[Stack, float]]]:
    """Without what watching a step costs, which is what the cheapest take."""
    every = sorted(nanoseconds for window in windows for _, nanoseconds in window)
    watching = every[int(CHEAP * len(every))] if every else 0
    return [
        [(stack, max(nanoseconds - watching, LEAST)) for stack, nanoseconds in window]
        for window in windows
    ]


def _segments(
    observed: set[Stack], windows: Iterable[list[tuple[Stack, float]]]
) -> Iterator[list[tuple[Stack, float]]]:
    """What ran from one place where samples are taken to the next, that one included."""
    for window in windows:
        begun = 0
        for number, (stack, _) in enumerate(window):
            last = number + 1 == len(window) or window[number + 1][0] != stack
            if last and stack in observed:
                if begun:  # how much ran before the first is not known
                    yield window[begun : number + 1]
                begun = number + 1


def _normal(parts: dict[Stack, float]) -> Parts:
    whole = sum(parts.values())
    return [(stack, cost / whole) for stack, cost in sorted(parts.items(), key=lambda p: -p[1])]


def _moved(sums: dict[int, float], moved: list[list[tuple[int, float]]]) -> dict[int, float]:
    new: dict[int, float] = {}
    for row, seconds in sums.items():
        for number, share in moved[row]:
            new[number] = new.get(number, 0.0) + seconds * share
    return new


def _line(frame: Any) -> Line:
    return frame.file, frame.function, frame.first_line, frame.line


def _by_function(values: dict[Line, float]) -> dict[tuple, float]:
    """One line alone has too few samples, and they say too little of how often it ran."""
    sums: dict[tuple, float] = defaultdict(float)
    for line, value in values.items():
        sums[line[:3]] += value
    return sums


def _evened(hits: dict[Line, int]) -> dict[Line, int]:
    """A window opens and closes in the middle of a block, whose lines ran equally often."""
    blocks: dict[tuple, list[Line]] = defaultdict(list)
    for line in hits:
        source = source_of(line[0])
        block = source.block(line[3]) if source is not None else line[3]
        blocks[*line[:3], block].append(line)
    return {
        line: median_low(hits[each] for each in lines)
        for lines in blocks.values()
        for line in lines
    }


def _hits(
    windows: list[list[tuple[Stack, float]]], frames: Sequence[Any]
) -> tuple[dict[Line, float], dict[Line, int]]:
    """Nanoseconds in each line's own steps, and how often a run of them began."""
    cost: dict[Line, float] = defaultdict(float)
    hits: dict[Line, int] = defaultdict(int)
    for window in windows:
        before: dict[
            Stack, tuple
        ] = {}  # by the function's callers: its line before a call counts on
        for stack, nanoseconds in window:
            if not stack:
                continue
            line = _line(frames[stack[-1]])
            cost[line] += nanoseconds
            hits[line] += before.get(stack[:-1]) != line
            before[stack[:-1]] = line
    return cost, hits
