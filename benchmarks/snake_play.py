"""How well `qlearn train snake` plays after two and after six minutes of one training.

    python benchmarks/snake_play.py

The whole 10x10 board, the environment's own settings but for the budget, which is a number of steps
that takes about six minutes on two cores: the seconds are printed beside each score. Each score is
the mean of 1,000 greedy games that are not learned from, off the clock.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from _report import parser, record
from qlearn.algorithms import registry
from qlearn.envs.registry import find

FIRST_SEED = 4000  # nothing was ever tuned on it or those after it
GAMES, GAMES_SEED, MOST_STEPS = 1000, 7, 10_000


def played(learner: Any, seconds: float) -> dict[str, Any]:
    report = learner.evaluate(GAMES, GAMES_SEED, MOST_STEPS).report()
    keys = ("mean", "std", "min", "max", "mean_length", "cut_off", "filled_share")
    return {
        "steps": learner.env_steps, "seconds": round(seconds, 1), **{k: report[k] for k in keys},
    }  # fmt: skip


def train(seed: int, steps: int, marks: int) -> list[dict[str, Any]]:
    """One training, judged at every mark."""
    environment = find("snake")
    config = registry.configure("pqn", {"steps": steps}, environment, "fused")
    learner = registry.make_learner("pqn", "fused", environment, config, seed)
    learner.advance(0)  # what has to be compiled is so
    found, seconds = [], 0.0
    for mark in range(1, marks + 1):
        begun = time.perf_counter()
        learner.advance(steps * mark // marks)
        seconds += time.perf_counter() - begun
        found.append(played(learner, seconds))
        line = f"  seed {seed}: {learner.env_steps:>11,} steps, {seconds:6.1f} s, mean score"
        print(f"{line} {found[-1]['mean']:.1f}, best {found[-1]['max']:.0f}", file=sys.stderr)
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--steps", type=int, default=30_000_000)
    options.add_argument("--marks", type=int, default=3, help="evaluations of a training")
    chosen = options.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + chosen.seeds)
    trainings = {seed: train(seed, chosen.steps, chosen.marks) for seed in seeds}
    print(f"\nGreedy mean score of {GAMES:,} games, {chosen.seeds} seeds")
    marks = []
    for found in zip(*trainings.values(), strict=True):
        scores = [judged["mean"] for judged in found]
        slowest = max(judged["seconds"] for judged in found)
        marks.append({"median": statistics.median(scores), "worst": min(scores)})
        print(
            f"  after {found[0]['steps']:,} steps, at most {slowest:.0f} s: median"
            f" {marks[-1]['median']:.1f}, worst {marks[-1]['worst']:.1f}"
        )
    record("snake_play", {"marks": marks, "trainings": trainings}, chosen.record)


if __name__ == "__main__":
    main()
