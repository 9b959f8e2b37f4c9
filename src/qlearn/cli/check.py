"""Find the mistakes in an environment: FILE.py:Name, a map FILE.txt, gym:ID or a built-in.

A class of plain functions is an environment:

    class Corridor:
        "Walk right."
        actions = 2
        observation = (2,)
        max_steps = 200
        state = {"x": "float64", "steps_left": "int64"}

        def reset(state, rng): ...
        def step(state, action, rng): ...     # gives (reward, terminated)
        def observe(state, obs): ...          # fills obs

The functions see one game, allocate nothing, and draw from `rng` with qlearn.rng's uniform(rng)
and integers(rng, n).
"""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli.console import Console
from qlearn.cli.options import add_settings, environment_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="FILE.py:Name|ENV")
    add_settings(parser, "environment options, env.KEY=VALUE")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from dataclasses import asdict

    from qlearn.envs.check import check

    problems = check(arguments.target, environment_options(arguments.settings))
    return {"env": arguments.target, "problems": [asdict(problem) for problem in problems]}


def show(report: dict[str, Any], console: Console) -> None:
    for problem in report["problems"]:
        place = f"{problem['file']}:{problem['line']}" if problem["line"] else problem["file"]
        console.out(f"{place}: {problem['severity']}: {problem['message']}")
    if not report["problems"]:
        console.out(f"{report['env']}: no problems found")


def exit_code(report: dict[str, Any]) -> int:
    """2 where there is something to mend; warnings are none."""
    return 2 if any(problem["severity"] == "error" for problem in report["problems"]) else 0
