"""The pairs of docs/from-your-script.md: what `step()` takes before, and after.

    python benchmarks/from_your_script.py [--record]

What runs is the text of the document itself: in each section, the two blocks that define `step()`.
They take turns on one thread; where both give a number, it must be the same one. A section whose
library is not installed here is left out, and said so.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch look
os.environ["QLEARN_QUIET"] = "1"

from _report import arguments, record, times
from qlearn.compare.measure import alternate

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "from-your-script.md"
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.M | re.S)
BLOCK = re.compile(r"^```py(?:thon)?\n(.*?)^```", re.M | re.S)
BEFORE, AFTER = "before", "qlearn"
SECONDS = 0.5  # of one turn, at least

Step = Callable[[], Any]


def pairs() -> dict[str, dict[str, str]]:
    """The text before and after, by the section's title."""
    found = {}
    for title, text in SECTION.findall(DOCUMENT.read_text()):
        blocks = [block for block in BLOCK.findall(text) if "def step(" in block]
        if blocks:
            found[title.replace("`", "")] = dict(zip((BEFORE, AFTER), blocks, strict=True))
    return found


def step_of(text: str) -> Step:
    namespace: dict[str, Any] = {"__name__": "document"}
    exec(compile(text, DOCUMENT.name, "exec"), namespace)
    return namespace["step"]


def check(title: str, steps: dict[str, Step]) -> None:
    given = [step() for step in steps.values()]
    if all(isinstance(value, float) for value in given) and not math.isclose(*given, rel_tol=1e-4):
        sys.exit(f"{title}: {given[0]} before, and {given[1]} after")


def milliseconds(step: Step) -> list[float]:
    count, begun = 0, perf_counter()
    while (took := perf_counter() - begun) < SECONDS:
        step()
        count += 1
    return [took / count * 1e3]


def table(title: str, texts: dict[str, str], repeats: int) -> list[dict[str, Any]]:
    steps = {name: step_of(text) for name, text in texts.items()}
    check(title, steps)
    turns = alternate({name: partial(milliseconds, step) for name, step in steps.items()}, repeats)
    return times(title, turns, AFTER, "ms")


def main() -> None:
    options = arguments(__doc__)
    os.chdir(ROOT)  # as the blocks say, in a clone
    tables = {}
    with tempfile.TemporaryDirectory() as runs:
        os.environ["QLEARN_RUNS"] = runs
        for title, texts in pairs().items():
            try:
                tables[title] = table(title, texts, options.repeats)
            except ModuleNotFoundError as missing:
                print(f"\n{title}: left out, {missing.name} is not installed", file=sys.stderr)
    record("from_your_script", tables, options.record)


if __name__ == "__main__":
    main()
