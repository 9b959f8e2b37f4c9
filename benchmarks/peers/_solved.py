"""What "solved" means for every peer, and a clock that stands still while a peer is evaluated.

Solved: three greedy evaluations of 20 episodes in a row, each after at least 1,000 further training
steps, each with a mean of at least 475. Imported by each peer's own Python, so it needs nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GOAL = 475.0
IN_A_ROW = 3
EPISODES = 20
STEPS_BETWEEN = 1_000
EVALUATION_SEED = 1_000_000_007


class Stopwatch:
    """Seconds of training: runs from `start`, and not inside `paused`."""

    def __init__(self) -> None:
        self._kept = 0.0
        self._since: float | None = None
        self._processor_kept = 0.0
        self._processor_since = 0.0

    def start(self) -> None:
        if self._since is None:
            self._since, self._processor_since = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        if self._since is not None:
            self._kept += time.perf_counter() - self._since
            self._processor_kept += time.process_time() - self._processor_since
            self._since = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.stop()
        yield
        self.start()

    @property
    def seconds(self) -> float:
        return self._kept + (0.0 if self._since is None else time.perf_counter() - self._since)

    @property
    def processor_share(self) -> float:
        """Of the time until it was stopped; well below 1 where others kept the processor."""
        return self._processor_kept / self._kept


@dataclass
class Judge:
    """Hears evaluations in their order and keeps the moment of the third good one in a row."""

    solved_at_seconds: float | None = None
    solved_at_steps: int | None = None
    heard_at: int = 0
    means: list[float] = field(default_factory=list)

    def due(self, steps: int) -> bool:
        return steps - self.heard_at >= STEPS_BETWEEN

    def hear(self, mean: float, steps: int, seconds: float | None = None) -> None:
        self.heard_at = steps
        self.means.append(mean)
        last = self.means[-IN_A_ROW:]
        if self.solved_at_steps is None and len(last) == IN_A_ROW and min(last) >= GOAL:
            self.solved_at_steps, self.solved_at_seconds = steps, seconds


def parser(description: str | None) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=1000)
    options.add_argument("--steps", type=int, help="instead of the tuned budget")
    return options


def answer(
    peer: str,
    seed: int,
    judge: Judge,
    clock: Stopwatch,
    startup_seconds: float,
    compile_seconds: float = 0.0,
) -> None:
    """The one line that a peer prints. Startup is importing and building, up to the first step."""
    report = {
        "peer": peer,
        "seed": seed,
        "solved_at_seconds": judge.solved_at_seconds,
        "compile_seconds": compile_seconds,
        "solved_at_steps": judge.solved_at_steps,
        "train_seconds": clock.seconds,
        "processor_share": clock.processor_share,
        "startup_seconds": startup_seconds,
        "final_eval_mean": judge.means[-1],
    }
    print(json.dumps(report), flush=True)
