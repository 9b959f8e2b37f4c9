"""The hottest functions line by line, and what each line holds of the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qlearn.profiling.report.excerpt import source

MOST_FUNCTIONS = 6
LONGEST = 120  # lines of a function


@dataclass(frozen=True)
class Row:
    number: int
    text: str
    hits: int | None
    seconds: float
    heat: float  # of the function's dearest line


@dataclass(frozen=True)
class Listing:
    file: str
    function: str
    rows: list[Row]


def listings(lines: Sequence[Mapping[str, Any]] | None) -> list[Listing]:
    """The dearest functions first, each from its first line to the last that was executed."""
    functions: dict[tuple[str, str, int], dict[int, Mapping[str, Any]]] = {}
    for row in lines or ():
        key = (row["file"], row["function"], row["first_line"])
        functions.setdefault(key, {})[row["line"]] = row
    made = [_listing(key, rows) for key, rows in functions.items() if source(key[0])]
    made.sort(key=lambda each: -max(row.seconds for row in each.rows))
    return made[:MOST_FUNCTIONS]


def hottest(lines: Sequence[Mapping[str, Any]] | None, most: int) -> list[Mapping[str, Any]]:
    return sorted(lines or (), key=lambda row: -row["seconds"])[:most]


def text_of(file: str, line: int) -> str:
    lines = source(file)
    return lines[line - 1].strip() if 1 <= line <= len(lines) else ""


def _listing(key: tuple[str, str, int], rows: Mapping[int, Mapping[str, Any]]) -> Listing:
    file, function, first = key
    text = source(file)
    dearest = max(row["seconds"] for row in rows.values()) or 1.0
    last = min(max(rows), len(text), first + LONGEST)
    numbers = range(min(first, *rows), last + 1)
    return Listing(
        file,
        function,
        [_row(number, text[number - 1], rows.get(number), dearest) for number in numbers],
    )


def _row(number: int, text: str, row: Mapping[str, Any] | None, dearest: float) -> Row:
    if row is None:
        return Row(number, text, None, 0.0, 0.0)
    return Row(number, text, row["hits"], row["seconds"], row["seconds"] / dearest)
