"""Replay DQN on CartPole-v1: 50,000 steps and 25,000 updates of 64 transitions, beside SB3's.

    python benchmarks/peers/environments.py      # once: the peers' own environments
    python benchmarks/dqn_cartpole.py

Both do as many steps and as many updates (rl-zoo3's counts), on one thread, on networks of the same
widths: 64-64, and 256-256 which is SB3's own choice. Ours trains with its defaults, so it takes
double targets, three steps ahead, LayerNorm and an average of the parameters on top. Turns
alternate; seconds are of training, without compiling and without the evaluations. Then ours with
its defaults on more seeds: what the last network earns in 100 greedy episodes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from typing import Any

from _report import parser, record, times
from cartpole_solved import PEERS, last_line
from qlearn.compare.measure import alternate

sys.path.insert(0, str(PEERS))

from environments import python, versions

FIRST_SEED = 4000  # nothing was ever tuned on it or those after it
STEPS, BATCH = 50_000, 64
WIDTHS = ("64x64", "256x256")


def ours(seed: int, *settings: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "qlearn", "train", "cartpole", "--algo", "dqn", "--json"]
    command += ["--steps", str(STEPS), "--seed", str(seed), "--set", *settings, f"batch={BATCH}"]
    with tempfile.TemporaryDirectory() as runs:
        report, _ = last_line(command, {"QLEARN_RUNS": runs})
    return report


def theirs(seed: int, net: str) -> dict[str, Any]:
    command = [str(python("sb3")), str(PEERS / "sb3_dqn.py"), "--seed", str(seed), "--net", net]
    report, _ = last_line(command, {})
    return report


def seconds_of(run: Any, seeds: Any, kept: list[dict[str, Any]]) -> float:
    report = run(next(seeds))
    kept.append(report)
    return report["train_seconds"]


def measure(net: str, repeats: int) -> dict[str, Any]:
    runs = {
        "sb3_dqn": lambda seed: theirs(seed, net),
        "qlearn": lambda seed: ours(seed, f"hidden={net}"),
    }
    kept: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    contenders = {}
    for name, run in runs.items():
        seeds = iter(range(FIRST_SEED, FIRST_SEED + repeats))
        contenders[name] = lambda run=run, seeds=seeds, name=name: seconds_of(
            run, seeds, kept[name]
        )
    measured = alternate(contenders, repeats, warmup=0)
    table = times(
        f"DQN, {net}: {STEPS:,} steps, {kept['qlearn'][0]['updates']:,} updates of {BATCH}",
        {name: [[value] for value in values] for name, values in measured.items()},
        "sb3_dqn",
    )
    ratio = statistics.median(measured["sb3_dqn"]) / statistics.median(measured["qlearn"])
    print(f"  qlearn is {ratio:.1f} times faster")
    ends = {
        "sb3_dqn": [report["final_eval_mean"] for report in kept["sb3_dqn"]],
        "qlearn": [report["eval"]["mean"] for report in kept["qlearn"]],
    }
    print(f"  last networks: {ends}")
    return {"seconds": table, "times_faster": ratio, "last_means": ends}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=10)
    chosen = options.parse_args()
    ours(0)  # compiles what the runs find in the cache
    tables: dict[str, Any] = {net: measure(net, chosen.repeats) for net in WIDTHS}
    means = [ours(FIRST_SEED + 100 + k)["eval"]["mean"] for k in range(chosen.seeds)]
    good = sum(mean >= 475 for mean in means)
    print(
        f"\nqlearn's defaults: the last network earns at least 475 on {good} of {len(means)} seeds"
    )
    print(f"  median {statistics.median(means):.1f}, worst {min(means):.1f}")
    tables["defaults"] = {"last_means": means, "at_least_475": good}
    record("dqn_cartpole", tables | {"peers": versions("sb3")}, chosen.record)


if __name__ == "__main__":
    main()
