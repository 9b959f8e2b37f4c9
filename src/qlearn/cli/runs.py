"""List the runs of a folder: ./runs, $QLEARN_RUNS, or the one named."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qlearn.cli.console import Console
from qlearn.cli.durations import duration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir", nargs="?", metavar="DIR", help="the folder (default: the runs folder)"
    )


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.errors import UserError
    from qlearn.runs.folder import list_runs, runs_folder

    home = Path(arguments.dir).absolute() if arguments.dir else runs_folder()
    if arguments.dir and not home.is_dir():
        raise UserError(f"there is no folder {home}")
    return {
        "runs": [
            {
                "run": str(folder.path),
                "env": folder.record.get("env_name", folder.record.get("env")),
                "algo": folder.record.get("algo"),
                "status": folder.status,
                "train_seconds": folder.train_seconds,
                "eval": (folder.record.get("result") or {}).get("eval"),
            }
            for folder in list_runs(home)
        ]
    }


def show(report: dict[str, Any], console: Console) -> None:
    console.table(
        ("run", "environment", "algorithm", "status", "time", "greedy mean"),
        [
            (
                Path(row["run"]).name,
                row["env"],
                row["algo"],
                row["status"],
                "" if row["train_seconds"] is None else duration(row["train_seconds"]),
                "" if row["eval"] is None else f"{row['eval']['mean']:.4g}",
            )
            for row in report["runs"]
        ],
    )
    if not report["runs"]:
        console.say("no runs yet; qlearn train grid makes one")
