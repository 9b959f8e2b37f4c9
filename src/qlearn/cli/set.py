"""Change a run while it is trained: `qlearn set last epsilon=0.05`, `lr='1e-3->1e-4'`, `paused=true`.

Takes what `--set` of train takes, for the settings that may change meanwhile: epsilon, lr, discount,
eval_every, checkpoint_seconds, and what the algorithm adds (run.json lists them under "live").
Schedules count from the run's first step. A run that nobody trains has it from its next --resume on.
"""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder, a name under the runs folder, last")
    parser.add_argument("changes", metavar="key=value", nargs="+")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.errors import UserError
    from qlearn.runs.run import load

    changes = {}
    for pair in arguments.changes:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError(f"'{pair}' is not key=value")
        changes[key.strip()] = _value(value.strip())
    found = load(arguments.run)
    return {"run": str(found.path), "applied_at_step": found.set(**changes)}


def _value(text: str) -> bool | int | float | str:
    """Text as knobs.json has it: a number where it is one."""
    words = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def show(report: dict[str, Any], console: Console) -> None:
    if report["applied_at_step"] is None:
        console.out("nobody trains this run: it holds from the next qlearn train --resume on")
    else:
        console.out(f"holds from step {report['applied_at_step']:,} on")
