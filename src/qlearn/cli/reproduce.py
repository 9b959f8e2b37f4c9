"""Train a run again, from what run.json says of it, and compare with what it left, bit for bit.

Every row of its metrics and every array of its last checkpoint. What was set while it was trained
is set again at the same steps. Exit code 0: identical; 1: different, and where first.
"""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli.console import Console

DIFFERENT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder, a name under the runs folder, last")
    parser.add_argument(
        "--out", metavar="DIR", help="keep the second run there (default: only if it differs)"
    )


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.cli.view import for_console
    from qlearn.runs.reproduce import reproduce

    return reproduce(
        arguments.run, out=arguments.out, watchers=for_console(console), say=console.say
    )


def exit_code(report: dict[str, Any]) -> int:
    return 0 if report["identical"] else DIFFERENT


def show(report: dict[str, Any], console: Console) -> None:
    compared = (
        f"{report['rows']:,} rows of metrics and {report['arrays']} arrays at step"
        f" {report['env_steps']:,}"
    )
    if report["identical"]:
        console.out(f"identical: {compared}, bit for bit")
    else:
        console.out(f"different: {compared}")
    for found in report["differences"]:
        console.out(f"  {_in_words(found)}")
    for each in report["differs"]:
        console.out(f"  {each['what']} is {each['is']}, and was {each['was']}")
    if report["folder"]:
        console.say(f"the second run: {report['folder']}")


def _in_words(found: dict[str, Any]) -> str:
    if "array" in found:
        place = f"{found['array']}{found['index'] or ''}"
        by = "" if found["by"] is None else f", by {found['by']:.3g}"
    else:
        place, by = f"row {found['row']}, step {found['env_steps']:,}: {found['column']}", ""
    return f"{found['where']}, {place}: {found['is']}, and was {found['was']}{by}"
