"""Where the time of a script goes, what to change in it, and the proof.

  qlearn profile q_learning.py --seconds 20
  qlearn profile train.py --headless --prove -- --episodes 500
  qlearn profile cartpole

TARGET is a script, run as it is with the arguments after `--`; or an environment or a run, whose
training is profiled. The report says what measuring cost. The page it writes is one file.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console

REST = "arguments"  # what stands after `--`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="FILE.py, ENV, RUN")
    parser.add_argument(
        "--seconds", type=options.positive, metavar="T", help="stop after so long, imports included"
    )
    parser.add_argument("--headless", action="store_true", help="no windows, no waiting plots")
    parser.add_argument("--prove", action="store_true", help="measure each finding's gain here")
    parser.add_argument(
        "--functions", action="store_true", help="exact calls of Python functions; slower"
    )
    parser.add_argument("--line", action="store_true", help="line by line, the hottest functions")
    parser.add_argument("--memory", action="store_true", help="what grows, and where")
    parser.add_argument("--flame", action="store_true", help="flame graph and speedscope file")
    parser.add_argument("--torch", action="store_true", help="PyTorch's operators, chrome trace")
    parser.add_argument("--html", metavar="FILE", help="where the page goes")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.profiling.profile import NothingMeasured, profile

    try:
        return profile(
            arguments.target,
            arguments.arguments,
            line=arguments.line,
            memory=arguments.memory,
            flame=arguments.flame,
            torch=arguments.torch,
            functions=arguments.functions,
            prove=arguments.prove,
            headless=arguments.headless,
            seconds=arguments.seconds,
            html=arguments.html,
            output=sys.stderr if console.json else None,
            say=console.say,
        )
    except NothingMeasured as failure:
        console.error(str(failure))
        sys.exit(failure.code)


def show(report: dict[str, Any], console: Console) -> None:
    from qlearn.profiling.report import terminal

    terminal.show(report)


def exit_code(report: dict[str, Any]) -> int:
    """The script's own."""
    return int(report["exit_code"])
