"""What every benchmark prints and records: rates or times in turn, ratios to a named baseline."""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

from qlearn.compare.measure import RESAMPLES, ratio, spread

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument(
        "--record", action="store_true", help="keep the figures under benchmarks/results/"
    )
    return options


def arguments(description: str | None) -> argparse.Namespace:
    return parser(description).parse_args()


def rates(
    title: str, measured: Mapping[str, Sequence[float]], base: str, unit: str = "steps/s"
) -> list[dict[str, Any]]:
    """Prints and gives a row for each contender: its rate, and its ratio to the baseline."""
    print(f"\n{title} (baseline: {base})")
    rows = []
    for name, values in measured.items():
        row: dict[str, Any] = {"name": name, "unit": unit, **spread(values)}
        line = (
            f"  {name:44} {row['median']:>16,.0f} {unit} [{row['min']:,.0f} .. {row['max']:,.0f}]"
        )
        if name != base:
            row["ratio"] = ratio(values, measured[base])
            line += f"  {row['ratio']['median']:.1f}x [{row['ratio']['low']:.1f} .. {row['ratio']['high']:.1f}]"
        print(line)
        rows.append(row)
    return rows


def times(
    title: str, turns: Mapping[str, Sequence[Sequence[float]]], base: str, unit: str = "s"
) -> list[dict[str, Any]]:
    """Prints and gives a row for each contender: its times, and how many times the baseline's.

    A turn has one time or several, and not as many for every contender.
    """
    print(f"\n{title} (baseline: {base})")
    rows = []
    for name, own in turns.items():
        values = list(chain.from_iterable(own))
        row: dict[str, Any] = {"name": name, "unit": unit, "count": len(values), **spread(values)}
        line = f"  {name:44} {row['median']:>10.4g} {unit} [{row['min']:.4g} .. {row['max']:.4g}]"
        if name != base:
            row["ratio"] = _ratio_of_turns(own, turns[base])
            line += f"  {row['ratio']['median']:.3g}x [{row['ratio']['low']:.3g} .. {row['ratio']['high']:.3g}]"
        print(line)
        rows.append(row)
    return rows


def _ratio_of_turns(
    own: Sequence[Sequence[float]], base: Sequence[Sequence[float]]
) -> dict[str, float]:
    """Like `ratio`, where a turn has several values: whole turns are resampled."""

    def of(drawn: Sequence[int]) -> float:
        medians = (
            statistics.median(chain.from_iterable(turns[k] for k in drawn)) for turns in (own, base)
        )
        return next(medians) / next(medians)

    chance = random.Random(0)
    each = range(len(own))
    ratios = sorted(of(chance.choices(each, k=len(own))) for _ in range(RESAMPLES))
    low, high = ratios[int(0.025 * RESAMPLES)], ratios[int(0.975 * RESAMPLES) - 1]
    return {"median": of(each), "low": low, "high": high}


def trained(what: Sequence[str], seed: int) -> dict[str, Any]:
    """The report of one `qlearn train`, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "qlearn", "train", *what, "--seed", str(seed), "--json"]
        command += ["--out", f"{folder}/run"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    report = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {' '.join(what)} seed {seed}: greedy mean {report['eval']['mean']:.1f} after"
        f" {report['env_steps']:,} steps in {report['train_seconds']:.1f} s",
        file=sys.stderr,
    )
    keys = ("seed", "env_steps", "updates", "train_seconds", "total_seconds", "eval", "best_eval")
    return {key: report[key] for key in keys}


def learned(what: Sequence[str], first_seed: int, seeds: int) -> dict[str, Any]:
    """Trains so many seeds, prints what the last networks earn, and gives it."""
    reports = [trained(what, first_seed + k) for k in range(seeds)]
    means = [report["eval"]["mean"] for report in reports]
    seconds = [report["train_seconds"] for report in reports]
    print(f"\nqlearn train {' '.join(what)}: greedy mean of 100 episodes of the last network")
    print(f"  median {statistics.median(means):.1f}, worst {min(means):.1f} of {seeds} seeds")
    print(
        f"  seconds of training, median {statistics.median(seconds):.1f}, worst {max(seconds):.1f}"
    )
    return {"seeds": reports, "median": statistics.median(means), "worst": min(means)}


def record(name: str, tables: Mapping[str, Any], wanted: bool) -> None:
    """Keeps the figures beside the script that made them."""
    if not wanted:
        return
    RESULTS.mkdir(exist_ok=True)
    content = {
        "script": f"benchmarks/{name}.py",
        "date": date.today().isoformat(),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": _versions(),
        **tables,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nrecorded in benchmarks/results/{name}.json", file=sys.stderr)


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in ("qlearn", "numpy", "numba", "gymnasium", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    from qlearn.runs.folder import processor

    described = processor()
    return f"{described['name']}, {described['cores']} cores"
