"""The lines around a finding, as they are in the user's file."""

from __future__ import annotations

import linecache
import textwrap
from dataclasses import dataclass

AROUND = 3
LONGEST = 12  # lines of one statement that are marked


@dataclass(frozen=True)
class Line:
    number: int
    text: str
    marked: bool


def excerpt(file: str, first: int, last: int | None = None, around: int = AROUND) -> list[Line]:
    """`first` to `last` marked, with what stands around; nothing where the file is gone."""
    lines = source(file)
    if not 1 <= first <= len(lines):
        return []
    last = min(max(first, last or first), first + LONGEST, len(lines))
    low, high = max(1, first - around), min(len(lines), last + around)
    shown = textwrap.dedent("\n".join(lines[low - 1 : high]).expandtabs(4)).split("\n")
    return [
        Line(number, text, first <= number <= last) for number, text in enumerate(shown, start=low)
    ]


def expression(file: str, line: int, end_line: int, column: int, end_column: int) -> str:
    """The text of one expression, its first line if it has several; columns count bytes."""
    lines = source(file)
    if not 1 <= line <= len(lines):
        return ""
    data = lines[line - 1].encode()
    if not end_column:  # not known
        column, end_column = 0, len(data)
    if end_line > line:
        return data[column:].decode(errors="replace").strip() + " …"
    return data[column:end_column].decode(errors="replace").strip()


def source(file: str) -> list[str]:
    return [line.rstrip("\n") for line in linecache.getlines(file)]
