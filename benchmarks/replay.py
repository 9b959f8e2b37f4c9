"""The replay beside a deque, and prioritized beside other libraries' own.

    python benchmarks/peers/environments.py      # once: the others' environment
    python benchmarks/replay.py

The deque holds a tuple a transition, draws with `random.sample` and makes arrays with `np.stack`, as
scripts do. The prioritized replays hold 1,000,000 CartPole transitions; a round draws 64 and gives
each a new error. Contenders take turns, forwards, then backwards, on one core.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from environments import ONE_THREAD, python, versions  # noqa: E402

os.environ.update(ONE_THREAD)  # before NumPy and torch look
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402
from prioritized_replays import ALPHA, BATCH, BETA, SIZE, WIDTH, errors  # noqa: E402

from _report import parser, record, times  # noqa: E402
from qlearn import ReplayBuffer  # noqa: E402
from qlearn.compare.measure import alternate  # noqa: E402

ENVS = 64
OURS, DEQUE = "qlearn", "deque, random.sample, np.stack"
SIZES = (100_000, SIZE)  # what scripts hold, and what the prioritized ones hold
SECONDS = 0.5
Contenders = dict[str, Callable[[], float]]
Step = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def steps() -> list[Step]:
    """Two hundred steps of 64 environments, one after the other."""
    chance = np.random.default_rng(0)
    seen = chance.normal(size=(201, ENVS, WIDTH)).astype(np.float32)
    return [
        (
            before,
            chance.integers(0, 2, ENVS),
            chance.normal(size=ENVS).astype(np.float32),
            after,
            chance.random(ENVS) < 0.01,
        )
        for before, after in pairwise(seen)
    ]


STEPS = steps()
NEVER = np.zeros(ENVS, np.bool_)


class Deque:
    def __init__(self, size: int) -> None:
        self._memory: deque[tuple] = deque(maxlen=size)

    def add(self, step: Step) -> None:
        observations, actions, rewards, following, done = step
        for i in range(ENVS):
            self._memory.append((observations[i], actions[i], rewards[i], following[i], done[i]))

    def sample(self) -> list[np.ndarray]:
        drawn = random.sample(self._memory, BATCH)
        return [np.stack(column) for column in zip(*drawn, strict=True)]


class Ours:
    def __init__(self, size: int) -> None:
        self._replay = ReplayBuffer(size, WIDTH, envs=ENVS)

    def add(self, step: Step) -> None:
        self._replay.add(*step, NEVER)

    def sample(self) -> Any:
        return self._replay.sample(BATCH)


def adding(replay: Deque | Ours) -> None:
    for step in STEPS:
        replay.add(step)


def sampling(replay: Deque | Ours) -> None:
    for _ in STEPS:
        replay.sample()


def both(replay: Deque | Ours) -> None:
    for step in STEPS:
        replay.add(step)
        replay.sample()


def seconds(work: Callable[[], None]) -> float:
    """Of one step of `work`, which makes as many as STEPS, over at least SECONDS."""
    count, begun, took = 0, time.perf_counter(), 0.0
    while took < SECONDS:
        work()
        count += len(STEPS)
        took = time.perf_counter() - begun
    return took / count


def beside_a_deque(size: int, repeats: int) -> dict[str, Any]:
    replays: dict[str, Deque | Ours] = {DEQUE: Deque(size), OURS: Ours(size)}
    for replay in replays.values():
        for _ in range(size // ENVS // len(STEPS) + 1):
            adding(replay)
    return {
        f"{name}, {size:,} places": _table(
            f"{name}, a replay of {size:,}",
            _timed(work, replays),
            repeats,
        )
        for name, work in (
            ("add 64", adding),
            ("sample 64", sampling),
            ("add 64 and sample 64", both),
        )
    }


def _timed(work: Callable[[Any], None], replays: dict[str, Deque | Ours]) -> Contenders:
    return {who: partial(seconds, partial(work, replay)) for who, replay in replays.items()}


class OurPrioritized:
    def __init__(self) -> None:
        self._replay = ReplayBuffer(
            SIZE, WIDTH, envs=ENVS, prioritized=True, alpha=ALPHA, beta=BETA
        )
        for k in range(SIZE // ENVS + 1):
            self._replay.add(*STEPS[k % len(STEPS)], NEVER)
        self._errors = errors()

    def round(self) -> None:
        """As many draws as STEPS, each answered."""
        replay, sizes = self._replay, self._errors
        for k in range(len(STEPS)):
            replay.prioritize(replay.sample(BATCH).slots, sizes[k % len(sizes)])


class Others:
    """Other libraries in an environment of their own; asked line by line, it stays between turns."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [str(python("replay")), "-W", "ignore", str(PEERS / "prioritized_replays.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, who: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"who": who}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit("the process of the other libraries ended unexpectedly; what it said is above")
        return json.loads(line)

    def seconds(self, who: str) -> float:
        return self.ask(who)["seconds"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def beside_others(repeats: int) -> list[dict[str, Any]]:
    others = Others()
    contenders: Contenders = {OURS: partial(seconds, OurPrioritized().round)}
    for who in ("cpprb", "torchrl"):
        if missing := others.ask(who).get("missing"):
            print(f"{who} cannot be measured: {missing}", file=sys.stderr)
        else:
            contenders[who] = partial(others.seconds, who)
    rows = _table(f"Prioritized sample and update of 64 among {SIZE:,}", contenders, repeats)
    others.close()
    return rows


def _table(title: str, contenders: Contenders, repeats: int) -> list[Any]:
    measured = alternate(contenders, repeats)
    turns = {name: [[value * 1e6] for value in values] for name, values in measured.items()}
    return times(title, turns, OURS, "us")


def main() -> None:
    chosen = parser(__doc__).parse_args()
    tables: dict[str, Any] = {}
    for size in SIZES:
        tables |= beside_a_deque(size, chosen.repeats)
    tables["prioritized"] = beside_others(chosen.repeats)
    record("replay", tables | {"peers": versions("replay")}, chosen.record)


if __name__ == "__main__":
    main()
