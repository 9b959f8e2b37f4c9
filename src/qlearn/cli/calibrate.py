"""Measure how fast this machine learns: each engine, device and number of threads in turn.

It is measured once, in about a minute, and again when the machine or what learns has changed;
`qlearn train` then chooses by it and says what it expects. --again measures now. Interrupted, it
leaves what was known.
"""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--again", action="store_true", help="measure, whatever is known")
    parser.add_argument(
        "--seconds", type=options.positive, default=60.0, help="about how long (default: 60)"
    )


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.compare.calibrate import calibrate

    return calibrate(arguments.again, arguments.seconds, console.say)


def show(report: dict[str, Any], console: Console) -> None:
    rates = report["rates"]
    fastest: dict[tuple[str, str], float] = {}
    for rate in rates:
        key = rate["algo"], rate["workload"]
        fastest[key] = max(fastest.get(key, 0.0), rate["steps_per_second"])
    console.table(
        ("algorithm", "workload", "engine", "device", "threads", "steps/s", ""),
        [
            (
                *(rate[key] for key in ("algo", "workload", "engine", "device", "threads")),
                f"{rate['steps_per_second']:,.0f}",
                "fastest"
                if rate["steps_per_second"] == fastest[rate["algo"], rate["workload"]]
                else "",
            )
            for rate in rates
        ],
    )
    machine = report["machine"]
    gpu = machine["gpu"] or "no GPU"
    console.say(
        f"{machine['processor']}, {machine['cores']} cores, {gpu}; measured {report['measured']},"
        f" kept in {report['file']}"
    )
