"""What commands say: results on standard output, everything else on standard error."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

LONG = re.compile(r"\S{1000,}")  # what somebody has typed may be repeated to them, in part


class Console:
    """Rich tables where a person watches, plain text elsewhere."""

    def __init__(self) -> None:
        self.quiet = False
        self.json = False

    def say(self, message: str) -> None:
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    def error(self, message: str) -> None:
        line = LONG.sub(lambda word: f"{word[0][:100]}...", " ".join(message.split("\n")))
        print(f"qlearn: {line}", file=sys.stderr, flush=True)

    def out(self, text: str) -> None:
        print(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if not sys.stdout.isatty():
            for row in rows:
                print("\t".join(str(cell) for cell in row))
            return
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(*columns, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        RichConsole().print(table)
