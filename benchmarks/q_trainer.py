"""`qlearn.QTrainer` beside the classic trainer of examples/classic/deep_q_learning.py, batch by batch.

Both learn the same batches, lists as a game collects them, with the classic network 11-256-3 on one
thread. Before anything is timed, both must have the same weights after five steps.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch look
os.environ["QLEARN_QUIET"] = "1"

import numpy as np
import torch

from _report import arguments, record, times
from qlearn import QTrainer
from qlearn.compare.measure import alternate

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "classic"))

classic: Any = import_module("deep_q_learning")
INPUTS, HIDDEN, ACTIONS = 11, 256, 3
LR, GAMMA = 1e-3, 0.9
SIZES = (1, 32, 1000)
SECONDS = 0.5  # of one turn, at least


def batch(rows: int, seed: int = 0) -> tuple:
    chance = np.random.default_rng(seed)
    states = chance.integers(0, 2, (rows, INPUTS))
    return (
        states.tolist(),
        np.eye(ACTIONS, dtype=int)[chance.integers(0, ACTIONS, rows)].tolist(),
        chance.choice([-10.0, 0.0, 10.0], rows).tolist(),
        np.roll(states, 1, axis=1).tolist(),
        tuple((chance.random(rows) < 0.1).tolist()),
    )


def trainers() -> dict[str, Any]:
    torch.manual_seed(0)
    model = classic.Linear_QNet(INPUTS, HIDDEN, ACTIONS)
    twin, other = copy.deepcopy(model), copy.deepcopy(model)
    return {
        "classic trainer": classic.QTrainer(model, LR, GAMMA),
        "QTrainer": QTrainer(twin, LR, GAMMA),
        "QTrainer, target detached": QTrainer(other, LR, GAMMA, detach_target=True),
    }


def check(size: int) -> None:
    theirs, ours, _ = trainers().values()
    for seed in range(5):
        theirs.train_step(*batch(size, seed))
        ours.train_step(*batch(size, seed))
    pairs = zip(theirs.model.parameters(), ours.model.parameters(), strict=True)
    far = max(float((a - b).detach().abs().max()) for a, b in pairs)
    if far > 1e-4:
        raise SystemExit(f"batch {size}: weights are {far:.1e} apart after five steps")


def milliseconds(step: Callable[[], Any]) -> list[float]:
    step()
    count, begun = 0, perf_counter()
    while (took := perf_counter() - begun) < SECONDS:
        step()
        count += 1
    return [took / count * 1e3]


def main() -> None:
    options = arguments(__doc__)
    torch.set_num_threads(1)
    tables = {}
    for size in SIZES:
        check(size)
        data = batch(size)
        steps = {
            name: partial(milliseconds, partial(trainer.train_step, *data))
            for name, trainer in trainers().items()
        }
        turns = alternate(steps, options.repeats)
        title = f"A train_step of {size:,} samples, {INPUTS}-{HIDDEN}-{ACTIONS}"
        tables[f"batch_{size}"] = times(title, turns, "QTrainer", "ms")
    record("q_trainer", tables, options.record)


if __name__ == "__main__":
    main()
