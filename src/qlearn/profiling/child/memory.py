"""Memory over time; with tracemalloc, which lines it grew at."""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import Any

from .places import full, is_users

EVERY = 0.25
MOST_POINTS = 400
MOST_LINES = 40
FIRST_SNAPSHOT = 1.0
PAUSE = 10  # times as long as a snapshot took, so that a short script is not all snapshots
FRAMES = 8
MB = 2**20


class Memory:
    """[seconds, MB] in ever larger steps."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []
        self._next = 0.0
        self._every = EVERY

    def tick(self, now: float) -> None:
        if now >= self._next:
            self._next = now + self._every
            self.look(now)

    def look(self, now: float) -> None:
        self.points.append([now, resident()])
        if len(self.points) >= MOST_POINTS:
            del self.points[1::2]
            self._every *= 2

    def peak(self) -> float:
        return max([high_water(), *(megabytes for _, megabytes in list(self.points))])


def resident() -> float:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB
    except (OSError, IndexError, ValueError):
        return high_water()


def high_water() -> float:
    """This program's own; the resource module's counts what came before it in the same process."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MB if sys.platform == "darwin" else 1024)


class Allocations:
    """What each line of the user's holds, at moments that lie twice as far apart each time."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._next = FIRST_SNAPSHOT
        self._history: dict[tuple[str, int], list[list[float]]] = {}
        if wanted:
            import tracemalloc

            self._tracemalloc: Any = tracemalloc
            tracemalloc.start(FRAMES)

    def tick(self, now: float) -> None:
        if self.wanted and now >= self._next:
            begun = perf_counter()
            self.snapshot(now)
            self._next = max(2 * now, now + PAUSE * (perf_counter() - begun))

    def snapshot(self, now: float) -> None:
        if not self.wanted or not self._tracemalloc.is_tracing():
            return
        held: dict[tuple[str, int], int] = {}
        for alike in self._tracemalloc.take_snapshot().statistics("traceback"):
            line = users_line(alike.traceback)
            held[line] = held.get(line, 0) + alike.size
        for line in self._history.keys() | held.keys():
            self._history.setdefault(line, []).append([now, held.get(line, 0) / MB])

    def report(self) -> list[dict] | None:
        if not self.wanted:
            return None
        rows: list[dict[str, Any]] = [
            {
                "file": full(file),
                "line": line,
                "mb": history[-1][1],
                "growth_mb": history[-1][1] - history[0][1],
                "history": history,
            }
            for (file, line), history in list(self._history.items())
        ]
        return sorted(rows, key=lambda row: -row["mb"])[:MOST_LINES]


def users_line(traceback: Any) -> tuple[str, int]:
    """The innermost of the user's, else the innermost of all; the last frame is the innermost."""
    frames = list(traceback)
    for frame in reversed(frames):
        if is_users(frame.filename):
            return frame.filename, frame.lineno
    return frames[-1].filename, frames[-1].lineno
