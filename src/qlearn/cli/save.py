"""Have a run that is being trained write a checkpoint now, without stopping it."""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder, a name under the runs folder, last")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.runs.run import load

    found = load(arguments.run)
    return {"run": str(found.path), "checkpoint": str(found.save())}


def show(report: dict[str, Any], console: Console) -> None:
    console.out(report["checkpoint"])
