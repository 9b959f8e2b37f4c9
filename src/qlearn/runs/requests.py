"""`requests.jsonl`: what a trainer is asked to do now. Others append to it, the trainer reads it."""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from qlearn.errors import UserError
from qlearn.runs.answers import Answers, Unanswered
from qlearn.runs.files import explained
from qlearn.runs.folder import RunFolder

FILE = "requests.jsonl"
SAVE, EVALUATE, STOP = "save", "evaluate", "stop"
KNOWN = (SAVE, EVALUATE, STOP)
MOST_BYTES = 64 * 1024  # that are read at one look
WAIT_SECONDS = 60.0  # a large replay takes its time to be written


def append(folder: Path, do: str) -> str:
    """Asks; the id that the answer will carry."""
    name = secrets.token_hex(8)
    path = folder / FILE
    try:
        place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(place, (json.dumps({"id": name, "do": do}) + "\n").encode())
        finally:
            os.close(place)
    except OSError as error:
        raise explained(error, path) from None
    return name


def ask(folder: RunFolder, do: str, wait: float = WAIT_SECONDS) -> dict[str, Any]:
    """Asks the trainer and waits; the event that answers."""
    status = RunFolder.open(folder.path).status
    if status != "running":
        raise UserError(f"{folder.path.name} is not being trained: it is {status}")
    answers = Answers(folder.path)
    name = append(folder.path, do)
    for row in answers.until(wait, folder):
        if row.get("request") == name:
            if row["event"] == "refused":
                raise UserError(str(row.get("why")))
            return row
    raise Unanswered(f"{folder.path.name} has not answered within {wait:g} s")


class Requests:
    """The trainer's side: whole lines, from where the file ends when this is made."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._read = self._size()

    def _size(self) -> int:
        try:
            found = os.stat(self._path)
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else 0

    def new(self) -> list[dict[str, Any]]:
        """What was asked for since the last look; a line that asks nothing is there as {}."""
        size = self._size()
        if size <= self._read:
            self._read = size
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read(MOST_BYTES)
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == MOST_BYTES:  # no request is as long as that
            self._read = size
            return [{}]
        self._read += whole
        return [_request(line) for line in data[:whole].splitlines() if line.strip()]


def _request(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    name = found.get("id")
    named = {"id": name} if isinstance(name, str) and len(name) <= 64 else {}
    return {**named, "do": str(found.get("do"))[:40]}
