"""What a training loses to a dashboard that is open: a server, and one page that gets everything.

    python benchmarks/dashboard_cost.py [--repeats 7] [--trainings one-thread ...]

Trains without and with in turn, in processes of their own. The page is a process, too: it listens
to the run and asks for its charts whenever it is told of new rows, but draws nothing.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from _dashboard import served
from _report import parser, rates, record
from qlearn.compare.measure import alternate

TRAININGS = {
    "one-thread": ["cartpole", "--algo", "table", "--steps", "60000000", "--set", "env.buckets=8"],
    "two-threads": ["cartpole", "--algo", "pqn", "--threads", "2", "--steps", "3000000"],
}
WITHOUT, WITH = "without", "with server and page"
PAGE = [sys.executable, str(Path(__file__).parent / "_dashboard.py")]


def train(what: Sequence[str], folder: Path) -> float:
    command = [sys.executable, "-m", "qlearn", "train", *what, "--quiet", "--json", "--out"]
    done = subprocess.run([*command, str(folder)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])["steps_per_second"]


def alone(what: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as home:
        return train(what, Path(home) / "run")


def watched(what: Sequence[str], pages: list[dict[str, int]]) -> float:
    with tempfile.TemporaryDirectory() as home, served(Path(home)) as url:
        page = subprocess.Popen([*PAGE, url, "run"], stdout=subprocess.PIPE, text=True)
        try:
            return train(what, Path(home) / "run")
        finally:
            page.send_signal(signal.SIGINT)
            pages.append(json.loads(page.communicate()[0]))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    chosen = options.parse_args()
    tables: dict[str, Any] = {}
    for name in chosen.trainings:
        what, pages = TRAININGS[name], []
        alone(what)  # compiles
        contenders: dict[str, Callable[[], float]] = {
            WITHOUT: partial(alone, what), WITH: partial(watched, what, pages),
        }  # fmt: skip
        measured = alternate(contenders, chosen.repeats)
        tables[name] = {
            "train": what,
            "rows": rates(f"qlearn train {' '.join(what)}", measured, WITHOUT),
            "pages": pages,
        }
        ratio = tables[name]["rows"][1]["ratio"]
        print(
            f"  {100 * ratio['median']:.1f} % [{100 * ratio['low']:.1f} .. {100 * ratio['high']:.1f}]"
        )
        print(f"  a page was told {[page['told'] for page in pages]} times")
    record("dashboard_cost", tables, chosen.record)


if __name__ == "__main__":
    main()
