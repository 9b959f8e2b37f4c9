"""Who has won, in words; nobody, where the turns do not tell."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qlearn.compare.measure import difference, ratio
from qlearn.compare.names import short

FEWEST = 5  # turns; of four, all go the same way by mere chance once in eight times

Scores = Sequence[float | None]


@dataclass(frozen=True)
class Verdict:
    winner: str | None
    words: str


def verdict(
    seconds: Mapping[str, Sequence[float]],
    scores: Mapping[str, Scores],
    lower_is_better: bool = False,
) -> Verdict:
    """The fastest of all wins if it is faster than each other one, and scores no worse."""
    names = list(seconds)
    called = dict(zip(names, short(names), strict=True))
    if len(names) < 2:
        return Verdict(None, "")
    count = len(seconds[names[0]])
    if count < FEWEST:
        turns = "1 turn is" if count == 1 else f"{count} turns are"
        return Verdict(None, f"no winner: {turns} too few to tell; --repeats {FEWEST} at least")
    fastest = min(names, key=lambda name: statistics.median(seconds[name]))
    others = [name for name in names if name != fastest]
    for other in others:
        # The later against the earlier, as the rows have it.
        earlier, later = sorted((fastest, other), key=names.index)
        found = ratio(seconds[earlier], seconds[later])
        if found["low"] <= 1.0 <= found["high"]:
            who = f"{called[later]} against {called[earlier]}, " if len(others) > 1 else ""
            return Verdict(None, f"no winner: {who}{_between(found)} includes 1")
    return _of_the_fastest(fastest, others, called, seconds, scores, lower_is_better)


def _of_the_fastest(
    fastest: str,
    others: Sequence[str],
    called: Mapping[str, str],
    seconds: Mapping[str, Sequence[float]],
    scores: Mapping[str, Scores],
    lower_is_better: bool,
) -> Verdict:
    next_one = min(others, key=lambda name: statistics.median(seconds[name]))
    found = ratio(seconds[next_one], seconds[fastest])
    words = (
        f"{called[fastest]} is {_times(found['median'])}x as fast as {called[next_one]}"
        f" ({_between(found)})"
    )
    told = {other: _compared(scores[fastest], scores[other], lower_is_better) for other in others}
    for other in others:
        if told[other] == "worse":
            than = f" than {called[other]}" if len(others) > 1 else ""
            but = f"but scores worse{than}: {_against(scores[fastest], scores[other])}"
            return Verdict(None, f"no winner: {words}, {but}")
    if told[next_one]:
        words += f"; scores {told[next_one]}: {_against(scores[fastest], scores[next_one])}"
    return Verdict(fastest, words)


def _compared(mine: Scores, other: Scores, lower_is_better: bool) -> str:
    """How a score stands to another; nothing where there is none, or they are the same."""
    pairs = [(a, b) for a, b in zip(mine, other, strict=True) if a is not None and b is not None]
    if not pairs or all(a == b for a, b in pairs):
        return ""
    found = difference(*zip(*pairs, strict=True))
    if found["low"] <= 0.0 <= found["high"]:
        return "about the same"
    return "worse" if (found["high"] < 0.0) != lower_is_better else "better"


def _against(mine: Scores, other: Scores) -> str:
    first, second = (
        statistics.median(score for score in scores if score is not None)
        for scores in (mine, other)
    )
    return f"{first:.4g} against {second:.4g}"


def _between(found: Mapping[str, float]) -> str:
    return f"{_times(found['low'])} to {_times(found['high'])}"


def _times(value: float) -> str:
    """Two digits, and more where they would make 1 of what is not 1."""
    if value >= 100:
        return f"{value:,.0f}"
    text = f"{value:.2f}"
    return text if text != "1.00" else f"{value:.4f}".rstrip("0").ljust(4, "0")
