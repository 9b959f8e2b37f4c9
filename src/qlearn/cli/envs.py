"""List the environments that come with qlearn, and say how to name others."""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.envs.registry import catalogue

    return {"envs": catalogue()}


def show(report: dict[str, Any], console: Console) -> None:
    console.table(
        ("name", "actions", "seen", "what it is"),
        [
            (
                row["name"],
                row["actions"],
                _seen(row["observation"]),
                row["description"],
            )
            for row in report["envs"]
        ],
    )
    console.say("also: a map FILE.txt, gym:ID (any Gymnasium environment), FILE.py:Name (your own)")


def _seen(observation: Any) -> str:
    if isinstance(observation, int):
        return f"{observation} states"
    return " x ".join(str(size) for size in observation) + " numbers"
