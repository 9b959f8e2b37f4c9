"""What a training loses to a dashboard that is open: a server, and one page that gets everything.

    python benchmarks/dashboard_cost.py [--repeats 7] [--trainings one-thread ...]

Trains without and with in turn, in processes of their own. The page is a process, too: it listens
to the run and asks for its charts whenever it is told of new rows, but draws nothing. The CPU time
of the server and of the page is what they can take from a training at most, and steadier than its
speed.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from _dashboard import cpu_seconds, served
from _report import parser, rates, record
from qlearn.compare.measure import alternate

TRAININGS = {
    "one-thread": ["cartpole", "--algo", "table", "--steps", "60000000", "--set", "env.buckets=8"],
    "two-threads": ["cartpole", "--algo", "pqn", "--threads", "2", "--steps", "3000000"],
}
WITHOUT, WITH = "without", "with server and page"
PAGE = [sys.executable, str(Path(__file__).parent / "_dashboard.py")]


def train(what: Sequence[str], folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "qlearn", "train", *what, "--quiet", "--json", "--out"]
    done = subprocess.run([*command, str(folder)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def alone(what: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as home:
        return train(what, Path(home) / "run")["steps_per_second"]


def watched(what: Sequence[str], pages: list[dict[str, Any]]) -> float:
    cpu: list[float] = []
    with tempfile.TemporaryDirectory() as home, served(Path(home), cpu) as url:
        page = subprocess.Popen([*PAGE, url, "run"], stdout=subprocess.PIPE, text=True)
        try:
            begun = perf_counter()
            report = train(what, Path(home) / "run")
            seconds = perf_counter() - begun
        finally:
            page_cpu = cpu_seconds(page.pid)
            page.send_signal(signal.SIGINT)
            said = json.loads(page.communicate()[0])
    shares = {"server_share": cpu[0] / seconds, "page_share": page_cpu / seconds}
    pages.append({**said, **shares})
    return report["steps_per_second"]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    chosen = options.parse_args()
    tables: dict[str, Any] = {}
    for name in chosen.trainings:
        what = TRAININGS[name]
        pages: list[dict[str, Any]] = []
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
        for key in ("server_share", "page_share"):
            share = statistics.median(page[key] for page in pages)
            print(f"  {key.replace('_', ' ')} {100 * share:.2f} % of one core")
        print(f"  the page was told {[page['told'] for page in pages]} times")
    record("dashboard_cost", tables, chosen.record)


if __name__ == "__main__":
    main()
