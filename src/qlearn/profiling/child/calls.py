"""How often functions are called: estimated from short windows, or counted over the whole run."""

from __future__ import annotations

import marshal
import sys
from _lsprof import Profiler
from time import perf_counter
from typing import Any

from .places import HERE, full

FIRST, EVERY, LENGTH = 0.03, 0.5, 0.008
FULL_RATE, RAREST = 4, 4  # windows before they become rarer; how many times as rare, at most
LEAST_PROGRESS = 0.2  # of a window, however much the counting costs


class Calls:
    """A function's calls, seconds and callers; what is seen in windows stands for the rest."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact
        # With C functions too, a script of small calls takes more than twice as long.
        self._profiler = Profiler(builtins=not exact)
        self._overhead = 0.0 if exact else overhead()
        self._opened: float | None = None
        self._next = FIRST
        self._count = 0
        self.watched = 0.0

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    def start(self) -> None:
        if self.exact:
            self._profiler.enable()

    def tick(self, now: float) -> None:
        """Opens and closes windows; `now` is the time since the script began."""
        if self.exact:
            return
        if self._opened is None:
            if now >= self._next and sys.getprofile() is None:
                self._open(now)
        elif now - self._opened >= LENGTH:
            self._close(now)

    def stop(self, now: float) -> None:
        if self.exact:
            self._disable()
        elif self._opened is not None:
            self._close(now)

    def leave(self) -> None:
        """In a forked child, which is not counted."""
        if self.exact or self.is_open:
            self._profiler.disable()

    def seconds(self) -> float:
        """What the counting itself has taken, as well as it is known."""
        return self.watched - self._progress(self._entries())

    def report(self, wall: float) -> tuple[list[dict], float]:
        """Rows, and the share that was watched of so many seconds."""
        entries = self._entries()
        share = 1.0 if self.exact else min(1.0, self._progress(entries) / wall if wall else 0.0)
        return rows(entries, 1.0 / share if share else 0.0), share

    def dump(self, path: str) -> None:
        """In the format of `pstats` and what reads it."""
        with open(path, "wb") as file:
            marshal.dump(pstats(self._entries()), file)

    def _entries(self) -> list[Any]:
        return [entry for entry in self._profiler.getstats() if not is_ours(entry.code)]

    def _progress(self, entries: list[Any]) -> float:
        """The program's own time within the windows."""
        counted = sum(entry.callcount for entry in entries)
        return max(self.watched - counted * self._overhead, LEAST_PROGRESS * self.watched)

    def _open(self, now: float) -> None:
        try:
            self._profiler.enable()
        except ValueError:  # the user's own profiler is at work
            self._next = now + EVERY
        else:
            self._opened = now

    def _close(self, now: float) -> None:
        self._disable()
        if self._opened is not None:
            self.watched += now - self._opened
        self._opened = None
        self._count += 1
        pause = EVERY * min(1 + self._count // FULL_RATE, RAREST)
        self._next = now + pause * (0.8 + 0.4 * (now * 7.3 % 1.0))  # never in step with the script

    def _disable(self) -> None:
        if sys.getprofile() in (None, self._profiler):
            self._profiler.disable()


def label(code: Any) -> tuple[str, int, str]:
    if isinstance(code, str):
        return "~", 0, code
    return full(code.co_filename), code.co_firstlineno, code.co_qualname


def is_ours(code: Any) -> bool:
    if isinstance(code, str):
        return "_lsprof.Profiler" in code
    return code.co_filename.startswith(HERE)


def key(code: Any) -> Any:
    return code if isinstance(code, str) else id(code)


def rows(entries: list[Any], scale: float) -> list[dict]:
    numbers = {key(entry.code): number for number, entry in enumerate(entries)}
    callers: list[list] = [[] for _ in entries]
    for number, entry in enumerate(entries):
        for called in entry.calls or ():
            if key(called.code) in numbers:
                callers[numbers[key(called.code)]].append([number, round(called.callcount * scale)])
    found = []
    for entry, by in zip(entries, callers, strict=True):
        file, first_line, function = label(entry.code)
        found.append(
            {
                "file": file,
                "first_line": first_line,
                "function": function,
                "calls": round(entry.callcount * scale),
                "self_seconds": entry.inlinetime * scale,
                "cumulative_seconds": entry.totaltime * scale,
                "callers": by,
            }
        )
    return found


def pstats(entries: list[Any]) -> dict:
    """{(file, line, name): (primitive calls, calls, self, cumulative, {caller: the same})}."""
    stats: dict[tuple, tuple] = {label(entry.code): (*numbers(entry), {}) for entry in entries}
    for entry in entries:
        for called in entry.calls or ():
            if label(called.code) in stats:
                stats[label(called.code)][4][label(entry.code)] = numbers(called)
    return stats


def numbers(entry: Any) -> tuple[int, int, float, float]:
    return (
        entry.callcount - entry.reccallcount, entry.callcount, entry.inlinetime, entry.totaltime,
    )  # fmt: skip


def overhead() -> float:
    """Seconds that counting adds to a call, here."""
    profiler = Profiler()
    plain = min(timed() for _ in range(3))
    profiler.enable()
    counted = min(timed() for _ in range(3))
    profiler.disable()
    return max(counted - plain, 0.0) / (2 * ROUNDS)


ROUNDS = 1000


def timed() -> float:
    begun = perf_counter()
    for _ in range(ROUNDS):
        one_python_one_builtin()
    return perf_counter() - begun


def one_python_one_builtin() -> int:
    return abs(0)
