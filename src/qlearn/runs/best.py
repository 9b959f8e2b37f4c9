"""The network of the best greedy evaluation, and when it is written."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from qlearn.runs import checkpoint

BEST_SECONDS = 1.0  # between two writes of the best network: each waits for the disk
HELD_BYTES = 64 * 2**20  # of a best network that waits in memory


class Best:
    """Held in memory for a moment before it is written.

    A young network beats itself many times a second, and each write waits for the disk.
    """

    def __init__(self, mean: float, report: dict[str, Any], written: float) -> None:
        self.mean, self.report, self.written = mean, report, written
        self.held: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None

    def hold(self, state: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        self.held = {name: np.array(array) for name, array in state.items()}, about

    @property
    def too_large(self) -> bool:
        """To wait in memory."""
        return self.held is not None and sum(a.nbytes for a in self.held[0].values()) > HELD_BYTES

    def waited(self, now: float) -> bool:
        return self.held is not None and now - self.written > BEST_SECONDS

    def write(self, place: Any) -> None:
        assert self.held is not None
        self.written = time.perf_counter()  # also where the disk does not let it: not every chunk
        checkpoint.save(place, *self.held)
        self.held, self.written = None, time.perf_counter()
