"""Before and after, timed: two short texts in turn in a fresh process, at the sizes of a run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

LEAST_BLOCK_SECONDS = 0.01
MOST_TIMES = 1_000_000
ROUNDS = 7
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Proof:
    """What both texts need, the text as it is, and the text as it would be."""

    setup: str
    before: str
    after: str


@dataclass(frozen=True)
class Measured:
    """Seconds for one pass of each text, the median of several."""

    before_seconds: float
    after_seconds: float
    speedup: float


def measure(proof: Proof, timeout: float = TIMEOUT_SECONDS) -> Measured | None:
    """Runs the micro-benchmark; None where it cannot run here (a library is missing, no time)."""
    # -P: the folder of this file holds modules with names of the standard library.
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(proof)),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def timer(setup: str, text: str) -> Callable[[int], float]:
    """A function that runs the text so many times and returns the seconds for one.

    Everything is a local of that function, as it is inside the user's, and the first pass, which
    fills caches, is not counted.
    """
    body = textwrap.dedent(text).strip("\n")
    source = "\n".join(
        [
            "def timed(times):",
            textwrap.indent(textwrap.dedent(setup).strip("\n") or "pass", "    "),
            "    for _ in range(1):",
            textwrap.indent(body, "        "),
            "    begun = perf_counter()",
            "    for _ in range(times):",
            textwrap.indent(body, "        "),
            "    return (perf_counter() - begun) / times",
        ]
    )
    names: dict[str, Callable] = {"perf_counter": perf_counter}
    exec(compile(source, "<proof>", "exec"), names)
    return names["timed"]


def enough(timed: Callable[[int], float]) -> int:
    """How many passes make a block that the clock measures well."""
    times = 1
    while times < MOST_TIMES and timed(times) * times < LEAST_BLOCK_SECONDS:
        times *= 4
    return times


def in_turn(proof: Proof) -> Measured:
    """Both texts in this process, in turn, so that a drifting machine hits both."""
    texts = [timer(proof.setup, proof.before), timer(proof.setup, proof.after)]
    times = [enough(timed) for timed in texts]
    taken: list[list[float]] = [[], []]
    for turn in range(ROUNDS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            taken[which].append(texts[which](times[which]))
    before, after = (statistics.median(seconds) for seconds in taken)
    return Measured(before, after, before / max(after, 1e-12))


def main() -> int:
    proof = Proof(**json.loads(sys.stdin.read()))
    out, sys.stdout = sys.stdout, sys.stderr  # what a text prints is no answer
    print(json.dumps(asdict(in_turn(proof))), file=out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
