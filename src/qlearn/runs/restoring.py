"""What a checkpoint holds of a training beside its learner's arrays, and how it goes on from there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from qlearn.runs.best import Best
from qlearn.runs.files import digest_of_first, explained
from qlearn.runs.rows import events, rows_of, turns

if TYPE_CHECKING:
    from qlearn.runs.driver import Training


def about(training: Training) -> dict[str, Any]:
    """What goes on where it stopped, beside the learner's arrays."""
    size, digest = training.metrics.bytes_and_digest()
    return {
        "env_steps": training.env_steps,
        "returns_before": training.returns.before,
        "train_seconds": training.train_seconds,
        "stages": training.stages.sums(),
        "log_border": training.log_border.get_state(),
        "eval_border": training.eval_border.get_state(),
        "in_a_row": training.in_a_row,
        "solved": training.solved,
        "best": [training.best.mean, training.best.report] if training.best else None,
        "metrics_bytes": size,
        "metrics_sha256": digest,
        "knobs": training.steering.knobs,
    }


def restore(training: Training, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Everything as it was at the checkpoint; lines logged after it are written again."""
    size = about["metrics_bytes"]
    earlier, later = _earlier(training, about), events(_rows(training, size, inf))
    training.steering.restore(about.get("knobs", {}))
    total, count = about.get("returns_before", (0.0, 0))
    training.returns.restore(arrays.pop("returns"), (total, count))
    training.learner.set_state(arrays)
    training.clock.restore(about["train_seconds"])
    training.stages.restore(about["stages"])
    training.log_border.set_state(about["log_border"])
    training.eval_border.set_state(about["eval_border"])
    training.in_a_row = about["in_a_row"]
    training.solved = tuple(about["solved"]) if about["solved"] else None
    if about["best"]:
        mean, report = about["best"]
        training.best = Best(mean, report, time.perf_counter())
    training.logged_before = about["train_seconds"], about["env_steps"]
    for row in earlier:
        training.alarms.saw(row)
    # What somebody did at the very step that was saved is done; only knobs are turned again.
    training.steering.ahead.plan(training.env_steps, turns(earlier), turns(later))
    done = [row for row in later if row["event"] != "set"]
    _cut_metrics(training, size, [row for row in done if row["env_steps"] == training.env_steps])


def begin_again(training: Training) -> None:
    """No checkpoint was there: what was set will be set again, at the same steps."""
    training.steering.ahead.plan(0, [], turns(_rows(training, 0, inf)))
    _cut_metrics(training, 0, [])


def _earlier(training: Training, about: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows up to the checkpoint; of those that are not as they were nothing is believed."""
    path, size = training.folder.path / "metrics.jsonl", about["metrics_bytes"]
    found, meant = digest_of_first(path, size), about.get("metrics_sha256")
    if None not in (found, meant) and found != meant:
        training.say(
            f"{path} is damaged: its lines up to the checkpoint are not what they were; they"
            " stay as they are, and nothing that is learned depends on them"
        )
        return []
    return list(_rows(training, 0, size))


def _rows(training: Training, begin: int, end: float) -> Iterator[dict[str, Any]]:
    def damaged(path: Path, byte: int) -> None:
        text = f"{path} is damaged at byte {byte:,}: if a knob was set there, it is not set again"
        training.say_once("rows", text)

    return rows_of(training.folder.path, begin, end, damaged)


def _cut_metrics(training: Training, size: int, kept: list[dict[str, Any]]) -> None:
    """To the lines of the checkpoint, and these after them; lines that are gone are told of."""
    path = training.folder.path / "metrics.jsonl"
    try:
        with open(path, "a+b") as file:
            whole = _whole_lines(file, size)
            if whole < size:
                training.say(f"{path} is shorter than at the checkpoint: lines of it are lost")
            file.truncate(whole)
            file.writelines((json.dumps(row) + "\n").encode() for row in kept)
    except OSError as error:
        raise explained(error, path) from None


def _whole_lines(file: BinaryIO, size: int) -> int:
    """How many of the first `size` bytes are lines to their end."""
    there = file.seek(0, os.SEEK_END)
    if there >= size:
        return size
    file.seek(0)
    return file.read(there).rfind(b"\n") + 1
