"""The lines of metrics.jsonl, read back: each as it was written, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from qlearn.runs.ahead import Turn
from qlearn.runs.files import SEAL, checksum_of

FILE = "metrics.jsonl"


def rows_of(
    folder: Path,
    begin: int,
    end: float,
    damaged: Callable[[Path, int], None] = lambda path, byte: None,
) -> Iterator[dict[str, Any]]:
    """The rows whose lines begin within these bytes; torn ones are left out, others told of."""
    path = folder / FILE
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            for line in file:
                if begin >= end:
                    return
                row = row_of(line)
                if row:
                    yield row
                elif line.strip() and line.endswith(b"\n"):
                    damaged(path, begin)
                begin += len(line)
    except FileNotFoundError:
        return


def row_of(line: bytes) -> dict[str, Any]:
    """The row of a line; nothing where it is none, or says something else than was written."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(row, dict):
        return {}
    machine = row.get("machine")
    if not isinstance(machine, dict) or SEAL not in machine:
        return row
    seal = machine.pop(SEAL)
    meant = checksum_of(row)
    machine[SEAL] = seal
    return row if seal == meant else {}


def events(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "event" in row and isinstance(row.get("env_steps"), int)]


def turns(rows: Iterable[dict[str, Any]]) -> list[Turn]:
    """When knobs were turned, and how they stood then."""
    return [
        (row["env_steps"], row["knobs"])
        for row in events(rows)
        if row["event"] == "set" and isinstance(row.get("knobs"), dict)
    ]
