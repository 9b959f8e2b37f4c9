"""Half an hour of training: whether memory, speed, descriptors and threads stay as they are.

    python benchmarks/long_runs.py [--minutes 30] [--algorithms dqn pqn] [--record]

Each training is a `qlearn train` on CartPole, looked at from outside every two seconds; its speed is
that between the greedy evaluations, several a minute, that stand in its metrics: by the clock, and by
the processor's time, which does not count who else uses the machine. dqn has a replay of a million
transitions, full before it learns. Checkpoints come every minute, as they do everywhere. Both run
side by side, one thread each, unless `--in-turn`. A slope is that of least squares; its standard
error is widened by how far a deviation looks like the one before it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from _dashboard import cpu_seconds
from _report import parser, record

SETTINGS = {
    "dqn": ["epsilon=0.05", "eval_every=50000", "replay=1000000", "start=1000000"],
    "pqn": ["epsilon=0.05", "eval_every=1000000"],
}
FASTER = {"dqn": 200_000, "pqn": 2_000_000}  # steps a second than it will be: it does not end
SAMPLE_SECONDS = 2.0
WARM_UP_SHARE = 0.2  # of the time, but no more than
WARM_UP_MINUTES = 5.0
INTERRUPTED = 130


class Sample(NamedTuple):
    at: float  # as the clock of files has it
    minutes: float
    cpu: float
    resident_mb: float
    descriptors: int
    threads: int


class Speed(NamedTuple):
    """Steps a second; `minutes` of training had passed."""

    minutes: float
    by_clock: float
    by_cpu: float


class Slope(NamedTuple):
    """Per minute."""

    mean: float
    slope: float
    error: float


def looked_at(process: int, minutes: float) -> Sample:
    place = Path(f"/proc/{process}")
    pages = int((place / "statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    many = (len(os.listdir(place / name)) for name in ("fd", "task"))
    return Sample(time.time(), minutes, cpu_seconds(process), resident, *many)


def slope(minutes: Sequence[float], values: Sequence[float]) -> Slope:
    """The line of least squares, and the standard error of its slope."""
    mean_x, mean_y = statistics.fmean(minutes), statistics.fmean(values)
    spread = sum((x - mean_x) ** 2 for x in minutes)
    found = sum((x - mean_x) * (y - mean_y) for x, y in zip(minutes, values, strict=True)) / spread
    left = [y - mean_y - found * (x - mean_x) for x, y in zip(minutes, values, strict=True)]
    squares = sum(rest * rest for rest in left)
    alike = sum(a * b for a, b in pairwise(left)) / squares if squares else 0.0
    alike = min(max(alike, 0.0), 0.99)
    plain = math.sqrt(squares / (len(left) - 2) / spread)
    return Slope(mean_y, found, plain * math.sqrt((1.0 + alike) / (1.0 - alike)))


class Trained:
    """One training in progress, and what was seen of it."""

    def __init__(self, algo: str, folder: Path, minutes: float) -> None:
        self.algo, self.folder = algo, folder
        self.samples: list[Sample] = []
        steps = round(60.0 * minutes * FASTER[algo])
        self.words = ["cartpole", "--algo", algo, "--threads", "1", "--steps", str(steps)]
        self.words += ["--set", *SETTINGS[algo]]
        command = [sys.executable, "-m", "qlearn", "train", *self.words, "--quiet", "--out"]
        self.process = subprocess.Popen([*command, str(folder)])

    @property
    def begun(self) -> bool:
        if self.process.poll() is not None:
            sys.exit(f"qlearn train {' '.join(self.words)} ended with {self.process.returncode}")
        return (self.folder / "metrics.jsonl").exists()

    def look(self, minutes: float) -> None:
        if self.process.poll() is None:
            self.samples.append(looked_at(self.process.pid, minutes))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if self.process.wait() not in (0, INTERRUPTED):
            sys.exit(f"qlearn train {' '.join(self.words)} ended with {self.process.returncode}")

    def speeds(self) -> list[Speed]:
        """From each evaluation to the next."""
        metrics = self.folder / "metrics.jsonl"
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
        began = metrics.stat().st_mtime - rows[-1]["machine"]["seconds"]
        points = [(row["machine"]["seconds"], row["env_steps"]) for row in rows if "eval" in row]
        seconds, steps = np.array([p for p in points if began + p[0] > self.samples[0].at]).T
        cpu = np.interp(
            began + seconds, [s.at for s in self.samples], [s.cpu for s in self.samples]
        )
        done = np.diff(steps)
        each = zip(seconds[1:] / 60.0, done / np.diff(seconds), done / np.diff(cpu), strict=True)
        return [Speed(*map(float, numbers)) for numbers in each]


def watched(algos: Sequence[str], minutes: float, home: Path) -> list[Trained]:
    """Trains all of them at once for so long, counted from when the last has begun."""
    trainings = [Trained(algo, home / algo, minutes) for algo in algos]
    try:
        for training in trainings:
            while not training.begun:
                time.sleep(0.1)
        begun = time.monotonic()
        while (now := (time.monotonic() - begun) / 60.0) < minutes:
            for training in trainings:
                training.look(now)
            time.sleep(SAMPLE_SECONDS)
    finally:
        for training in trainings:
            training.stop()
    return trainings


def summary(training: Trained, warm_up: float) -> dict[str, Any]:
    settled = [sample for sample in training.samples if sample.minutes >= warm_up]
    memory = slope([s.minutes for s in settled], [s.resident_mb for s in settled])
    speeds = training.speeds()
    later = [speed for speed in speeds if speed.minutes >= warm_up]
    return {
        "train": training.words,
        "minutes": settled[-1].minutes,
        "resident_mb": {**memory._asdict(), "least": min(s.resident_mb for s in settled),
                        "most": max(s.resident_mb for s in settled)},
        "stretches": len(later),
        "steps_per_second": in_percent(later, "by_clock"),
        "steps_per_cpu_second": in_percent(later, "by_cpu"),
        "descriptors": counted(settled, "descriptors"),
        "threads": counted(settled, "threads"),
        "metrics_bytes": (training.folder / "metrics.jsonl").stat().st_size,
        "by_minute": by_minute(training.samples, speeds),
    }  # fmt: skip


def in_percent(speeds: Sequence[Speed], name: str) -> dict[str, float]:
    found = slope([speed.minutes for speed in speeds], [getattr(speed, name) for speed in speeds])
    percent = 100.0 / found.mean
    return {"mean": found.mean, "slope_percent": found.slope * percent,
            "error_percent": found.error * percent}  # fmt: skip


def counted(samples: Sequence[Sample], name: str) -> dict[str, Any]:
    """How many there were; a file that is written at the moment of a look is one more."""
    values = [getattr(sample, name) for sample in samples]
    return {"usual": statistics.mode(values), "least": min(values), "most": max(values),
            "first": values[0], "last": values[-1],
            "unusual_looks": sum(value != statistics.mode(values) for value in values),
            "looks": len(values)}  # fmt: skip


def by_minute(samples: Sequence[Sample], speeds: Sequence[Speed]) -> list[dict[str, Any]]:
    found = []
    for minute in range(math.ceil(samples[-1].minutes)):
        memory = [s.resident_mb for s in samples if int(s.minutes) == minute]
        fast = [speed for speed in speeds if int(speed.minutes) == minute]
        if memory and fast:
            found.append({"minute": minute, "resident_mb": round(statistics.median(memory), 2),
                          "steps_per_second": round(statistics.median(s.by_clock for s in fast)),
                          "steps_per_cpu_second": round(statistics.median(s.by_cpu for s in fast))})  # fmt: skip
    return found


def show(name: str, found: dict[str, Any], warm_up: float) -> None:
    memory = found["resident_mb"]
    print(f"\n{name}: {found['minutes']:.1f} minutes, of which {warm_up:g} are warm-up")
    print(
        f"  memory {memory['mean']:.1f} MiB [{memory['least']:.1f} .. {memory['most']:.1f}],"
        f" {memory['slope']:+.4f} +- {memory['error']:.4f} MiB/min"
    )
    for key in ("steps_per_second", "steps_per_cpu_second"):
        speed = found[key]
        print(
            f"  {speed['mean']:,.0f} {key.replace('_', ' ')} over {found['stretches']} stretches,"
            f" {speed['slope_percent']:+.3f} +- {speed['error_percent']:.3f} % a minute"
        )
    for key in ("descriptors", "threads"):
        n = found[key]
        print(
            f"  {key} {n['usual']} [{n['least']} .. {n['most']}], another number at"
            f" {n['unusual_looks']} of {n['looks']} looks; first {n['first']}, last {n['last']}"
        )
    print(f"  metrics.jsonl {found['metrics_bytes']:,} bytes")


def options() -> argparse.ArgumentParser:
    found = parser(__doc__)
    found.add_argument("--minutes", type=float, default=30.0)
    found.add_argument("--algorithms", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    found.add_argument("--in-turn", action="store_true", help="one training after the other")
    return found


def main() -> None:
    chosen = options().parse_args()
    warm_up = min(WARM_UP_MINUTES, WARM_UP_SHARE * chosen.minutes)
    together = [[algo] for algo in chosen.algorithms] if chosen.in_turn else [chosen.algorithms]
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        for algos in together:
            for training in watched(algos, chosen.minutes, Path(home)):
                tables[training.algo] = summary(training, warm_up)
                show(training.algo, tables[training.algo], warm_up)
    about = {"minutes": chosen.minutes, "warm_up_minutes": warm_up,
             "side_by_side": not chosen.in_turn and len(chosen.algorithms) > 1}  # fmt: skip
    record("long_runs", {**about, **tables}, chosen.record)


if __name__ == "__main__":
    main()
