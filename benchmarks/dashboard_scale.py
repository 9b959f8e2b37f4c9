"""A folder of 200 runs, one of them with a million logged rows: how long a page waits.

    python benchmarks/dashboard_scale.py [--runs 200] [--rows 1000000] [--seconds 10]

From a server's first moment: the list, and the chart of the large run before and after all of it
has been read. Then ten runs are written to, twenty rows a second each, while a page follows them.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _dashboard import Page, chart, get, served
from _report import parser, record
from qlearn.runs.files import write_sealed
from qlearn.runs.folder import FILE, FORMAT

WRITERS, ROWS_A_SECOND = 10, 20
SPIKE_AT, SPIKE = 0.777, 1e6
WRITE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from dashboard_scale import WRITERS, ROWS_A_SECOND, line
files = [open(Path({home!r}) / f"run-{{k}}" / "metrics.jsonl", "a") for k in range(WRITERS)]
number = 300
while True:
    for file in files:
        file.write(line(number))
        file.flush()
    number += 1
    time.sleep(1 / ROWS_A_SECOND)
"""


def line(number: int, spike: bool = False) -> str:
    chance = random.random
    machine = {
        "seconds": number / 100, "steps_per_second": 1e5 * chance(), "memory_mb": 300.5,
        "stages": {"act": number * 0.004, "learn": number * 0.005, "log": number * 0.001},
    }  # fmt: skip
    row = {
        "env_steps": number * 1000, "updates": number * 250, "episodes": number * 5,
        "return": chance() + number / 1e5, "epsilon": 0.05, "lr": 1e-3,
        "loss": SPIKE if spike else chance(), "td_error": chance(), "action_gap": chance(),
        "q_mean": chance(), "machine": machine,
    }  # fmt: skip
    return json.dumps(row) + "\n"


def make(home: Path, name: str, rows: int) -> int:
    """The bytes of its metrics."""
    folder = home / name
    (folder / "checkpoints").mkdir(parents=True)
    about = {
        "format": FORMAT, "status": "done", "started": "2026-01-01T00:00:00", "env_name": "cartpole",
        "algo": "dqn", "engine": "fused", "seed": 0, "config": {"steps": rows * 1000},
    }  # fmt: skip
    write_sealed(folder / FILE, about)
    with open(folder / "metrics.jsonl", "w") as file:
        file.writelines(line(k, k == int(SPIKE_AT * rows)) for k in range(rows))
        return file.tell()


def opening(url: str) -> dict[str, Any]:
    """The first list, the first chart, and when all of it is there."""
    begun = time.perf_counter()
    first_list, _ = get(url, "api/runs")
    first_chart, data = get(url, chart("large"))
    loaded = json.loads(data)["loaded"]
    while json.loads(data)["loaded"] < 1.0:
        time.sleep(0.2)
        _, data = get(url, chart("large"))
    read = time.perf_counter() - begun
    later_chart, data = get(url, chart("large"))
    answer = json.loads(data)
    return {
        "first list": first_list,
        "first chart": first_chart,
        "share read for it": loaded,
        "all read after": read,
        "later chart": later_chart,
        "rows": answer["rows"],
        "spike kept": max(answer["series"]["loss"]["high"]) == SPIKE,
        "points": len(answer["series"]["loss"]["x"]),
    }


def following(url: str, home: Path, seconds: float) -> dict[str, Any]:
    """How long lists and charts take while ten runs are written to and followed."""
    text = WRITE.format(here=str(Path(__file__).parent), home=str(home))
    writer = subprocess.Popen([sys.executable, "-c", text])
    page = Page(url, [f"run-{k}" for k in range(WRITERS)])
    page.start()
    lists, charts = [], []
    try:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            lists.append(get(url, "api/runs")[0])
            charts.append(get(url, chart("large"))[0])
            time.sleep(0.2)
    finally:
        writer.kill()
        writer.wait()
        page.end()
    middle = statistics.median
    return {
        "list": {"median": middle(lists), "max": max(lists)},
        "large chart": {"median": middle(charts), "max": max(charts)},
        "followed charts": {"median": middle(page.waits), "max": max(page.waits)},
        "followed charts a second": len(page.waits) / seconds,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=200)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--seconds", type=float, default=10.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for k in range(chosen.runs - 1):
            make(home, f"run-{k}", 300)
        size = make(home, "large", chosen.rows)
        print(f"{chosen.runs} runs, one of {chosen.rows:,} rows ({size / 2**20:.0f} MiB)")
        openings = []
        for _ in range(max(1, chosen.repeats)):
            with served(home) as url:
                openings.append(opening(url))
                print(json.dumps(openings[-1]))
        with served(home) as url:
            opening(url)
            found = following(url, home, chosen.seconds)
        print(json.dumps(found, indent=1))
    tables = {"runs": chosen.runs, "rows": chosen.rows, "bytes": size}
    record("dashboard_scale", {**tables, "opening": openings, "writing": found}, chosen.record)


if __name__ == "__main__":
    main()
