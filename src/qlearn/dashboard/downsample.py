"""Fewer points for a chart, in which nothing that stood out is lost."""

from __future__ import annotations

from typing import Any

import numpy as np


def downsample(x: np.ndarray, y: np.ndarray, points: int) -> dict[str, Any]:
    """At most `points` buckets of equal width in x, which must not fall: mean, lowest, highest.

    Few enough points stay as they are.
    """
    if len(x) <= points:
        return {"x": x} | dict.fromkeys(("mean", "low", "high"), short(y))
    begin = buckets(x, points)
    count = np.diff(begin, append=len(x))
    return {
        "x": np.add.reduceat(x, begin) / count,
        "mean": short(np.add.reduceat(y, begin) / count),
        "low": short(np.minimum.reduceat(y, begin)),
        "high": short(np.maximum.reduceat(y, begin)),
    }


def short(y: np.ndarray) -> np.ndarray:
    """Seven digits: a chart shows fewer, and the answer is half as long."""
    with np.errstate(over="ignore"):
        return y.astype(np.float32)


def buckets(x: np.ndarray, points: int) -> np.ndarray:
    """Where each bucket that holds a point begins."""
    width = (x[-1] - x[0]) / points
    if not width > 0.0:
        return np.zeros(1, np.intp)
    number = np.minimum((x - x[0]) / width, points - 1).astype(np.intp)
    return np.flatnonzero(np.diff(number, prepend=-1))
