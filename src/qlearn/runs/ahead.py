"""What was set after a checkpoint, and will be set again, at the same steps, by who goes on from it.

The rows that say so are cut off from metrics.jsonl before they are written again, and a run may be
killed in between, perhaps behind its next checkpoint: so they lie in a file of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qlearn.runs.files import SEALED_FROM, Damaged, clear_drafts, read_sealed, write_sealed

FILE, FORMAT = "ahead.json", SEALED_FROM
Turn = tuple[int, dict[str, Any]]  # at which step, and the knobs as they are then


class Ahead:
    """The turns to come, the next one first."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._turns: list[Turn] = []

    def plan(self, step: int, done: Sequence[Turn], later: Sequence[Turn]) -> None:
        """Going on from `step`: the turns of the rows up to there, and of those after it."""
        known = [turn for turn in self._read() if turn[0] >= step and turn not in done]
        later = list(later)
        # What was planned before is longer than what was repeated of it; who steered ended it.
        self._turns = known if known[: len(later)] == later else later
        clear_drafts(self._path)
        self._write()

    @property
    def next_step(self) -> int:
        """Where to stop for a knob that was turned there before; 0: nowhere."""
        return self._turns[0][0] if self._turns else 0

    def due(self, step: int) -> list[dict[str, Any]]:
        """The knobs to turn now."""
        found = []
        while self._turns and self._turns[0][0] <= step:
            found.append(self._turns.pop(0)[1])
        return found

    def known(self) -> dict[str, Any]:
        """How the knobs of all turns to come will stand."""
        return {key: value for _, knobs in self._turns for key, value in knobs.items()}

    def end(self) -> None:
        """None of them is repeated: somebody steers now."""
        self._turns = []
        self._write()

    def saved(self) -> None:
        """A checkpoint knows what was turned so far."""
        if not self._turns:
            self._write()

    def _read(self) -> list[Turn]:
        if not self._path.exists():
            return []
        try:
            found = read_sealed(self._path, FORMAT, "turns of knobs")
            return [(step, dict(knobs)) for step, knobs in found["turns"]]
        except (Damaged, KeyError, TypeError, ValueError) as error:
            what = error if isinstance(error, Damaged) else f"{self._path} is damaged"
            raise Damaged(
                f"{what}; without that file the run goes on, and what was set after its checkpoint"
                " is not set again"
            ) from None

    def _write(self) -> None:
        if self._turns:
            write_sealed(self._path, {"format": FORMAT, "turns": self._turns})
        else:
            self._path.unlink(missing_ok=True)
