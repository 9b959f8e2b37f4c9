"""Versions side by side: engines on an environment, runs, or scripts of your own.

  qlearn compare grid --engines dict,numpy,numba,torch
  qlearn compare "my_script.py --episodes 500" "my_faster_script.py --episodes 500"
  qlearn compare examples/classic/q_learning.py grid

Contenders run in turn, several times, each time in a fresh process; speedups are against the
first, with 95 % intervals. As long as an interval includes 1, nobody is called the winner.
Beside a script, whole processes are compared; of qlearn's own alone, their trainings.
--metric is a regular expression whose first group finds a score in what a script prints: what is
faster but scores worse does not win. --profile and --line then show where each one's time goes.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console

WIDTH = 160  # where nobody's terminal says


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="ENV, RUN, 'FILE.py ...'")
    parser.add_argument("--engines", metavar="A,B,C", help="dict,numba,numpy,torch,cupy,hardware")
    parser.add_argument(
        "--repeats", type=options.whole(1), help="turns, a seed each (default 10)", metavar="N"
    )
    parser.add_argument("--metric", metavar="REGEX", help='such as "score: ([0-9.]+)"')
    parser.add_argument("--lower-is-better", action="store_true", help="the metric is a loss")
    parser.add_argument("--headless", action="store_true", help="no windows, no waiting plots")
    parser.add_argument("--profile", action="store_true", help="stages and hottest functions")
    parser.add_argument("--line", action="store_true", help="the same with the hottest lines")
    parser.add_argument("--plot", metavar="FILE.png|.svg", help="draw turns, ratios and stages")
    parser.add_argument("--algo", default="auto")
    parser.add_argument("--steps", type=options.whole(1), metavar="N")
    parser.add_argument("--episodes", type=options.whole(1), metavar="N", help="default 10,000")
    parser.add_argument("--seed", type=options.seed, metavar="S", help="the first turn's (0)")
    parser.add_argument("--out", metavar="FILE.html", help="where the report goes")
    options.add_settings(parser, "settings of every training, such as lr=0.1 env.slip=0.2")


# What `compare` is called with, as the options are named; no `--set` may stand for one.
TAKEN = (
    "metric", "lower_is_better", "headless", "profile", "line", "plot", "algo", "steps",
    "episodes", "seed", "out",
)  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.compare.compare import DEFAULT_REPEATS, compare
    from qlearn.compare.contenders import ScriptFailed

    options.refuse(arguments.settings, (*TAKEN, "engines", "repeats", "say"))
    engines = [e.strip() for e in arguments.engines.split(",")] if arguments.engines else []
    try:
        return compare(
            *arguments.targets,
            engines=engines,
            repeats=arguments.repeats or DEFAULT_REPEATS,
            say=console.say,
            **{name: getattr(arguments, name) for name in TAKEN},
            **arguments.settings,
        )
    except ScriptFailed as failure:
        sys.stderr.write(failure.output)
        console.error(str(failure))
        sys.exit(failure.code)


COLUMNS = (
    "contender", "seconds", "speedup", "CPU s", "MB", "steps/s", "metric", "error", "optimal",
)  # fmt: skip


def show(report: dict[str, Any], console: Console) -> None:
    console.table(COLUMNS, [_cells(row) for row in report["rows"]])
    if report["verdict"]:
        console.out(report["verdict"])
    if "profiles" in report:
        _show_sides(report)
    console.say(f"report: {report['report']}")
    if "plot" in report:
        console.say(f"plot: {report['plot']}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    seconds, speedup = row["seconds"], row["speedup"]
    return (
        row["name"],
        f"{seconds['median']:.4g} [{seconds['min']:.4g} .. {seconds['max']:.4g}]",
        f"{speedup['median']:,.2f}x [{speedup['low']:,.2f} .. {speedup['high']:,.2f}]",
        _or_nothing(row["cpu_seconds"]["median"], ".4g"),
        _or_nothing(row["peak_memory_mb"], ",.0f"),
        _or_nothing(row["steps_per_second"], ",.0f"),
        _or_nothing(row["metric"], ".4g"),
        _or_nothing(row["max_error_to_optimum"], ".2g"),
        {True: "yes", False: "no", None: ""}[row["policy_optimal"]],
    )


def _show_sides(report: dict[str, Any]) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    from qlearn.compare import sides

    names, of = [row["name"] for row in report["rows"]], report["profiles"]
    watched = sys.stdout.isatty()
    rich = RichConsole(highlight=False, width=None if watched else WIDTH)
    for rows in (sides.stages(names, of), sides.hottest(names, of)):
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for heading in rows[0]:
            table.add_column(Text(heading))
        for cells in rows[1:]:
            table.add_row(*map(Text, cells))
        rich.print()
        rich.print(table)


def _or_nothing(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
