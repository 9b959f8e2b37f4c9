"""What a trainer does between two chunks with what others have written into its run's folder."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from qlearn.errors import UserError
from qlearn.runs import knobs
from qlearn.runs.ahead import Ahead
from qlearn.runs.knobs import PAUSED
from qlearn.runs.requests import EVALUATE, KNOWN, STOP, Requests

if TYPE_CHECKING:
    from qlearn.runs.driver import Training

IMPOSSIBLE = (UserError, ValueError, TypeError, OverflowError, MemoryError)
Signature = tuple[int, int, int]


class Steering:
    """Turns the knobs of a training, and answers what it is asked; each with an event row."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._folder = training.folder.path
        self.knobs: dict[str, Any] = {}  # as they are turned
        self.paused = False
        self._requests = Requests(self._folder)
        self._seen: Signature | None = None
        self._doubted: Signature | None = None
        self.ahead = Ahead(self._folder)

    def restore(self, turned: dict[str, Any]) -> None:
        """As it was at the checkpoint."""
        for key, value in turned.items():
            self._training.turn(key, value)
        self.knobs = dict(turned)

    def look(self) -> None:
        """Does what was asked for since the last look."""
        for changes in self.ahead.due(self._training.env_steps):
            self._turn(changes)
        if self._has_changed():
            self._take_file()
        for asked in self._together(self._requests.new()):
            self._answer(*asked)

    # ------------------------------------------------------------------- knobs

    def _has_changed(self) -> bool:
        try:
            found = os.stat(self._folder / knobs.FILE)
        except OSError:
            now = None
        else:
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
        if now == self._seen:
            return False
        self._seen = now
        return True

    def _take_file(self) -> None:
        try:
            wanted = knobs.read(self._folder)
        except UserError as error:
            # Perhaps somebody is just writing it: damaged is what is so at two looks.
            if self._doubted != self._seen:
                self._doubted, self._seen = self._seen, None
                return
            self._refuse({}, str(error))
            return
        ahead = self.ahead.known()
        known = self.knobs | ahead
        new = {key: value for key, value in wanted.items() if key != PAUSED}
        new = {key: value for key, value in new.items() if known.get(key, math.nan) != value}
        if new:
            # Who steers while the past is repeated would be overruled by it.
            self._turn(ahead | new)
            self.ahead.end()
        self._pause(wanted.get(PAUSED, False))

    def _turn(self, changes: dict[str, Any]) -> None:
        turned = {}
        for key, value in changes.items():
            try:
                knobs.check_value(key, value)
                self._training.turn(key, value)
            except IMPOSSIBLE as error:
                self._refuse({key: value}, str(error) or f"{key} cannot be {value}")
            else:
                turned[key] = value
        if turned:
            self.knobs |= turned
            self._training.tell("set", knobs=turned)

    def _pause(self, wanted: Any) -> None:
        if not isinstance(wanted, bool):
            self._refuse({PAUSED: wanted}, f"{PAUSED} must be true or false")
        elif wanted != self.paused:
            self.paused = wanted
            self._training.tell("pause" if wanted else "resume", knobs={PAUSED: wanted})
            if wanted:
                name = self._folder.name
                self._training.say(f"{name} is paused; qlearn set {name} paused=false goes on")

    def _refuse(self, changes: dict[str, Any], why: str, **more: Any) -> None:
        why = " ".join(why.split())[:300]
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value)[:100]
            for key, value in changes.items()
        }
        self._training.tell("refused", knobs=plain, why=why, **more)
        self._training.say(f"{why}; the training goes on as it was")

    # ---------------------------------------------------------------- requests

    def _together(self, asked: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
        """Each thing once, with the ids of all who ask for it."""
        found: dict[str, list[str]] = {}
        for one in asked:
            ids = found.setdefault(one.get("do", ""), [])
            ids += [one["id"]] if "id" in one else []
        return list(found.items())

    def _answer(self, do: str, ids: list[str]) -> None:
        training = self._training
        if do not in KNOWN:
            what = f"'{do}' cannot be asked of a training" if do else "a line asks for nothing"
            self._refuse_all(ids, f"{what}: {', '.join(KNOWN)} can")
            return
        try:
            if do == EVALUATE:
                said: dict[str, Any] = {"mean": training.judge_now()}
            else:  # who stops has saved
                said = {"checkpoint": str(training.save())}
        except (UserError, OSError) as error:
            self._refuse_all(ids, str(error))
            return
        for name in ids or [""]:
            training.tell(do, **({"request": name} if name else {}), **said)
        if do == STOP:
            training.leave()

    def _refuse_all(self, ids: list[str], why: str) -> None:
        for name in ids or [""]:
            self._refuse({}, why, **({"request": name} if name else {}))
