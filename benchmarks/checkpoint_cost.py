"""How long training stands still for a checkpoint, with a replay of a million transitions.

    python benchmarks/checkpoint_cost.py [--repeats 10] [--contenders uniform ...] [--record]

Trains DQN until the replay is full, then saves again and again from within, as `qlearn save` and the
clock do: arrays, checksums, waiting for the disk, reading back. What a plain write of as many bytes
takes, waiting for the disk included, and what hashing them takes stands beside it: a disk may be
fast, and may be slower where you are. The share is that of the default interval, which grows where
saving would take more than its share.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import qlearn
from _report import parser, record
from qlearn.compare.measure import spread
from qlearn.runs.config import RunConfig
from qlearn.runs.driver import save_interval
from qlearn.runs.watchers import Watcher

TRANSITIONS = 1_000_000
CONTENDERS: dict[str, dict[str, Any]] = {
    "uniform": {"env": "cartpole"},
    "prioritized": {"env": "cartpole", "prioritized": True},
    "snake": {"env": "snake", "env.observation": "board"},
}
DEFAULT = [
    "uniform",
    "prioritized",
]  # snake's boards are 1.2 GB in memory, and take minutes to play
FEW_UPDATES = 0.01  # a transition: the replay is what is saved, whatever was learned from it


class Saves(Watcher):
    """Once the replay is full, saves so many times, and stops the training."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.seconds: list[float] = []
        self.bytes = 0

    def logged(self, training: Any, row: dict[str, Any]) -> None:
        if training.env_steps < 1.1 * TRANSITIONS or self.seconds:
            return
        training.save()  # the best network with it, once
        for _ in range(self.repeats):
            begun = perf_counter()
            place = training.save()
            self.seconds.append(perf_counter() - begun)
        self.bytes = sum(
            place.with_suffix(ending).stat().st_size for ending in (".safetensors", ".json")
        )


def saved(how: dict[str, Any], repeats: int, folder: Path) -> Saves:
    saves = Saves(repeats)
    settings: dict[str, Any] = {"algo": "dqn", "replay": TRANSITIONS, "steps": round(1.2 * TRANSITIONS),
                "updates": FEW_UPDATES, "eval_episodes": 1, "threads": 1}  # fmt: skip
    qlearn.train(**settings, **how, out=folder, watchers=[saves])
    return saves


def plainly(size: int, folder: Path) -> tuple[float, float]:
    """Seconds to write so many bytes and wait for the disk, and to hash them."""
    data = np.random.default_rng(0).bytes(size)
    begun = perf_counter()
    with open(folder / "plain", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    written = perf_counter()
    hashlib.sha256(data)
    return written - begun, perf_counter() - written


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(repeats=10)
    options.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=DEFAULT)
    chosen = options.parse_args()
    tables: dict[str, Any] = {}
    for name in chosen.contenders:
        with tempfile.TemporaryDirectory() as home:
            saves = saved(CONTENDERS[name], chosen.repeats, Path(home) / "run")
            plain = [plainly(saves.bytes, Path(home)) for _ in range(chosen.repeats)]
        stall = spread(saves.seconds)
        interval = save_interval(RunConfig().checkpoint_seconds, stall["median"])
        share = stall["median"] / (interval + stall["median"])
        write, digest = (statistics.median(column) for column in zip(*plain, strict=True))
        megabytes = saves.bytes / 1e6
        tables[name] = {"settings": CONTENDERS[name], "bytes": saves.bytes, "stall_seconds": stall,
                        "interval_seconds": interval, "share": share,
                        "plain_write_megabytes_per_second": megabytes / write,
                        "sha256_megabytes_per_second": megabytes / digest}  # fmt: skip
        print(
            f"{name:12} {megabytes:7.1f} MB, training stands still {stall['median']:.3f} s"
            f" [{stall['min']:.3f} .. {stall['max']:.3f}], {100 * share:.2f} % once in"
            f" {interval:.0f} s; a plain write here {megabytes / write:,.0f} MB/s, SHA-256"
            f" {megabytes / digest:,.0f} MB/s"
        )
    record("checkpoint_cost", {"transitions": TRANSITIONS, **tables}, chosen.record)


if __name__ == "__main__":
    main()
