"""`knobs.json`: what may change while a run is trained. Others write it, the trainer reads it."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qlearn.errors import UserError, closest
from qlearn.runs.answers import Answers, Unanswered
from qlearn.runs.files import write_json
from qlearn.runs.folder import RunFolder

FILE, PAUSED = "knobs.json", "paused"
MOST_BYTES = 64 * 1024
LARGEST = 1e100
WAIT_SECONDS = 10.0  # for the trainer, who looks twenty times a second


def read(folder: Path) -> dict[str, Any]:
    """Every knob that was ever turned, and how it stands; whatever else lies there is one line."""
    path = folder / FILE
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is no file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path} is too large to be settings")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: it is no JSON") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: it is no object of settings")
    return found


def write(folder: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Puts these among the others, None taking one away; how the knobs stood before."""
    with _alone(folder):
        before = read(folder)
        after = {key: value for key, value in {**before, **changes}.items() if value is not None}
        if after != before:
            write_json(folder / FILE, after)
    return before


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two who write at once would each leave out what the other has changed."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        place = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot open {folder}: {error.strerror}") from None
    try:
        with contextlib.suppress(OSError):  # some file systems lock nothing
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def turn(folder: RunFolder, changes: Mapping[str, Any], wait: float = WAIT_SECONDS) -> int | None:
    """Turns knobs of a run, and waits until its trainer has; the step at which that was.

    None where nobody trains it: what is written holds from the next --resume. What the trainer
    refuses stands as it stood before.
    """
    folder = RunFolder.open(folder.path)
    _check(folder, changes)
    if folder.status != "running":
        write(folder.path, changes)
        return None
    ahead = Answers(folder.path)
    before = write(folder.path, changes)
    new = any(before.get(key) != value for key, value in changes.items())
    answers = ahead if new else Answers(folder.path, beginning=True)
    left = dict(changes)
    for row in answers.until(wait, folder):
        mine = _among(row, left)
        if mine and row["event"] == "refused":
            if new:
                write(folder.path, {key: before.get(key) for key in mine})
            raise UserError(str(row.get("why")))
        left = {key: value for key, value in left.items() if key not in mine}
        if not left:
            return int(row["env_steps"])
    if RunFolder.open(folder.path).status != "running":
        return None
    raise Unanswered(f"{folder.path.name} has not answered within {wait:g} s; {FILE} has it")


def _among(row: dict[str, Any], changes: dict[str, Any]) -> set[str]:
    """Which of the changes an event speaks of."""
    knobs = row.get("knobs")
    if not isinstance(knobs, dict):
        return set()
    return {key for key, value in changes.items() if key in knobs and knobs[key] == value}


def _check(folder: RunFolder, changes: Mapping[str, Any]) -> None:
    """What can be known without the trainer."""
    live = folder.record.get("live")
    for key, value in changes.items():
        if isinstance(live, dict) and key not in (*live, PAUSED):
            raise UserError(
                f"{key} cannot change while {folder.path.name} is trained"
                f"{closest(key, [*live, PAUSED])}"
            )
        check_value(key, value)


def check_value(key: str, value: Any) -> None:
    """A number or the text of a schedule; `paused` is true or false."""
    if (key == PAUSED) != isinstance(value, bool):
        what = "true or false" if key == PAUSED else "a number or the text of a schedule"
        raise UserError(f"{key} must be {what}, not {str(value)[:40]}")
    if isinstance(value, int | float) and not abs(value) < LARGEST:
        raise UserError(f"{key} must be a number, not {value if value != value else 'infinite'}")
    if not isinstance(value, int | float | str) or len(str(value)) > 200:
        raise UserError(f"{key} must be a number or the text of a schedule")


def live_of(learner: Any, settings: Any) -> dict[str, dict[str, Any]]:
    """Every knob of a run: its value now, its kind and its limits, for pages that draw sliders."""
    steps = learner.config.steps
    return {
        **getattr(learner, "live", dict)(),
        "eval_every": {"value": settings.eval_every, "kind": "steps", "low": 0, "high": steps},
        "checkpoint_seconds": {
            "value": settings.checkpoint_seconds, "kind": "number", "low": 0.0, "high": 3600.0,
        },
    }  # fmt: skip
