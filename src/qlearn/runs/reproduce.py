"""`qlearn.reproduce`: a run trained again from its record, and where the two first differ."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.algorithms import registry
from qlearn.algorithms.network.own import name_of
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs import checkpoint
from qlearn.runs.driver import Interrupted, Training
from qlearn.runs.folder import RunFolder, files_of, find_run, processor, versions
from qlearn.runs.requests import EVALUATE
from qlearn.runs.resume import restore
from qlearn.runs.rows import events, rows_of, turns
from qlearn.runs.watchers import Watcher

AGAIN = "reproduced"  # within the run's folder: there it is nobody's `last`
RECORDED = (
    "env", "env_name", "env_options", "algo", "engine", "device", "threads", "seed", "init",
    "until", "run_config",
)  # fmt: skip
GAMES = "batch.games"  # what is saved of games that step from Python is named so
MACHINE = "machine"  # a row's part that is another each time


def reproduce(
    name: str | Path,
    *,
    out: str | Path | None = None,
    network: Any = None,
    watchers: Sequence[Watcher] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Trains a run again and compares, bit for bit; the JSON object of `qlearn reproduce`.

    What was set while it was trained is set at the same steps, and it is taken up where it was
    resumed. The new folder is kept where it is named, and where the two differ.
    """
    folder = find_run(name)
    record = dict(folder.whole())
    if network is not None:
        record["config"] = record["config"] | {"network": name_of(network)}
    arrays, about = _end_of(folder)
    say(f"training {about['env_steps']:,} steps again")
    again = _made(folder, out, record)
    try:
        _Reproduction(folder, again, record, about, watchers, say).run()
        found = _compared(folder, again, arrays, about)
    except BaseException:
        again.close()
        if out is None:
            shutil.rmtree(again.path, ignore_errors=True)
        raise
    if found["identical"] and out is None:
        shutil.rmtree(again.path, ignore_errors=True)
    differing = _other_than_recorded(record)
    kept = str(again.path) if again.path.exists() else None
    return {"run": str(folder.path), **found, "differs": differing, "folder": kept}


def _end_of(folder: RunFolder) -> tuple[checkpoint.Arrays, dict[str, Any]]:
    """The last checkpoint; refused where there is nothing that could come out the same."""
    name, last = folder.path.name, folder.path / "checkpoints" / "last"
    if folder.status == "running":
        raise UserError(f"{name} is still being trained; it can be reproduced when it has ended")
    if "imported" in folder.record:
        raise UserError(f"{name} was imported from a file; there is no training to do again")
    if not checkpoint.exists(last):
        raise UserError(f"{name} has come to no checkpoint; there is nothing to compare with")
    for move in folder.record.get("moves", ()):
        raise UserError(
            f"{name} cannot come out the same: from step {move['at']:,} on it was trained by"
            f" {' on '.join(move['to'])}, before that by {' on '.join(move['from'])}"
        )
    arrays, about = checkpoint.load(last)
    anew = max((int(a[0]) for key, a in arrays.items() if key.endswith("taken_up")), default=0)
    known = sum(map(_began_anew, _resumed(folder.record)))
    if anew != known and anew:
        raise UserError(
            f"{name} cannot come out the same: its games began anew {anew} times, whenever it was"
            f" resumed, and run.json knows when of {known}"
        )
    return arrays, about


def _resumed(record: dict[str, Any]) -> list[dict[str, Any]]:
    return record.get("taken_up", [])


def _began_anew(taken_up: dict[str, Any]) -> bool:
    """Whether its games did; there was a time when those that step from Python always did."""
    return taken_up.get("anew", True)


def _without_games(arrays: checkpoint.Arrays) -> checkpoint.Arrays:
    """From there on, new games begin."""
    return {name: array for name, array in arrays.items() if not name.startswith(GAMES)}


def _made(folder: RunFolder, out: str | Path | None, record: dict[str, Any]) -> RunFolder:
    path = Path(out) if out else folder.path / AGAIN
    if out is None:
        shutil.rmtree(path, ignore_errors=True)  # of an earlier time
    config = record["config"] | next(iter(_budgets(record)))
    kept = {key: record[key] for key in RECORDED if key in record}
    return RunFolder.create(
        path, path.name, {**kept, "config": config, "reproduces": str(folder.path)}
    )


def _budgets(record: dict[str, Any]) -> Iterator[dict[str, int]]:
    """Those of each stretch between two times that it was resumed; the last is the record's own."""
    for each in (*_resumed(record), record["config"]):
        yield {key: each[key] for key in ("steps", "episodes")}


