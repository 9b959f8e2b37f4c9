"""`kill -9` at random moments: each run goes on from its last checkpoint and ends as if unharmed.

    python benchmarks/kill_resume.py [--kills 100] [--only dqn] [--seed 0] [--record]

Each run is `qlearn train` in a process of its own, killed up to three times, and resumed to its end.
Weights, replay, manifests and every learning column of the metrics must then be those of the run that
nobody has killed, to the byte (what is left out is named in `_same.py`), and no resumed run may begin
before the last checkpoint that was there whole when the process was killed. Some kills come at any
time, some as soon as a draft is seen in the folder, and some the process gives itself between two
operations of a save, where a killer from outside would hardly ever hit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from _report import record
from _same import difference
from qlearn.cli.main import main as command_line
from qlearn.runs import checkpoint

OFTEN = "checkpoint_seconds=0.1"
CASES = {
    "table": ["grid", "--steps", "20M", "--set", OFTEN, "eval_every=1000000"],
    "table of Gymnasium's": [
        "gym:FrozenLake-v1", "--engine", "numba", "--steps", "12M", "--set", OFTEN,
        "eval_every=1000000",
    ],
    "dqn of Gymnasium's": [
        "gym:MountainCar-v0", "--algo", "dqn", "--steps", "12k", "--set", OFTEN, "eval_every=2000",
        "env.run=processes",
    ],
    "pqn": ["cartpole", "--algo", "pqn", "--steps", "300k", "--set", OFTEN, "eval_every=10000"],
    "dqn": ["cartpole", "--algo", "dqn", "--steps", "16k", "--set", OFTEN, "eval_every=2000"],
    "dqn prioritized": [
        "cartpole", "--algo", "dqn", "--steps", "16k", "--set", OFTEN, "eval_every=2000",
        "prioritized=true",
    ],
}  # fmt: skip
IN_A_ROW = 3  # kills of one run, at most
LONGEST_WAIT = 60.0
GOES_ON = re.compile(r"goes on at step ([\d,]+)")
NOTHING_LOST = ("there is nothing left to train", "is finished; a larger")
FROM_THE_START = "has no checkpoint yet"


ANY_TIME, DRAFT_SEEN, OPERATION = "at any time", "when a draft is seen", "between two operations"
WAYS = (ANY_TIME, ANY_TIME, DRAFT_SEEN, OPERATION, OPERATION)
OPERATIONS = 30  # of a save, about: parts written, synchronised, renamed, removed


def die_within_a_save(saves: int, operations: int) -> None:
    """From its save number `saves` on, this process ends at the operation of that number."""
    left = {"saves": saves, "operations": operations, "deep": 0}

    def counted(real: Callable) -> Callable:
        def does(*arguments: Any, **how: Any) -> Any:
            if left["deep"] and left["saves"] <= 0:
                left["operations"] -= 1
                if left["operations"] <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **how)

        return does

    def parts(arrays: checkpoint.Arrays) -> Iterator[bytes | memoryview]:
        for part in parts_of(arrays):
            yield counted(lambda part: part)(part)

    def save(*arguments: Any) -> Path:
        left["saves"] -= 1
        left["deep"] = 1
        try:
            return whole_save(*arguments)
        finally:
            left["deep"] = 0

    parts_of, whole_save = checkpoint.tensors.parts_of, checkpoint.save
    modules: Any = checkpoint
    modules.save, modules.tensors.parts_of = save, parts
    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, counted(getattr(os, name)))


class Process:
    """A training in a process of its own; what it says goes into a file."""

    def __init__(self, run: Path, words: list[str], said: Path, dies: Sequence[int] = ()) -> None:
        self.run, self.said = run, said
        program = ["-m", "qlearn"] if not dies else [__file__, "--dies", *map(str, dies), "--"]
        command = [sys.executable, *program, "train", *words]
        with said.open("w") as file:
            self.popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
        self.begun = time.time_ns()

    @property
    def trains(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def ended(self) -> int:
        return self.popen.wait(LONGEST_WAIT)

    @property
    def first_step(self) -> int | None:
        """Where it said that it goes on; None if it did not come so far."""
        said = self.said.read_text()
        if found := GOES_ON.search(said):
            return int(found[1].replace(",", ""))
        if any(words in said for words in NOTHING_LOST):
            return step_of(self.run)
        return 0 if FROM_THE_START in said else None


def half_written(run: Path, since: int = 0) -> str:
    """The checkpoint that was being written when its process was killed: last, best, or none."""
    for name, folder in (("last", run / "checkpoints"), ("best", run)):
        drafts = [folder / f"{name}.new.safetensors"]
        drafts += [draft for stem in (name, "previous") for draft in folder.glob(f".{stem}.*")]
        if any(changed(draft) > since for draft in drafts) or mid_rename(folder, name):
            return name
    return "none"


def changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def mid_rename(folder: Path, name: str) -> bool:
    """The manifest of the last one is already the previous one's, and there is no other yet."""
    try:
        return (folder / f"{name}.json").read_bytes() == (folder / "previous.json").read_bytes()
    except FileNotFoundError:
        return False


