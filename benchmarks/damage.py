"""One byte changed in a file of a run, then a command that reads it: said so, or nothing changes.

    python benchmarks/damage.py [--trials 1000] [--seed 0] [--record]

Runs of four algorithms, stopped half way with a checkpoint and one before it. Each trial changes a
byte of a file, a small one as often as a large one, and has it read: the run is evaluated,
exported, watched, gone on with or looked at. It ends well by doing exactly what it does to the whole
run, or with one line that names the file; else with exit code 2 and one such line. `knobs.json` is
written by hand: what is in there is validated, and may be something else that is right.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import _report
import qlearn
from qlearn.cli import main as cli
from qlearn.dashboard import codec
from qlearn.dashboard.compare import compare
from qlearn.dashboard.store import Store
from qlearn.errors import UserError
from qlearn.runs import checkpoint, knobs
from qlearn.runs.folder import RunFolder
from qlearn.runs.watchers import Watcher

SMALL = {"hidden": "8x8", "envs": 4, "replay": 300, "start": 50, "batch": 8, "updates": 0.25}
GAME = {"env": "cartpole", "engine": "fused", "steps": 400, "eval_every": 100, "eval_episodes": 2}
RUNS: dict[str, dict[str, Any]] = {
    "table": {"env": "grid", "algo": "table", "engine": "dict", "steps": 600, "eval_every": 150,
              "eval_episodes": 2},
    "pqn": GAME | {"algo": "pqn", "hidden": "8x8", "envs": 4},
    "dqn": GAME | SMALL | {"algo": "dqn", "replay": 600},  # so empty that its zeros are left out
    "dqn-prioritized": GAME | SMALL | {"algo": "dqn", "prioritized": True},
}  # fmt: skip
PAGE = "serve"
COMMANDS = {
    "eval": ["eval", "run", "--episodes", "2", "--json"],
    "eval --best": ["eval", "run", "--best", "--episodes", "2", "--json"],
    "export": ["export", "run", "--csv", "out.csv", "--json"],
    "resume": ["train", "--resume", "run", "--json"],
    "watch": ["watch", "run", "--player", "auto", "--json"],
    "curve": ["watch", "run", "--curve", "out.png", "--json"],
    "runs": ["runs", ".", "--json"],
    PAGE: [],
}
LAST = ("run.json", "checkpoints/last.json", "checkpoints/last.safetensors")
BEST = ("run.json", "best.json", "best.safetensors")
READS = {
    "eval": LAST, "eval --best": BEST, "export": LAST, "watch": LAST,
    "resume": (*LAST, *BEST[1:], "metrics.jsonl", "knobs.json"),
    "curve": ("run.json", "metrics.jsonl"), "runs": LAST[:2], PAGE: (*LAST[:2], "metrics.jsonl"),
}  # fmt: skip
# What these show of metrics.jsonl, or of runs in a list, is a picture: it only has to be one.
SHOWING = (PAGE, "runs", "curve")
TIMES = ("seconds", "steps_per_second", "stages", "peak_memory_mb")


class Stops(Watcher):
    """A process that is gone half way, with a knob that was turned after its last checkpoint."""

    def logged(self, training: Any, row: dict[str, Any]) -> None:
        share = training.env_steps / training.learner.config.steps
        if share > 0.5 and training.settings.checkpoint_seconds == 0.0:
            training.save()
            training.turn("checkpoint_seconds", 1e9)
            knobs.write(training.folder.path, {"epsilon": 0.4})
        if share > 0.7:
            raise KeyboardInterrupt


def stopped(name: str, home: Path) -> Path:
    run = home / name / "run"
    with contextlib.suppress(KeyboardInterrupt):
        qlearn.train(out=run, checkpoint_seconds=0.0, watchers=[Stops()], **RUNS[name])
    folder = RunFolder.open(run)
    seldom = {**folder.record["run_config"], "checkpoint_seconds": 1e9}
    folder.update(status="interrupted", run_config=seldom)
    return run


def result(command: str) -> tuple[Any, str]:
    """What a command ends with: its exit code and all that it says or writes but times; its words."""
    if command == PAGE:
        return page()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(COMMANDS[command])
        except SystemExit as left:
            code = int(left.code or 0)
    report = json.loads(out.getvalue()) if code == 0 else None
    found: list[Any] = [code, timeless(report)]
    if command == "export" and code == 0:
        found.append(Path("out.csv").read_bytes())
    if command == "resume" and code == 0:
        arrays, _ = checkpoint.load(Path("run/checkpoints/last"))
        found.append({key: array.tobytes() for key, array in arrays.items()})
        found.append(learned())
    return found, err.getvalue()


def page() -> tuple[Any, str]:
    """What the page of `qlearn serve` asks for."""
    store, said = Store(Path.cwd()), []
    store.rows()
    for look in (
        lambda: store.about("run"),
        lambda: store.series("run").chart(["return", "loss"], "env_steps", 100, -1e9, 1e9),
        lambda: compare(store, ["run"], "eval.mean", "env_steps"),
    ):
        try:
            codec.dumps(look())
        except UserError as error:
            said.append(f"qlearn: {error}\n")
    return [2 if said else 0], said[0] if said else ""


def timeless(part: Any) -> Any:
    if isinstance(part, dict):
        return {k: timeless(v) for k, v in part.items() if not any(time in k for time in TIMES)}
    return [timeless(each) for each in part] if isinstance(part, list) else part


def learned() -> list[Any]:
    """The columns of the metrics that no clock decides."""
    found: list[Any] = []
    for line in Path("run/metrics.jsonl").read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = {"line": line}
        found.append({key: value for key, value in row.items() if key != "machine"})
    return found


def trial(run: Path, meant: dict[str, Any], chance: random.Random) -> tuple[str, str, str]:
    """Which file, how it ended (same, said, refused), and what was wrong with that."""
    shutil.rmtree("run", ignore_errors=True)
    shutil.copytree(run, "run")
    command = chance.choice(list(COMMANDS))
    file = Path("run") / chance.choice(READS[command])
    data = bytearray(file.read_bytes())
    place = chance.randrange(len(data))
    data[place] ^= chance.randrange(1, 256)
    file.write_bytes(data)
    name = str(file.relative_to("run"))
    try:
        found, said = result(command)
    except BaseException as error:
        return name, "raised", f"{command}: byte {place} of {file}: {type(error).__name__}: {error}"
    lines = [line for line in said.splitlines() if file.name in line]
    if found[0] == 2:
        good = said.count("\n") == 1 and lines
        return name, "refused", "" if good else f"{command}: byte {place} of {file}: {said!r}"
    if found == meant[command]:
        return name, "said, and the same" if lines else "the same", ""
    if found[0] == 0 and (lines or file.name == knobs.FILE or command in SHOWING):
        return name, "said", ""
    return name, "another result", f"{command}: byte {place} of {file}: {said!r}"


def trials(number: int, seed: int = 0) -> tuple[dict[str, Counter[str]], list[str]]:
    """How the trials with each file ended, and what was wrong with some."""
    ended: dict[str, Counter[str]] = {}
    wrong, whole = [], Path.cwd()
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        try:
            os.environ["QLEARN_RUNS"] = folder
            places = {name: stopped(name, home) for name in RUNS}
            (home / "here").mkdir()
            os.chdir(home / "here")
            meant = {name: whole_results(run) for name, run in places.items()}
            for _ in range(number):
                name = chance.choice(list(places))
                file, how, said = trial(places[name], meant[name], chance)
                ended.setdefault(file, Counter())[how] += 1
                wrong += [f"{name}: {said}"] * bool(said)
        finally:
            os.chdir(whole)
    return ended, wrong


def whole_results(run: Path) -> dict[str, Any]:
    found = {}
    for command in COMMANDS:
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree(run, "run")
        found[command], said = result(command)
        if found[command][0] != 0:
            sys.exit(f"{command} of an undamaged run: {said}")
    return found


if __name__ == "__main__":
    options = _report.parser(__doc__)
    options.add_argument("--trials", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    ended, wrong = trials(chosen.trials, chosen.seed)
    for file, how in sorted(ended.items()):
        print(f"  {file:34} {dict(how)}")
    print(*wrong, sep="\n")
    print(f"{chosen.trials:,} changed bytes, {len(wrong)} of them ended badly")
    tables = {"trials": chosen.trials, "seed": chosen.seed, "wrong": len(wrong), "files": ended}
    _report.record("damage", tables, chosen.record)
    sys.exit(bool(wrong))