class _Reproduction:
    """The stretches of a run, one after the other, each as it was trained."""

    def __init__(
        self,
        folder: RunFolder,
        again: RunFolder,
        record: dict[str, Any],
        about: dict[str, Any],
        watchers: Sequence[Watcher],
        say: Callable[[str], None],
    ) -> None:
        self.again, self.record, self.watchers, self.say = again, record, watchers, say
        self.turned = events(rows_of(folder.path, 0, about["metrics_bytes"]))
        self.end = None if folder.status == "done" else about["env_steps"]

    def run(self) -> None:
        environment = find(self.record["env"], self.record["env_options"])
        begin: int | None = None
        anew = False
        budgets = list(_budgets(self.record))
        for k, taken_up in enumerate(_resumed(self.record)):
            goes_on = environment.compiled or not _began_anew(taken_up)
            if goes_on and budgets[k] == budgets[k + 1]:
                continue  # nothing tells this stretch and the next apart
            self._train(environment, budgets[k], begin, taken_up["env_steps"], anew)
            begin, anew = taken_up["env_steps"], not goes_on
        self._train(environment, budgets[-1], begin, self.end, anew)

    def _train(
        self,
        environment: Any,
        budget: dict[str, int],
        begin: int | None,
        stop: int | None,
        anew: bool,
    ) -> None:
        record, turned = self.record, self.turned
        config = registry.configure(record["algo"], record["config"] | budget)
        learner = registry.make_learner(
            record["algo"], record["engine"], environment, config, record["seed"]
        )
        if begin is not None:
            self.again.lock()
            self.again.update(status="running", config=asdict(config))
            turned = [row for row in turned if row["env_steps"] > begin]
        training = Training(self.again, learner, time.perf_counter(), self.watchers, self.say)
        if begin is not None:
            last = self.again.path / "checkpoints" / "last"
            arrays, about = checkpoint.load(last)
            arrays = _without_games(arrays) if anew else arrays
            restore(training, (arrays, about), record["engine"])
        training.steering.ahead.plan(begin or 0, [], turns(turned))
        training.stop_at = stop
        try:
            training.run()
        except Interrupted:  # by somebody, now
            raise KeyboardInterrupt from None


# --------------------------------------------------------------------------- what differs


def _compared(
    folder: RunFolder, again: RunFolder, arrays: checkpoint.Arrays, about: dict[str, Any]
) -> dict[str, Any]:
    step, ended = about["env_steps"], folder.status == "done"
    rows, others = (list(_learned(each.path, step)) for each in (folder, again))
    if not ended:  # what was written after its checkpoint was to be written again
        others = others[: len(rows)]
    arrays_again, _ = checkpoint.load(again.path / "checkpoints" / "last")
    if not any(name.startswith(GAMES) for name in arrays):  # it failed within a step, or is old
        arrays_again = _without_games(arrays_again)
    found = [
        each
        for each in (_first_row(rows, others), _first_array(arrays, arrays_again))
        if each is not None
    ]
    return {
        "identical": not found,
        "first_difference": found[0] if found else None,
        "differences": found,
        "env_steps": step,
        "rows": len(rows),
        "arrays": len(arrays),
    }


def _learned(folder: Path, last_step: int) -> Iterator[dict[str, Any]]:
    """Rows of learning and judging, without what was asked for while it was trained."""
    held: dict[str, Any] | None = None
    for row in rows_of(folder, 0, inf):
        if row.get("env_steps", inf) > last_step:
            continue
        if row.get("event") == EVALUATE:  # the evaluation stands before it
            held = None
        elif "event" not in row:
            if held is not None:
                yield held
            held = {key: value for key, value in row.items() if key != MACHINE}
    if held is not None:
        yield held


def _first_row(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> dict[str, Any] | None:
    nothing: dict[str, Any] = {}
    for k, (row, other) in enumerate(zip_longest(rows, others, fillvalue=nothing), 1):
        for column in {**row, **other}:
            was, now = row.get(column), other.get(column)
            if not _same(was, now):
                return {
                    "where": "metrics.jsonl",
                    "row": k,
                    "env_steps": row.get("env_steps", other.get("env_steps")),
                    "column": column,
                    "was": was,
                    "is": now,
                }
    return None


def _same(one: Any, other: Any) -> bool:
    """To the last bit, as JSON writes every digit; nan is nan."""
    return json.dumps(one) == json.dumps(other)


def _first_array(arrays: checkpoint.Arrays, others: checkpoint.Arrays) -> dict[str, Any] | None:
    for name in {**arrays, **others}:
        was, now = arrays.get(name), others.get(name)
        found: dict[str, Any] = {"where": "checkpoint", "array": name, "index": [], "by": None}
        if was is None or now is None or was.shape != now.shape or was.dtype != now.dtype:
            return {**found, "was": _described(was), "is": _described(now)}
        at = _first_bit(was, now)
        if at is not None:
            one, other = was[at].item(), now[at].item()
            by = None if isinstance(one, bool) else abs(other - one)
            return {**found, "index": [int(k) for k in at], "was": one, "is": other, "by": by}
    return None


def _first_bit(was: np.ndarray, now: np.ndarray) -> tuple[Any, ...] | None:
    """The index of the first number that has not the same bits."""
    one, other = (
        np.ascontiguousarray(each).reshape(-1).view(np.uint8).reshape(-1, each.itemsize)
        for each in (was, now)
    )
    differ = (one != other).any(axis=1)
    return np.unravel_index(int(differ.argmax()), was.shape) if differ.any() else None


def _described(array: np.ndarray | None) -> str:
    return "not there" if array is None else f"{array.dtype} {list(array.shape)}"


def _other_than_recorded(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What of the machine, of the packages and of the user's files is not what it was."""
    pairs = [
        *_changes("", record.get("versions", {}), versions()),
        *_changes("processor ", record.get("processor", {}), processor()),
        *_changes("", record.get("files", {}), files_of(record)),
    ]
    return [{"what": what, "was": was, "is": now} for what, was, now in pairs]


def _changes(
    prefix: str, was: dict[str, Any], now: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for key, value in was.items():
        if now.get(key) != value:
            yield f"{prefix}{key}", value, now.get(key)
