"""DQN on Gymnasium's LunarLander-v3 and MountainCar-v0, by their presets: what is learned, how fast.

    pip install 'gymnasium[box2d]'
    python benchmarks/dqn_gymnasium.py

Five seeds each, on which nothing was tuned; the last network plays 100 greedy episodes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from _report import parser, record

PRESETS = ("lunarlander", "mountaincar")
FIRST_SEED = 3000  # nothing was ever tuned on it or those after it


def train(preset: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "qlearn", "train", "--preset", preset, "--json"]
        command += ["--seed", str(seed), "--out", f"{folder}/run"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    report = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {preset} seed {seed}: greedy mean {report['eval']['mean']:.1f} after"
        f" {report['env_steps']:,} steps in {report['train_seconds']:.1f} s",
        file=sys.stderr,
    )
    keys = ("seed", "env_steps", "updates", "train_seconds", "eval", "best_eval")
    return {key: report[key] for key in keys}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    tables = {}
    for preset in PRESETS:
        seeds = [train(preset, FIRST_SEED + k) for k in range(chosen.seeds)]
        means = [seed["eval"]["mean"] for seed in seeds]
        times = [seed["train_seconds"] for seed in seeds]
        print(f"\n{preset}, {len(seeds)} seeds, greedy mean of 100 episodes of the last network")
        print(f"  median {statistics.median(means):.1f}, worst {min(means):.1f}")
        print(
            f"  seconds of training, median {statistics.median(times):.1f}, worst {max(times):.1f}"
        )
        tables[preset] = {"seeds": seeds, "median": statistics.median(means), "worst": min(means)}
    record("dqn_gymnasium", tables, chosen.record)


if __name__ == "__main__":
    main()
