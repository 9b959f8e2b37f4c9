"""The small pieces of the page: a command to copy, a line of Python, a table."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from html import escape
from typing import Any

PYTHON = re.compile(
    r"(?P<note>#.*)"
    r"|(?P<text>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
    rf"|(?P<word>\b(?:{'|'.join(keyword.kwlist)})\b)"
    r"|(?P<number>\b\d[\d_.]*(?:e-?\d+)?\b)"
)


def command(line: str) -> str:
    """A line to type, with a button that copies it; it breaks between words, not at hyphens."""
    words = " ".join(f"<span>{escape(word)}</span>" for word in line.split(" "))
    return (
        f'<p class="command"><i aria-hidden="true">$</i><code>{words}</code>'
        '<button type="button" class="copy">copy</button></p>'
    )


def python(line: str) -> str:
    """Keywords, texts, numbers and comments marked, one line at a time."""
    parts, done = [], 0
    for match in PYTHON.finditer(line):
        parts.append(escape(line[done : match.start()]))
        parts.append(f'<span class="{match.lastgroup}">{escape(match.group())}</span>')
        done = match.end()
    return "".join(parts) + escape(line[done:])


def code(rows: str, label: str, kind: str = "code") -> str:
    """It scrolls sideways on a narrow screen, by keys too."""
    return f'<pre class="{kind}" tabindex="0" role="region" aria-label="{label}">{rows}</pre>'


def table(heads: Sequence[str], rows: Sequence[Sequence[tuple[str, Any]]]) -> str:
    """Cells are what is shown, and what it is sorted by."""
    top = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{name}</button></th>'
        for name in heads
    )
    body = "".join(_table_row(*row) for row in rows)
    return f'<table class="spots"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _table_row(head: tuple[str, Any], *cells: tuple[str, Any]) -> str:
    numbers = "".join(f'<td data-value="{value or 0}">{said}</td>' for said, value in cells)
    return f'<tr><th scope="row" data-value="{escape(head[1])}">{head[0]}</th>{numbers}</tr>'
