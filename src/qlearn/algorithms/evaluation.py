"""What greedy episodes earned: the figures that `eval`, `train` and `watch` report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """Scores (never shaped) and lengths of greedy episodes; `cut_off` counts the endless ones."""

    scores: np.ndarray
    lengths: np.ndarray
    cut_off: int = 0
    more: dict[str, float] = field(default_factory=dict)  # what the environment adds

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    def report(self) -> dict[str, Any]:
        return {
            "episodes": len(self.scores),
            "mean": self.mean,
            "std": float(np.std(self.scores)),
            "min": float(np.min(self.scores)),
            "max": float(np.max(self.scores)),
            "mean_length": float(np.mean(self.lengths)),
            "cut_off": self.cut_off,
            **self.more,
        }


def from_episodes(
    scores: Sequence[float] | np.ndarray, lengths: Sequence[int] | np.ndarray, cut_off: int = 0
) -> Evaluation:
    return Evaluation(np.asarray(scores, np.float64), np.asarray(lengths, np.int64), cut_off)


def from_copies(
    environment: Any, copies: np.ndarray, cut: np.ndarray, sums: np.ndarray
) -> Evaluation:
    """One episode of every copy; `cut` says which were cut off before they had ended."""
    scores = np.where(cut, copies["plain_return"], copies["last_score"])
    lengths = np.where(cut, copies["elapsed"], copies["last_length"])
    more = environment.more_of(scores, int(lengths.sum()), sums)
    return Evaluation(scores, lengths, int(cut.sum()), more)
