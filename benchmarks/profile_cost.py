"""What `qlearn profile` costs the script that it measures: by sampling, and with --functions.

    python benchmarks/profile_cost.py [--repeats 7] [--scripts dict ...]

Each script runs unmeasured and measured in turn, in processes of their own: two classic ones, one
made of nothing but tiny Python calls, the other of calls into PyTorch. What starting and ending a
process takes, measured and not, is what a script of one `pass` takes; it is told apart and left
out of the rest. CPU time (user and system, of all threads) is steadier than wall time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from _report import parser, record, times
from qlearn.compare.measure import alternate
from qlearn.profiling.process import CHILD

CLASSIC = Path(__file__).parent.parent / "examples" / "classic"
SCRIPTS = {
    "dict": [str(CLASSIC / "q_learning.py"), "120000"],
    "torch": [str(CLASSIC / "cartpole_dqn.py"), "140", "0"],
}
PLAIN, SAMPLING, FUNCTIONS = "unmeasured", "sampling", "--functions"
OPTIONS: dict[str, dict[str, Any] | None] = {
    PLAIN: None, SAMPLING: {}, FUNCTIONS: {"functions": True},
}  # fmt: skip
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # the others' CPU time is waiting


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float


def run(script: Sequence[str], options: dict[str, Any] | None) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        measured = [] if options is None else [str(CHILD), folder, json.dumps(options), "--"]
        begun = perf_counter()
        process = subprocess.Popen(
            [sys.executable, *measured, *script],
            env=os.environ | ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        wall = perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(script)} ended with {process.returncode}")
    return Cost(wall, used.ru_utime + used.ru_stime)


def measure(script: Sequence[str], repeats: int) -> dict[str, list[Cost]]:
    contenders: Mapping[str, Callable[[], Cost]] = {
        name: partial(run, script, options) for name, options in OPTIONS.items()
    }
    return alternate(contenders, repeats)


def table(
    title: str, kind: str, costs: dict[str, list[Cost]], less: dict[str, list[Cost]] | None = None
) -> list[dict[str, Any]]:
    """Of one kind of time; `less` is what a script that does nothing costs."""
    start = {
        name: statistics.median(getattr(cost, kind) for cost in less[name]) if less else 0.0
        for name in costs
    }
    turns = {
        name: [[getattr(cost, kind) - start[name]] for cost in values]
        for name, values in costs.items()
    }
    return times(f"{title}: {kind} time", turns, PLAIN)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--scripts", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    chosen = options.parse_args()
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder) / "nothing.py"
        nothing.write_text("pass\n")
        starting = measure([str(nothing)], max(5, chosen.repeats))
    for kind in ("wall", "cpu"):
        tables[f"starting, {kind}"] = table("Starting and ending a process", kind, starting)
    for name in chosen.scripts:
        costs = measure(SCRIPTS[name], chosen.repeats)
        title = " ".join([Path(SCRIPTS[name][0]).name, *SCRIPTS[name][1:]])
        for kind in ("wall", "cpu"):
            tables[f"{name}, {kind}"] = table(title, kind, costs, starting)
    record("profile_cost", tables, chosen.record)


if __name__ == "__main__":
    main()
