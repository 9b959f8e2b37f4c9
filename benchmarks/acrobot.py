"""Gymnasium's own Acrobot-v1, stepped from Python, with the defaults: what is learned, how fast.

python benchmarks/acrobot.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from _report import parser, record

ENV = "gym:Acrobot-v1"
FIRST_SEED = 3000  # nothing was ever tuned on it or those after it


def train(seed: int, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "qlearn", "train", ENV, "--seed", str(seed)]
    command += ["--out", f"{folder}/{seed}", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    report = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  seed {seed}: greedy mean {report['eval']['mean']:.1f} after {report['env_steps']:,}"
        f" steps in {report['train_seconds']:.1f} s",
        file=sys.stderr,
    )
    keys = ("seed", "env_steps", "train_seconds", "total_seconds", "eval", "best_eval")
    return {key: report[key] for key in keys}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = [train(FIRST_SEED + k, folder) for k in range(chosen.seeds)]
    means = [seed["eval"]["mean"] for seed in seeds]
    times = [seed["train_seconds"] for seed in seeds]
    print(f"\n{ENV}, defaults, {len(seeds)} seeds, greedy mean of 100 episodes of the last network")
    print(f"  median {statistics.median(means):.1f}, worst {min(means):.1f}")
    print(f"  seconds of training, median {statistics.median(times):.1f}, worst {max(times):.1f}")
    record("acrobot", {"env": ENV, "seeds": seeds}, chosen.record)


if __name__ == "__main__":
    main()
