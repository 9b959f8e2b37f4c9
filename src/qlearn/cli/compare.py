"""Versions side by side: engines on an environment, runs, or scripts of your own.

  qlearn compare grid --engines dict,numpy,numba,torch
  qlearn compare "my_script.py --episodes 500" "my_faster_script.py --episodes 500"
  qlearn compare examples/classic/q_learning.py grid

Contenders run in turn, several times; speedups are against the first, with 95 % intervals.
--metric is a regular expression whose first group finds a number in what a script prints.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="ENV, RUN, 'FILE.py ...'")
    parser.add_argument("--engines", metavar="A,B,C", help="dict,numba,numpy,torch,cupy")
    parser.add_argument("--repeats", type=options.whole(1), default=10, help="seeds (default 10)")
    parser.add_argument("--metric", metavar="REGEX")
    parser.add_argument("--headless", action="store_true", help="no windows, no waiting plots")
    parser.add_argument("--algo", default="auto")
    parser.add_argument("--steps", type=options.whole(1))
    parser.add_argument("--episodes", type=options.whole(1), help="default 10,000")
    parser.add_argument("--seed", type=options.seed, default=0, help="the first repeat's")
    parser.add_argument("--out", metavar="FILE.html", help="where the report goes")
    options.add_settings(parser, "settings of every training, such as lr=0.1 env.slip=0.2")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.compare.compare import compare
    from qlearn.compare.contenders import ScriptFailed

    taken = ("engines", "repeats", "metric", "headless", "seed", "steps", "episodes", "algo")
    options.refuse(arguments.settings, (*taken, "out", "say"))
    engines = [e.strip() for e in arguments.engines.split(",")] if arguments.engines else []
    try:
        return compare(
            *arguments.targets,
            engines=engines,
            repeats=arguments.repeats,
            metric=arguments.metric,
            headless=arguments.headless,
            seed=arguments.seed,
            steps=arguments.steps,
            episodes=arguments.episodes,
            algo=arguments.algo,
            out=arguments.out,
            say=console.say,
            **arguments.settings,
        )
    except ScriptFailed as failure:
        sys.stderr.write(failure.output)
        console.error(str(failure))
        sys.exit(failure.code)


def show(report: dict[str, Any], console: Console) -> None:
    console.table(
        ("contender", "seconds", "speedup", "steps/s", "MB", "metric", "error", "optimal"),
        [
            (
                row["name"],
                f"{row['seconds']['median']:.4g}",
                f"{row['speedup']['median']:,.1f}x"
                f" [{row['speedup']['low']:,.1f} .. {row['speedup']['high']:,.1f}]",
                _or_nothing(row["steps_per_second"], ",.0f"),
                _or_nothing(row["peak_memory_mb"], ",.0f"),
                _or_nothing(row["metric"], ".4g"),
                _or_nothing(row["max_error_to_optimum"], ".2g"),
                {True: "yes", False: "no", None: ""}[row["policy_optimal"]],
            )
            for row in report["rows"]
        ],
    )
    console.say(f"report: {report['report']}")


def _or_nothing(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
