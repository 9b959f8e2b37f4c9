"""Threads that run one compiled loop together, each as one member of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

GIVEN_UP = 16


def barrier() -> np.ndarray:
    """Where members meet (see `simd.meet`): three words, a cache line each."""
    return np.zeros(24, np.int64)


class Team:
    """`members` threads; the calling one is the first of them."""

    def __init__(self, members: int) -> None:
        self.members = members
        self._pool = ThreadPoolExecutor(members - 1) if members > 1 else None

    def run(self, work: Callable[[int], None], meeting: np.ndarray) -> None:
        """`work(member)` on every thread; the first exception of any of them is raised."""
        if self._pool is None:
            work(0)
            return
        meeting[:] = 0

        def guarded(member: int) -> None:
            try:
                work(member)
            except BaseException:
                meeting[GIVEN_UP] = 1  # or the others would wait for ever
                raise

        others = [self._pool.submit(guarded, member) for member in range(1, self.members)]
        try:
            guarded(0)
        finally:
            for other in others:
                other.result()
