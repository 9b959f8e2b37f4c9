"""A page in the browser over a folder of runs: curves as they grow, games, and knobs to turn.

Without DIR the runs folder: ./runs, or $QLEARN_RUNS. Nothing has to run for it, and whatever is
trained there does not notice. It can be reached from this machine alone; another --host is reached
by whoever has the link that is printed, token and all, in the clear: for networks you trust.
Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from qlearn.cli import options
from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", nargs="?", metavar="DIR", help="default: the runs folder")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="default: 127.0.0.1")
    parser.add_argument(
        "--port", type=options.whole(0, 65535), metavar="P", help="default: 8700 or the next free"
    )
    parser.add_argument("--no-open", action="store_true", help="print the address, open no browser")
    parser.add_argument("--of-run", metavar="NAME", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, console: Console) -> None:
    from qlearn.dashboard.server import page_of, serve
    from qlearn.errors import UserError
    from qlearn.runs.folder import runs_folder

    home = Path(arguments.dir).absolute() if arguments.dir else runs_folder()
    if not home.is_dir():
        raise UserError(f"there is no folder {home}; qlearn train grid makes a first run")
    page = page_of(arguments.of_run) if arguments.of_run else ""
    if (home / "run.json").is_file():  # of a single run
        home, page = home.parent, page_of(home.name)

    def announce(url: str) -> None:
        if arguments.json:
            print(json.dumps({"url": url, "dir": str(home)}), file=sys.__stdout__, flush=True)
        else:
            console.out(f"{home} is shown at {url} (Ctrl-C ends it)")
            sys.stdout.flush()

    serve(
        home, arguments.host, arguments.port, page, not arguments.no_open, announce,
        arguments.of_run,
    )  # fmt: skip


def show(report: None, console: Console) -> None:
    """Has said everything already."""
