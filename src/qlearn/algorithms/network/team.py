"""Threads that run one compiled loop together, each as one member of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

GIVEN_UP = 16


def barrier() -> np.ndarray:
    """Where members meet (see `simd.meet`): three words, a cache line each."""
    return np.zeros(24, np.int64)


def cores() -> int:
    """How many of the processor's cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Pace:
    """How many members are fastest, found by trying while learning: the bits are the same for any.

    Each number is tried in turn, and again after a rest: other work on this machine may have come or
    gone. Rests grow while the answer stays.
    """

    ROUNDS, REST, LONGEST = 3, 32, 1024

    def __init__(self, wanted: int, most: int) -> None:
        doubled = [2**k for k in range(most.bit_length()) if 2**k <= most]
        self.numbers = [min(wanted, most)] if wanted else doubled
        self.best = self.numbers[0]
        self._rest = self._waits = self.REST
        self._try()

    def _try(self) -> None:
        self._left = self.numbers * self.ROUNDS if len(self.numbers) > 1 else []
        self._times = dict.fromkeys(self.numbers, math.inf)

    @property
    def trying(self) -> bool:
        return bool(self._left)

    @property
    def members(self) -> int:
        """For the next stretch of work."""
        return self._left[0] if self._left else self.best

    def took(self, time: float) -> None:
        """What a unit of that stretch has cost."""
        if self._left:
            members = self._left.pop(0)
            self._times[members] = min(self._times[members], time)
            if not self._left:
                self._settle(min(self.numbers, key=self._times.__getitem__))
            return
        self._waits -= 1
        if self._waits == 0:
            self._try()

    def _settle(self, fastest: int) -> None:
        same = fastest == self.best
        self.best, self._waits = fastest, self._rest if same else self.REST
        self._rest = min(2 * self._waits, self.LONGEST)


class Team:
    """Up to `most` threads; the calling one is the first of them."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most - 1) if most > 1 else None

    def run(self, members: int, work: Callable[[int], None], meeting: np.ndarray) -> float:
        """`work(member)` on every thread, and its seconds; the first exception of any is raised."""
        begun = time.perf_counter()
        if self._pool is None or members == 1:
            work(0)
        else:
            self._run(self._pool, members, work, meeting)
        return time.perf_counter() - begun

    @staticmethod
    def _run(
        pool: ThreadPoolExecutor, members: int, work: Callable[[int], None], meeting: np.ndarray
    ) -> None:
        meeting[:] = 0

        def guarded(member: int) -> None:
            try:
                work(member)
            except BaseException:
                meeting[GIVEN_UP] = 1  # or the others would wait for ever
                raise

        others = [pool.submit(guarded, member) for member in range(1, members)]
        try:
            guarded(0)
        finally:
            for other in others:
                other.result()
