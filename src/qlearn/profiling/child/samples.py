"""Seconds by stack, and how they are spread over the run."""

from __future__ import annotations

from .places import Stack

MAIN = "main"
BUCKETS = 50
FIRST_BUCKET_SECONDS = 0.02


class Timeline:
    """Seconds by stack in equal buckets; when there are twice too many, two become one."""

    def __init__(self) -> None:
        self._width = FIRST_BUCKET_SECONDS
        self._buckets: list[dict[int, float]] = []

    def add(self, at: float, stack: int, seconds: float) -> None:
        while at >= 2 * BUCKETS * self._width:
            self._halve()
        number = int(max(at, 0.0) / self._width)
        while len(self._buckets) <= number:
            self._buckets.append({})
        bucket = self._buckets[number]
        bucket[stack] = bucket.get(stack, 0.0) + seconds

    def rows(self, scale: float) -> list:
        return [
            [number * self._width, {stack: seconds * scale for stack, seconds in bucket.items()}]
            for number, bucket in enumerate([dict(bucket) for bucket in list(self._buckets)])
        ]

    def _halve(self) -> None:
        pairs = zip(self._buckets[::2], [*self._buckets[1::2], {}], strict=False)
        self._buckets = [merged(first, second) for first, second in pairs]
        self._width *= 2


def merged(first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
    both = dict(first)
    for stack, seconds in second.items():
        both[stack] = both.get(stack, 0.0) + seconds
    return both


class Samples:
    """What every thread was doing, by the wall time since it was last asked."""

    def __init__(self) -> None:
        self._rows: list[list] = []
        self._numbers: dict[tuple[str, Stack], int] = {}
        self._timeline = Timeline()
        self._last: int | None = None

    def add(self, thread: str, stack: Stack, seconds: float, at: float) -> None:
        key = (thread, stack)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._rows)
            self._rows.append([thread, stack, 0.0, 0])
        row = self._rows[number]
        row[2] += seconds
        row[3] += 1
        if thread == MAIN:
            self._timeline.add(at, number, seconds)
            self._last = number

    def finish(self, seconds: float) -> None:
        """What came after the last sample belongs to it."""
        if self._last is not None:
            self._rows[self._last][2] += seconds

    def self_seconds(self) -> dict[int, float]:
        """By the place at the leaf."""
        sums: dict[int, float] = {}
        for thread, stack, seconds, _ in list(self._rows):
            if thread == MAIN and stack:
                sums[stack[-1]] = sums.get(stack[-1], 0.0) + seconds
        return sums

    def report(self, wall: float) -> tuple[list[dict], list]:
        """Samples and timeline; what was spent on looking closely is spread over all of it."""
        rows = [(*row,) for row in list(self._rows)]
        known = sum(seconds for thread, _, seconds, _ in rows if thread == MAIN)
        scale = wall / known if known else 1.0
        samples = [
            {
                "thread": thread,
                "stack": stack,
                "seconds": seconds * scale if thread == MAIN else seconds,
                "count": count,
            }
            for thread, stack, seconds, count in rows
        ]
        return samples, self._timeline.rows(scale)
