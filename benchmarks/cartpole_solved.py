"""CartPole-v1 solved: seconds of training, with compiling, and of the whole process, beside peers.

    python benchmarks/peers/environments.py      # once: the peers' own environments
    python benchmarks/cartpole_solved.py

Solved: three greedy evaluations of 20 episodes in a row, each after at least 1,000 further training
steps, each with a mean of at least 475. Ours trains with `--until 475`, and its time has its
evaluations in it; the peers' does not. Everything is asked to run on one thread (JAX takes a little
more), in processes of its own, in turn: every turn has one seed of each peer and some of ours,
forwards, then backwards.

The whole process of ours is measured from outside, until it has ended and kept its run. A peer's is
its imports, its compiling and its training until solved, as if it had known when to stop. The first
run ever has an empty kernel cache and compiles everything.

A run that is never solved counts with the whole of its training, and is counted out loud: at least
that long, so the median is right while fewer than half are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from _report import parser, record, times
from qlearn.compare.measure import alternate

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from environments import ONE_THREAD, purejaxql, python, versions  # noqa: E402

OURS, FIRST = "qlearn", "qlearn, first run ever"
QUIET = 0.95
FIRST_SEED = 1000  # nothing was ever tuned on it or those after it

Report = dict[str, Any]
Turns = list[list[Report]]


def peer_command(peer: str) -> list[str]:
    """A peer's script under its own Python."""
    script = str(PEERS / f"{peer}.py")
    if peer == "purejaxql_pqn":
        return [str(python("jax")), script, "--purejaxql", str(purejaxql())]
    return [str(python("sb3")), script]


def last_line(command: Sequence[str], environment: dict[str, str]) -> tuple[Report, float]:
    """The JSON object at the end of what a process prints, and the process's seconds."""
    begun = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | ONE_THREAD | environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - begun
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1]), seconds


def run_peer(peer: str, seed: int) -> Report:
    report, _ = last_line([*peer_command(peer), "--seed", str(seed)], {})
    report["until_seconds"] = _until(report)
    report["process_seconds"] = (
        report["startup_seconds"] + report["compile_seconds"] + report["until_seconds"]
    )
    return _said(peer, report)


def run_ours(seed: int, extra: Sequence[str], environment: dict[str, str]) -> Report:
    command = [sys.executable, "-m", "qlearn", "train", "cartpole", "--until", "475", "--json"]
    command += ["--threads", "1", "--seed", str(seed), *extra]
    with tempfile.TemporaryDirectory() as runs:
        report, seconds = last_line(command, {"QLEARN_RUNS": runs, **environment})
    report["until_seconds"] = _until(report)
    report["process_seconds"] = seconds
    report["final_eval_mean"] = report["eval"]["mean"]
    return _said(OURS, report)


def run_first(seed: int, extra: Sequence[str]) -> Report:
    with tempfile.TemporaryDirectory() as cache:
        return run_ours(seed, extra, {"QLEARN_CACHE": cache})


def _until(report: Report) -> float:
    solved = report["solved_at_seconds"]
    return report["train_seconds"] if solved is None else solved


def _said(name: str, report: Report) -> Report:
    print(f"  {name} seed {report['seed']}: {report['until_seconds']:.3f} s", file=sys.stderr)
    return report


def in_turns(run: Callable[[int], Report], seeds: Sequence[int], turns: int) -> Callable:
    """Runs the seeds of the next turn at every call."""
    shares: Iterator[Sequence[int]] = iter([seeds[turn::turns] for turn in range(turns)])
    return lambda: [run(seed) for seed in next(shares)]


def measure(options: argparse.Namespace) -> dict[str, Turns]:
    turns = options.repeats
    ours = range(FIRST_SEED, FIRST_SEED + options.seeds)
    theirs = range(FIRST_SEED, FIRST_SEED + turns)
    contenders = {
        OURS: in_turns(lambda seed: run_ours(seed, options.ours, {}), ours, turns),
        FIRST: in_turns(lambda seed: run_first(seed, options.ours), theirs, turns),
    }
    for peer in options.peers:
        contenders[peer] = in_turns(lambda seed, peer=peer: run_peer(peer, seed), theirs, turns)  # type: ignore[misc]
    run_ours(0, options.ours, {})  # compiles what the warm runs find in the cache
    return alternate(contenders, turns, warmup=0)


def table(title: str, measured: dict[str, Turns], figure: Callable[[Report], float]) -> Any:
    figures = {
        name: [[figure(report) for report in turn] for turn in turns]
        for name, turns in measured.items()
    }
    return times(title, figures, OURS)


def outcomes(measured: dict[str, Turns]) -> dict[str, Any]:
    """How many seeds were solved, after how many steps, and how many are so at the end."""
    print("\nSeeds solved")
    found = {}
    for name, turns in measured.items():
        reports = [report for turn in turns for report in turn]
        steps = [r["solved_at_steps"] for r in reports if r["solved_at_steps"] is not None]
        found[name] = {
            "seeds": len(reports),
            "solved": len(steps),
            "median_steps": statistics.median(steps) if steps else None,
            "final_eval_means": [report["final_eval_mean"] for report in reports],
            "train_seconds": [report["train_seconds"] for report in reports],
        }
        print(
            f"  {name:44} {len(steps)} of {len(reports)},"
            f" median steps {found[name]['median_steps']},"
            f" last evaluation below 475: {sum(r['final_eval_mean'] < 475 for r in reports)}"
        )
    return found


def warn_of_company(measured: dict[str, Turns]) -> float:
    """A peer on one thread that had the processor for less than its time shared the machine."""
    shares = (
        report.get("processor_share", 1.0)
        for turns in measured.values()
        for turn in turns
        for report in turn
    )
    lowest = min(shares)
    if lowest < QUIET:
        print(
            f"\nthe machine was busy with something else: a peer had {lowest:.0%} of a processor;"
            " times are too long, measure again when it is quiet",
            file=sys.stderr,
        )
    return lowest


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=20, help="of ours; a peer has --repeats")
    options.add_argument(
        "--peers",
        type=lambda text: [name for name in text.split(",") if name],
        default=["sb3_ppo", "purejaxql_pqn", "sb3_dqn"],
        help="names of scripts in benchmarks/peers, separated by commas",
    )
    options.add_argument(
        "--ours", type=str.split, default=[], help='more options of ours: --ours="--algo pqn"'
    )
    found = options.parse_args()
    if found.seeds < found.repeats:
        options.error("--seeds must be at least --repeats, so that every turn has one of ours")
    for peer in found.peers:
        peer_command(peer)
    return found


def main() -> None:
    options = arguments()
    measured = measure(options)
    warm = {name: turns for name, turns in measured.items() if name != FIRST}
    tables = {
        "training": table("Training until solved", warm, lambda r: r["until_seconds"]),
        "with_compiling": table(
            "The same with compiling",
            measured,
            lambda r: r["compile_seconds"] + r["until_seconds"],
        ),
        "process": table("Whole process until solved", measured, lambda r: r["process_seconds"]),
        "outcomes": outcomes(measured),
        "lowest_processor_share": warn_of_company(measured),
        "peers": {
            "sb3": versions("sb3") if any("sb3" in p for p in options.peers) else None,
            "jax": versions("jax") if "purejaxql_pqn" in options.peers else None,
        },
    }
    record("cartpole_solved", tables, options.record)


if __name__ == "__main__":
    main()