def step_of(run: Path) -> int:
    try:
        return json.loads((run / "checkpoints" / "last.json").read_text())["env_steps"]
    except FileNotFoundError:
        return 0


def moments(process: Process, way: str, chance: random.Random, seconds: float) -> Iterator[None]:
    """Waits, a look at a time, for the moment at which to kill it."""
    while not (process.run / "metrics.jsonl").exists():
        time.sleep(0.001)
        yield
    if way == ANY_TIME:
        end = time.perf_counter() + chance.uniform(0.0, seconds)
        while time.perf_counter() < end:
            time.sleep(0.0005)
            yield
        return
    folder, pid = process.run / "checkpoints", process.popen.pid
    for _ in range(chance.randint(1, 12)):  # this one, or one of the next
        while not any(name.endswith(f".{pid}") for name in os.listdir(folder)):
            yield
        written = step_of(process.run)
        if chance.random() < 0.2:
            break
        while step_of(process.run) == written:
            yield
    while not any(name.endswith(f".{pid}") for name in os.listdir(folder)):
        yield
    end = time.perf_counter() + chance.choice((0.0, 0.001, 0.003, 0.01))
    while time.perf_counter() < end:
        yield


def is_killed(process: Process, way: str, chance: random.Random, seconds: float) -> bool:
    """Waits for a moment, and kills it; whether it was still training then."""
    if way == OPERATION:
        return process.ended() == -signal.SIGKILL
    for _ in moments(process, way, chance, seconds):
        if not process.trains:
            return False
    if process.trains:
        process.kill()
    return process.popen.returncode == -signal.SIGKILL


def whole_run(name: str, home: Path) -> tuple[Path, float]:
    """The run that nobody kills, and the seconds of its training."""
    run = home / "whole"
    process = Process(run, [*CASES[name], "--out", str(run)], home / "said")
    if process.ended() != 0:
        sys.exit(f"{name} ended badly: {process.said.read_text()}")
    return run, json.loads((run / "run.json").read_text())["result"]["train_seconds"]


def trial(
    name: str, home: Path, number: int, chance: random.Random, whole: Path, seconds: float
) -> tuple[Counter[str], str]:
    """One run, killed and resumed to its end; where the kills fell, and what is wrong."""
    run, fell = home / f"run{number}", Counter[str]()
    saved = 0
    words = [*CASES[name], "--out", str(run)]
    for kill in range(IN_A_ROW + 1):
        way = chance.choice(WAYS) if kill < IN_A_ROW else ""
        dies = [chance.randint(1, 8), chance.randint(1, OPERATIONS)] if way == OPERATION else []
        process = Process(run, words, home / "said", dies)
        dead = bool(way) and is_killed(process, way, chance, seconds)
        if not dead and process.ended() != 0:
            return fell, f"ended with {process.popen.returncode}: {process.said.read_text()}"
        first = process.first_step
        if first is not None and first < saved:
            return fell, f"went on at step {first}, though {saved} was saved"
        if first is None and not dead and "--resume" in words:
            return fell, f"does not say where it went on: {process.said.read_text()}"
        if not dead:
            break
        fell[half_written(run, process.begun)] += 1
        saved = step_of(run)
        if (run / "run.json").exists():
            words = ["--resume", str(run)]
    return fell, difference(run, whole)


def kills_of(name: str, kills: int, seed: int) -> dict[str, Any]:
    fell: Counter[str] = Counter()
    faults, runs = [], 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        whole, seconds = whole_run(name, home)
        while fell.total() < kills:
            chance = random.Random(f"{seed} {name} {runs}")
            where, wrong = trial(name, home, runs, chance, whole, seconds)
            fell += where
            runs += 1
            if wrong:
                faults.append(f"{name}, run {runs - 1}: {wrong}")
                print(faults[-1])
    inside = fell["last"] + fell["best"]
    print(
        f"  {name:22} {fell.total():3} kills of {runs} runs, {inside} inside a checkpoint write"
        f" ({fell['best']} of the best network's); {len(faults)} ended otherwise"
    )
    return {"kills": fell.total(), "runs": runs, "inside": inside, "faults": faults}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--only", choices=CASES)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--record", action="store_true")
    options.add_argument("--dies", nargs=2, type=int, help=argparse.SUPPRESS)
    options.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.dies:
        die_within_a_save(*chosen.dies)
        sys.exit(command_line(chosen.words))
    names = [chosen.only] if chosen.only else list(CASES)
    each = -(-chosen.kills // len(names))
    print(f"kill -9, {each} times each")
    tables = {name: kills_of(name, each, chosen.seed) for name in names}
    record("kill_resume", {"cases": tables}, chosen.record)
    sys.exit(any(table["faults"] for table in tables.values()))


if __name__ == "__main__":
    main()
