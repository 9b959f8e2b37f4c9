"""Where the time of a training went, over all processes that worked on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

LEARN, OTHER = "learn", "other"
WORTH_SAYING = 0.001  # of what the learner took


class Stages:
    """Seconds and calls by name; what the learner times itself stands in place of `learn`."""

    def __init__(self, learner: Any) -> None:
        self._own: Callable[[], Mapping] | None = getattr(learner, "stages", None)
        self._known = dict(self._own()) if self._own else {}
        self._before: dict[str, list[float]] = {}
        self._sums: dict[str, list[float]] = {}

    def timed(self, stage: str, work: Callable, *arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return work(*arguments)
        finally:
            sums = self._sums.setdefault(stage, [0.0, 0])
            sums[0] += time.perf_counter() - begun
            sums[1] += 1

    def sums(self) -> dict[str, list[float]]:
        """(seconds, calls) of every stage, those of earlier processes with them."""
        total = {name: list(sums) for name, sums in self._before.items()}
        for name, sums in self._here().items():
            known = total.setdefault(name, [0.0, 0])
            known[0] += sums[0]
            known[1] += sums[1]
        return total

    def _here(self) -> dict[str, list[float]]:
        if self._own is None or LEARN not in self._sums:
            return self._sums
        rest = dict(self._sums)
        whole, calls = rest.pop(LEARN)
        own = {}
        for name, (seconds, count) in self._own().items():
            known = self._known.get(name, (0.0, 0))
            own[name] = [seconds - known[0], count - known[1]]
        beyond = whole - sum(seconds for seconds, _ in own.values())
        if beyond > WORTH_SAYING * whole:
            own[OTHER] = [beyond, calls]
        return own | rest

    def report(self) -> list[dict[str, Any]]:
        """The key `stages` of CONTRACT."""
        sums = self.sums()
        whole = sum(seconds for seconds, _ in sums.values())
        return [
            {
                "name": name,
                "seconds": seconds,
                "share": seconds / whole if whole else 0.0,
                "calls": int(calls),
            }
            for name, (seconds, calls) in sums.items()
        ]

    def restore(self, sums: dict[str, list[float]]) -> None:
        """Goes on from there; to be called when the learner, too, has been restored."""
        self._before = sums
        self._known = dict(self._own()) if self._own else {}


class Clock:
    """Wall time of a training without what compiling took, over all processes that worked on it."""

    def __init__(self, learner: Any) -> None:
        self._learner = learner
        self._before = 0.0
        self._begun: float | None = None
        self._compiled = 0.0

    def start(self) -> None:
        self._compiled = self._learner.compile_seconds
        self._begun = time.perf_counter()

    def stop(self) -> None:
        self._before, self._begun = self.seconds, None

    @property
    def seconds(self) -> float:
        if self._begun is None:
            return self._before
        compiling = self._learner.compile_seconds - self._compiled
        return self._before + time.perf_counter() - self._begun - compiling

    def restore(self, seconds: float) -> None:
        self._before = seconds
