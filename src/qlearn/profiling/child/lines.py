"""Line by line with line_profiler, on the functions that were hottest in the first second."""

from __future__ import annotations

import builtins
import gc
import sys
from types import CodeType, FunctionType
from typing import Any

from .places import Places, full
from .samples import Samples

FIRST = 1.0
MOST_FUNCTIONS = 8
LEAST_SHARE = 0.02


def guard() -> None:
    """`@profile` in a user's file, left there for a line profiler, does nothing."""
    if not hasattr(builtins, "profile"):
        builtins.profile = unchanged  # type: ignore[attr-defined]


def unchanged(function: Any = None, **_: Any) -> Any:
    return function if function is not None else unchanged


class Lines:
    """Rows of (file, function, line, hits, seconds), or nothing where it was not asked for."""

    def __init__(self, wanted: bool, places: Places, samples: Samples) -> None:
        self._profiler = line_profiler() if wanted else None
        self._places, self._samples = places, samples
        self._started = False

    def tick(self, now: float) -> None:
        if self._profiler is None or self._started or now < FIRST or sys.gettrace() is not None:
            return
        self._started = True
        for code in self._hottest():
            for function in functions(code):
                self._profiler.add_function(function)
        self._profiler.enable_by_count()

    def stop(self) -> None:
        if self._started and self._profiler is not None:
            self._profiler.disable_by_count()

    def report(self) -> list[dict] | None:
        if not self._started or self._profiler is None:
            return None
        stats = self._profiler.get_stats()
        return [
            {
                "file": full(file),
                "function": function,
                "first_line": first_line,
                "line": line,
                "hits": hits,
                "seconds": ticks * stats.unit,
            }
            for (file, first_line, function), rows in stats.timings.items()
            for line, hits, ticks in rows
        ]

    def _hottest(self) -> list[CodeType]:
        seconds: dict[tuple, float] = {}
        for place, taken in self._samples.self_seconds().items():
            where = self._places.rows[place][:3]
            seconds[where] = seconds.get(where, 0.0) + taken
        whole = sum(seconds.values())
        codes = {
            (full(code.co_filename), code.co_qualname, code.co_firstlineno): code
            for code in list(self._places.codes.values())
            if self._places.users(code)
        }
        hottest = sorted(codes.keys() & seconds.keys(), key=lambda where: -seconds[where])
        worth = [where for where in hottest if seconds[where] >= LEAST_SHARE * whole]
        return [codes[where] for where in worth[:MOST_FUNCTIONS]]


def line_profiler() -> Any:
    try:
        from line_profiler import LineProfiler
    except ImportError:
        return None
    return LineProfiler()


def functions(code: CodeType) -> list[FunctionType]:
    return [each for each in gc.get_referrers(code) if type(each) is FunctionType]
