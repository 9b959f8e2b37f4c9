"""Whether memory and speed stay flat: one long `qlearn train`, watched from outside.

    python benchmarks/flat.py                       # 50 million steps of pqn on CartPole
    python benchmarks/flat.py --algo dqn --steps 10M --set replay=1000000

Resident memory is read from the system while the command runs; its speed from the run's metrics.
The first tenth is warm-up; each later tenth has its median memory and its steps a second.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import parser, record
from qlearn.cli.options import whole

SAMPLE_SECONDS = 0.5
TENTHS = 10


def resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def watched(command: list[str], metrics: Path) -> list[tuple[int, float]]:
    """(environment steps by the metrics so far, resident MiB) while the command runs."""
    samples = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            try:
                samples.append((rows(metrics)[-1]["env_steps"], resident_mb(process.pid)))
            except (OSError, IndexError):
                continue  # not begun, or just ended
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return samples


def rows(metrics: Path) -> list[dict[str, Any]]:
    whole_lines = metrics.read_text().split("\n")[:-1]
    return [row for row in map(json.loads, whole_lines) if "eval" not in row]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--algo", default="pqn")
    options.add_argument("--env", default="cartpole")
    options.add_argument("--steps", type=whole(1), default=50_000_000)
    options.add_argument("--set", nargs="*", default=[], help="settings, such as replay=1000000")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "qlearn", "train", chosen.env, "--algo", chosen.algo]
        command += ["--steps", str(chosen.steps), "--out", str(run), "--quiet"]
        command += ["--set", *chosen.set] if chosen.set else []
        samples = watched(command, run / "metrics.jsonl")
        lines = rows(run / "metrics.jsonl")
    tenth = chosen.steps / TENTHS
    print(f"{chosen.steps:,} steps of {chosen.algo} on {chosen.env}, tenth by tenth")
    found = []
    for k in range(TENTHS):
        inside = [r for r in lines if k * tenth <= r["env_steps"] <= (k + 1) * tenth]
        first, last = inside[0], inside[-1]
        seconds = last["machine"]["seconds"] - first["machine"]["seconds"]
        speed = (last["env_steps"] - first["env_steps"]) / seconds
        memory = [mb for steps, mb in samples if k * tenth <= steps < (k + 1) * tenth]
        found.append({"steps_per_second": speed, "resident_mb": statistics.median(memory)})
        print(f"  {k + 1:2}  {speed:12,.0f} steps/s  {found[-1]['resident_mb']:8.1f} MiB")
    growth = found[-1]["resident_mb"] - found[1]["resident_mb"]
    pace = found[-1]["steps_per_second"] / found[1]["steps_per_second"]
    peak = max(mb for _, mb in samples)
    print(f"largest seen: {peak:.1f} MiB")
    print(f"from the second tenth to the last: {growth:+.1f} MiB, {pace:.3f}x its speed")
    name = f"flat_{chosen.algo}_{chosen.env}".replace(":", "_")
    figures = {"steps": chosen.steps, "tenths": found, "growth_mb": growth, "pace": pace,
               "largest_mb": peak, "settings": chosen.set}  # fmt: skip
    record(name, {**figures, "script": "benchmarks/flat.py"}, chosen.record)


if __name__ == "__main__":
    main()
