"""What a person sees in the terminal while a run is trained."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qlearn.cli.durations import duration
from qlearn.cli.sparkline import BLOCKS, PLAIN, sparkline
from qlearn.runs.watchers import Watched, Watcher

if TYPE_CHECKING:
    from qlearn.cli.console import Console

AFTER_SECONDS = 1.0  # shorter trainings neither import rich nor show anything
LEAST_SECONDS = 0.125  # between two pictures
MOST_SHARE = 0.003  # of the time may go into pictures
KEPT_RETURNS = 200
LABEL, BAR, CURVE = 10, 24, 50  # characters


def for_console(console: Console) -> list[Watcher]:
    """A view where a person watches, else nobody."""
    if console.quiet or console.json or not sys.stderr.isatty():
        return []
    return [TrainingView()]


@dataclass
class Facts:
    """All that the view shows."""

    share: float
    env_steps: int
    episodes: int
    elapsed: float
    remaining: float | None
    steps_per_second: float
    returns: list[float] = field(default_factory=list)
    greedy: tuple[float, float, int] | None = None  # mean, best mean, at which step
    stages: list[tuple[str, float]] = field(default_factory=list)  # name, share


def lines(facts: Facts, width: int, blocks: str = BLOCKS) -> list[str]:
    full = round(BAR * facts.share)
    bar = (blocks[-1] if blocks == BLOCKS else "=") * full + ("░" if blocks == BLOCKS else "-") * (
        BAR - full
    )
    times = f"{duration(facts.elapsed)} elapsed"
    if facts.remaining is not None:
        times += f", {duration(facts.remaining)} left"
    said = [
        f"{'training':{LABEL}}{bar} {100 * facts.share:3.0f} %  {times}",
        f"{'':{LABEL}}{facts.env_steps:,} steps, {facts.episodes:,} episodes,"
        f" {facts.steps_per_second:,.0f} steps/s",
    ]
    if facts.returns:
        curve = sparkline(facts.returns, min(CURVE, width - LABEL - 12), blocks)
        said.append(f"{'return':{LABEL}}{curve} {facts.returns[-1]:.4g}")
    if facts.greedy:
        mean, best, at = facts.greedy
        said.append(f"{'greedy':{LABEL}}{mean:.4g} at {at:,} steps (best {best:.4g})")
    if facts.stages:
        shares = "  ".join(f"{name} {100 * share:.0f} %" for name, share in facts.stages)
        said.append(f"{'time':{LABEL}}{shares}")
    return [line[: width - 1] for line in said]


class TrainingView(Watcher):
    """A few lines that are drawn over one another, and gone when the training ends."""

    name = "the view"

    def __init__(self) -> None:
        self._live: Any = None
        self._returns: list[float] = []
        self._greedy: tuple[float, float, int] | None = None
        self._begun = self._next = float("inf")
        self._share_before = 0.0

    def begins(self, training: Watched) -> None:
        self._begun = time.perf_counter()
        self._next = self._begun + AFTER_SECONDS
        self._share_before = training.share

    def wants(self, now: float) -> bool:
        return now >= self._next

    def looks(self, training: Watched) -> None:
        if self._live is None:
            self._open()
        begun = time.perf_counter()
        width = shutil.get_terminal_size().columns
        self._live.update(
            self._text("\n".join(lines(self._facts(training), width, self._blocks)), no_wrap=True),
            refresh=True,
        )
        took = time.perf_counter() - begun
        self._next = begun + max(LEAST_SECONDS, took / MOST_SHARE)

    def logged(self, training: Watched, row: dict[str, Any]) -> None:
        if row["return"] is not None:
            self._returns = [*self._returns[1 - KEPT_RETURNS :], row["return"]]

    def judged(self, training: Watched, row: dict[str, Any]) -> None:
        self._greedy = (row["eval"]["mean"], training.best_mean, row["env_steps"])

    def ends(self, training: Watched) -> None:
        if self._live is not None:
            self._live.stop()

    def _open(self) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._blocks = BLOCKS if _shows(BLOCKS) else PLAIN
        self._live = Live(console=RichConsole(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def _facts(self, training: Watched) -> Facts:
        share, elapsed = training.share, time.perf_counter() - self._begun
        done = share - self._share_before
        return Facts(
            share=share,
            env_steps=training.env_steps,
            episodes=training.learner.episodes,
            elapsed=training.train_seconds,
            remaining=elapsed * (1.0 - share) / done if done > 0.0 else None,
            steps_per_second=training.steps_per_second,
            returns=self._returns,
            greedy=self._greedy,
            stages=[(stage["name"], stage["share"]) for stage in training.stages.report()],
        )


def _shows(characters: str) -> bool:
    try:
        characters.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
