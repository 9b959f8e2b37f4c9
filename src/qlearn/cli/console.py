"""What commands say: results on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


class Console:
    """Rich tables and a progress line where a person watches, plain text elsewhere."""

    def __init__(self) -> None:
        self.quiet = False
        self.json = False
        self._live: Any = None

    def say(self, message: str) -> None:
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    def error(self, message: str) -> None:
        line = " ".join(message.split("\n"))
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

    def progress(self, total: int, what: str) -> Progress | None:
        """A progress line, or nothing where nobody would see it."""
        if self.quiet or self.json or not sys.stderr.isatty():
            return None
        return Progress(total, what)


class Progress:
    """One live line: how far, how long still, and the newest figure."""

    def __init__(self, total: int, what: str) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figure]}"),
            console=RichConsole(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, figure="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, figure: str = "") -> None:
        self._bar.update(self._task, completed=done, figure=figure)
