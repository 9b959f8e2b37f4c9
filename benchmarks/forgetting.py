"""What protects DQN from forgetting after success, and what each part of it gives.

    python benchmarks/forgetting.py

On CartPole a replay runs out of failures once the pole stays up, and the network forgets what they
looked like. Ours keeps some episodes restless, plays the average of its parameters, lets the
learning rate fall. Each is taken away in turn, then all three. From 40,000 steps on, when the pole
has long stayed up, it is evaluated every 2,000 steps; a fall is a greedy mean below 475.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from typing import Any

import qlearn
from _report import parser, record

FIRST_SEED = 5000
STEPS, FROM, EVERY, GOOD = 100_000, 40_000, 2000, 475.0
WITHOUT: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no restless episodes": {"explorers": 0.0},
    "the newest network plays": {"average": 0.0},
    "lr stays": {"lr": 1e-3},
    "none of the three": {"explorers": 0.0, "average": 0.0, "lr": 1e-3},
}


def falls(seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = qlearn.train(
            "cartpole", algo="dqn", seed=seed, steps=STEPS, eval_every=EVERY, out=f"{folder}/run",
            **settings,
        )  # fmt: skip
        lines = [json.loads(line) for line in (run.path / "metrics.jsonl").open()]
    judged = [row for row in lines if "eval" in row and row["env_steps"] > FROM]
    means = [row["eval"]["mean"] for row in judged]
    return {"seed": seed, "fallen": sum(mean < GOOD for mean in means), "of": len(means),
            "last": means[-1]}  # fmt: skip


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=10)
    chosen = options.parse_args()
    tables = {}
    print(
        f"CartPole by DQN, {chosen.seeds} seeds: evaluations below {GOOD:g} from {FROM:,} steps on"
    )
    for name, settings in WITHOUT.items():
        seeds = [falls(FIRST_SEED + k, settings) for k in range(chosen.seeds)]
        share = sum(seed["fallen"] for seed in seeds) / sum(seed["of"] for seed in seeds)
        last = [seed["last"] for seed in seeds]
        bad = sum(mean < GOOD for mean in last)
        tables[name] = {"share": share, "last_below": bad, "seeds": seeds}
        print(
            f"  {name:28} {share:6.1%} of them; the last one in {bad} of {len(last)} seeds,"
            f" median {statistics.median(last):.0f}, worst {min(last):.0f}",
        )
        sys.stdout.flush()
    record("forgetting", tables, chosen.record)


if __name__ == "__main__":
    main()
