"""Changes to a run in training: checked here as far as they can be, decided by its trainer."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from qlearn.dashboard.store import Store
from qlearn.errors import UserError
from qlearn.runs import knobs, requests
from qlearn.runs.answers import Unanswered
from qlearn.runs.folder import RunFolder

SET_SECONDS = 2.0  # the page waits; what takes longer is told by the run's events
DO_SECONDS = 20.0  # those who wait have threads of their own: nobody else waits for one
NOT_TRAINED = "the run is not being trained; it holds from the next --resume"


async def change(store: Store, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The answer of POST /api/set/NAME."""
    folder = _whole(store, name)
    _check(changes)
    if not isinstance(folder.record.get("live"), dict):
        raise UserError(f"{name} says nothing of knobs; it was begun by an earlier qlearn")
    return await asyncio.to_thread(_turn, folder, changes)


def _turn(folder: RunFolder, changes: dict[str, Any]) -> dict[str, Any]:
    try:
        step = knobs.turn(folder, changes, SET_SECONDS)
    except UserError as error:
        return _not_done(error)
    return {"pending": NOT_TRAINED} if step is None else {"applied_at_step": step}


def _check(changes: dict[str, Any]) -> None:
    if not changes:
        raise UserError('nothing to change; such as {"epsilon": 0.05}')
    if len(changes) > 50:
        raise UserError("that many settings no run has")
    for key, value in changes.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key[:40]} must be finite")
        knobs.check_value(key[:40], value)


async def do(store: Store, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer of POST /api/do/NAME."""
    what = asked.get("do")
    if what not in requests.KNOWN:
        raise UserError(f"do is one of {', '.join(requests.KNOWN)}")
    return await asyncio.to_thread(_ask, _whole(store, name), what)


def _ask(folder: RunFolder, what: str) -> dict[str, Any]:
    try:
        event = requests.ask(folder, what, DO_SECONDS)
    except UserError as error:
        return _not_done(error)
    found = {"applied_at_step": event["env_steps"]}
    return found | {key: event[key] for key in ("checkpoint", "mean") if key in event}


def _not_done(error: UserError) -> dict[str, Any]:
    return {"pending" if isinstance(error, Unanswered) else "refused": str(error)}


def _whole(store: Store, name: str) -> RunFolder:
    """A run that can be steered at all."""
    path, row = store.folder(name), store.row(name)
    if row["status"] == "damaged":
        raise UserError(row["error"])
    for file in (knobs.FILE, requests.FILE):
        if (path / file).is_symlink():
            raise UserError(f"{file} of {name} is a link; it is not written through")
    return RunFolder.open(path)
