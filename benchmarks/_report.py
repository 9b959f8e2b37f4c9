"""What every benchmark prints and records: rates in turn, ratios to a named baseline."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from qlearn.compare.measure import ratio, spread

RESULTS = Path(__file__).parent / "results"


def arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--record", action="store_true", help="keep the figures under benchmarks/results/"
    )
    return parser.parse_args()


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
