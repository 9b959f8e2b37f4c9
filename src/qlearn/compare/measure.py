"""Fair timing: contenders in turn, forwards then backwards, so that a drifting machine hits all."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Result = TypeVar("Result")

RESAMPLES = 2000


def alternate(
    contenders: Mapping[str, Callable[[], Result]], repeats: int = 5, warmup: int = 1
) -> dict[str, list[Result]]:
    """Runs A B C, C B A, A B C, ...; what each contender returned, warm-ups left out."""
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for turn in range(warmup + repeats):
        order = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in order:
            result = contenders[name]()
            if turn >= warmup:
                results[name].append(result)
    return results


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(values: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The median of values over the median of base, with a 95 % bootstrap interval.

    Turn by turn pairs are resampled, because a turn's runs share the machine's mood.
    """
    chance = random.Random(0)
    pairs = list(zip(values, base, strict=True))
    ratios = []
    for _ in range(RESAMPLES):
        drawn = [pairs[chance.randrange(len(pairs))] for _ in pairs]
        ratios.append(
            statistics.median(v for v, _ in drawn) / statistics.median(b for _, b in drawn)
        )
    ratios.sort()
    return {
        "median": statistics.median(values) / statistics.median(base),
        "low": ratios[int(0.025 * RESAMPLES)],
        "high": ratios[int(0.975 * RESAMPLES) - 1],
    }
