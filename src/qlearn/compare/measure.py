"""Fair timing: contenders in turn, forwards then backwards, so that a drifting machine hits all."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

Result = TypeVar("Result")

RESAMPLES = 2000
OUTSIDE = 0.025  # on each side of an interval


def turns(
    names: Sequence[str], repeats: int = 5, warmup: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """Who runs in which order: A B C, C B A, A B C, ...; warm-ups are the turns below 0."""
    for turn in range(-warmup, repeats):
        forwards = (turn + warmup) % 2 == 0
        yield turn, list(names) if forwards else list(names)[::-1]


def alternate(
    contenders: Mapping[str, Callable[[], Result]], repeats: int = 5, warmup: int = 1
) -> dict[str, list[Result]]:
    """What each contender returned, turn by turn, warm-ups left out."""
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for turn, order in turns(list(contenders), repeats, warmup):
        for name in order:
            result = contenders[name]()
            if turn >= 0:
                results[name].append(result)
    return results


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(values: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The median of values over the median of base, with a 95 % bootstrap interval."""
    return _interval(values, base, lambda mine, other: mine / other)


def difference(values: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The median of values less the median of base, with a 95 % bootstrap interval."""
    return _interval(values, base, lambda mine, other: mine - other)


def _interval(
    values: Sequence[float], base: Sequence[float], compared: Callable[[float, float], float]
) -> dict[str, float]:
    """Turn by turn pairs are resampled, because a turn's runs share the machine's mood."""
    chance = random.Random(0)
    pairs = list(zip(values, base, strict=True))
    found = []
    for _ in range(RESAMPLES):
        drawn = [pairs[chance.randrange(len(pairs))] for _ in pairs]
        mine, other = zip(*drawn, strict=True)
        found.append(compared(statistics.median(mine), statistics.median(other)))
    found.sort()
    outside = int(OUTSIDE * RESAMPLES)
    return {
        "median": compared(statistics.median(values), statistics.median(base)),
        "low": found[outside],
        "high": found[-1 - outside],
    }
