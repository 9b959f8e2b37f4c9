"""The returns since the last line of metrics: their mean, in memory that does not grow with them."""

from __future__ import annotations

import numpy as np

BLOCK = 2**16


class Returns:
    """A block of the newest, and the sum of the whole blocks before it.

    Blocks end at fixed counts, so that the mean has the same bits for any size of chunk.
    """

    def __init__(self) -> None:
        self._block = np.zeros(BLOCK)
        self.forget()

    def forget(self) -> None:
        self._filled, self.before = 0, (0.0, 0)

    def add(self, returns: np.ndarray) -> None:
        while returns.size:
            part = returns[: BLOCK - self._filled]
            self._block[self._filled : self._filled + part.size] = part
            self._filled += part.size
            returns = returns[part.size :]
            if self._filled == BLOCK:
                total, count = self.before
                self.before = total + float(self._block.sum()), count + BLOCK
                self._filled = 0

    @property
    def newest(self) -> np.ndarray:
        return self._block[: self._filled]

    def mean(self) -> float | None:
        total, count = self.before
        count += self._filled
        return (total + float(self.newest.sum())) / count if count else None

    def restore(self, newest: np.ndarray, before: tuple[float, int]) -> None:
        self.forget()
        self.before = before
        self.add(newest)
