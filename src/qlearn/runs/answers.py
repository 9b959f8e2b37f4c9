"""What the trainer did when it was asked: the event rows of metrics.jsonl, as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlearn.errors import UserError
from qlearn.runs.folder import RunFolder
from qlearn.runs.rows import events, row_of

LOOK_SECONDS = 0.02
STATUS_SECONDS = 1.0  # between two looks whether the trainer is still there


class Unanswered(UserError):
    """The trainer has not said yet whether it does it."""


class Answers:
    """From where the file ends when this is made, or from its beginning."""

    def __init__(self, folder: Path, beginning: bool = False) -> None:
        self._path, self._beginning = folder / "metrics.jsonl", beginning
        self._read = 0 if beginning else self._size()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def until(self, seconds: float, folder: RunFolder) -> Iterator[dict[str, Any]]:
        """Events as they come, until so many seconds are over or nobody trains any more.

        From the beginning: first those that are there, the newest first.
        """
        if self._beginning:
            yield from reversed(self.new())
        begun = looked = time.monotonic()
        while True:
            now = time.monotonic()
            gone = now - looked > STATUS_SECONDS and RunFolder.open(folder.path).status != "running"
            looked = now if now - looked > STATUS_SECONDS else looked
            yield from self.new()
            if gone or now - begun > seconds:
                return
            time.sleep(LOOK_SECONDS)

    def new(self) -> list[dict[str, Any]]:
        """The events of whole lines that were written since the last look."""
        if self._size() < self._read:  # a resumed run has cut off what it trains again
            self._read = 0
        found = []
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read += len(line)
                    if b'"event"' in line:
                        found += events_in(line)
        except OSError:
            return found
        return found


def events_in(line: bytes) -> list[dict[str, Any]]:
    """The event of a line of metrics.jsonl, where it is one."""
    return events([row_of(line)])
