"""The same seed learns the same bits: for any number of threads, and for chunks of any size.

    python benchmarks/same_bits.py [--seeds 4] [--steps 10000] [--record]

A run is trained chunk by chunk, as many steps at a time as the clock suggests. Each seed is trained
with one thread and with two, in such chunks and in chunks of a single step (or rollout): weights,
replay, the best network and every learning column of the metrics must be equal to the byte. What is
left out of the comparison is named in `_same.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import qlearn
from _report import record
from _same import difference
from qlearn.runs import driver

CASES: dict[str, dict[str, Any]] = {
    "table": {"env": "grid", "engine": "numba"},  # which learns on one thread, whatever is asked
    "pqn": {"env": "cartpole", "algo": "pqn"},
    "dqn": {"env": "cartpole", "algo": "dqn"},
    "dqn prioritized": {"env": "cartpole", "algo": "dqn", "prioritized": True},
}
THREADS, CHUNKS = (1, 2), ("by the clock", "of one step")
OF_ONE_STEP = {"FIRST_CHUNK": 1, "CHUNK_SECONDS": 0.0}  # longer than 0 s is too long: never more


@contextlib.contextmanager
def chunks(size: str) -> Iterator[None]:
    """Trainings in there have chunks of that size."""
    before = {name: getattr(driver, name) for name in OF_ONE_STEP}
    try:
        for name, value in (OF_ONE_STEP if size == "of one step" else before).items():
            setattr(driver, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(driver, name, value)


def differences(home: Path, how: dict[str, Any], seed: int) -> list[str]:
    """Where the runs of one seed differ from that of one thread, in chunks by the clock."""
    first, found = home / "first", []
    for threads, size in product(THREADS, CHUNKS):
        run = home / f"{threads}-{size[-4:]}" if first.exists() else first
        with chunks(size):
            used = qlearn.train(out=run, seed=seed, threads=threads, **how).report["threads"]
        if used != threads and how.get("algo"):
            found.append(f"seed {seed}: {used} threads instead of {threads}")
        if wrong := difference(first, run):
            found.append(f"seed {seed}, {threads} threads, chunks {size}: {wrong}")
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--steps", type=int, default=10_000)
    options.add_argument("--record", action="store_true")
    chosen = options.parse_args()
    tables = {}
    for name, how in CASES.items():
        how = {**how, "steps": chosen.steps, "eval_every": chosen.steps // 7}
        wrong = []
        for seed in range(chosen.seeds):
            with tempfile.TemporaryDirectory() as folder:
                wrong += differences(Path(folder), how, seed)
        runs = chosen.seeds * len(THREADS) * len(CHUNKS)
        print(f"  {name:16} {runs} runs of {chosen.seeds} seeds, {len(wrong)} with other bits")
        print(*wrong, sep="\n", end="\n" if wrong else "")
        tables[name] = {"runs": runs, "seeds": chosen.seeds, "steps": chosen.steps, "faults": wrong}
    record("same_bits", {"cases": tables}, chosen.record)
    sys.exit(any(table["faults"] for table in tables.values()))


if __name__ == "__main__":
    main()
