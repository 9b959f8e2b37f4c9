"""The same training with several seeds, and what may be said of them together."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qlearn.errors import UserError
from qlearn.runs.training import train

RESAMPLES = 2000


def train_seeds(
    env: str | None,
    count: int,
    *,
    seed: int | None = None,
    out: str | Path | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Seeds `seed` .. `seed + count - 1`, one run each; `{runs, summary}` of CONTRACT."""
    if count < 1:
        raise UserError(f"seeds must be at least 1, not {count}")
    seed = seed or 0
    reports = [
        train(env, seed=seed + k, out=Path(out) / f"seed-{seed + k}" if out else None, **how).report
        for k in range(count)
    ]
    return {"runs": reports, "summary": summary([report["eval"]["mean"] for report in reports])}


def summary(scores: Sequence[float]) -> dict[str, float]:
    """Mean, median and interquartile mean, the last with its 95 % bootstrap interval."""
    chance = random.Random(0)
    means = sorted(
        interquartile_mean([chance.choice(scores) for _ in scores]) for _ in range(RESAMPLES)
    )
    return {
        "mean": statistics.fmean(scores),
        "median": statistics.median(scores),
        "iqm": interquartile_mean(scores),
        "low": means[int(0.025 * RESAMPLES)],
        "high": means[int(0.975 * RESAMPLES) - 1],
    }


def interquartile_mean(scores: Sequence[float]) -> float:
    """The mean of the middle half; scores on its edges count in part (Agarwal et al., 2021)."""
    ordered = sorted(scores)
    n = len(ordered)
    low, high = 0.25 * n, 0.75 * n
    weights = [max(0.0, min(k + 1, high) - max(k, low)) for k in range(n)]
    return sum(w * score for w, score in zip(weights, ordered, strict=True)) / sum(weights)
