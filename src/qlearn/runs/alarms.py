"""What a training says of itself when it goes wrong: slower than it was, forgetting, exploding."""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import Any

QUIET_ROWS = 10  # between two warnings of a kind
RECENT_ROWS = 20
LEAST_SECONDS = 5.0  # that those rows took; what is shorter says nothing of a speed
SLOWER, SMALLER, HALF = 0.7, 0.1, 0.5
BAD_IN_A_ROW = 3
SURE = 3.0  # standard errors
EXPLODING = "exploding"
ERRORS = ("loss", "td_error", "gradient_norm")
LARGE, GROWN = 1e6, 1e6  # an error that no network follows; and how many times the usual one


class Alarms:
    """Sees the rows of metrics.jsonl in their order; what it says of each, mostly nothing."""

    def __init__(self) -> None:
        self._rows = 0
        self._said: dict[str, int] = {}
        self._speeds: deque[tuple[float, float]] = deque(maxlen=RECENT_ROWS)  # and seconds
        self._fastest = 0.0
        self._gaps: deque[float] = deque(maxlen=1000)
        self._best: dict[str, Any] = {}
        self._worst = math.inf
        self._bad = 0
        self._errors: deque[float] = deque(maxlen=1000)
        self._large = self._grown = 0  # how many rows in a row
        self.lost = ""  # why nothing can be learned any more

    @property
    def doubt(self) -> bool:
        """Whether the newest row shows what had better not be kept."""
        return self._grown > 0

    def saw(self, row: dict[str, Any]) -> list[tuple[str, str]]:
        """(kind, what is to be said) of everything that this row shows."""
        if "event" in row:
            return []
        self.lost = ""
        found = [("collapsing", self._judged(row["eval"]))] if "eval" in row else self._logged(row)
        found = [(kind, text) for kind, text in found if text and self._is_time(kind)]
        self._said |= dict.fromkeys((kind for kind, _ in found), self._rows)
        return found

    def _is_time(self, kind: str) -> bool:
        return self._rows - self._said.get(kind, -QUIET_ROWS) >= QUIET_ROWS

    def _logged(self, row: dict[str, Any]) -> list[tuple[str, str]]:
        self._rows += 1
        machine = row.get("machine", {})
        slow = self._slow(machine.get("steps_per_second"), machine.get("seconds"))
        return [
            ("slower", slow),
            ("collapsing", self._unsure(row.get("action_gap"))),
            (EXPLODING, self._exploding(row)),
        ]

    def _exploding(self, row: dict[str, Any]) -> str:
        """Lost is what has no limit any more: at once beyond every number, else when it lasts."""
        for name in ERRORS:
            if not math.isfinite(row.get(name, 0.0)):
                self.lost = f"exploding: {name} is {row[name]:g}"
                return ""
        error = row.get("td_error", 0.0)
        usual = statistics.median(self._errors) if len(self._errors) >= RECENT_ROWS else math.inf
        self._large = self._large + 1 if error > LARGE else 0
        self._grown = self._grown + 1 if error > max(LARGE, GROWN * usual) else 0
        if error > 0.0 and not self._grown:
            self._errors.append(error)
        text = f"exploding: errors of {error:.3g}"
        if self._grown >= BAD_IN_A_ROW:
            self.lost = f"{text}, usually {usual:.3g}"
        return text if self._large >= BAD_IN_A_ROW and not self.lost else ""

    def _slow(self, speed: float | None, seconds: float | None) -> str:
        if not speed or seconds is None:
            return ""
        self._speeds.append((speed, seconds))
        if len(self._speeds) < RECENT_ROWS or seconds - self._speeds[0][1] < LEAST_SECONDS:
            return ""
        now = statistics.median(speed for speed, _ in self._speeds)
        self._fastest = max(self._fastest, now)
        if now >= SLOWER * self._fastest:
            return ""
        return f"slower than it was: {now:,.0f} steps/s, and {self._fastest:,.0f} before"

    def _unsure(self, gap: float | None) -> str:
        if gap is None or not math.isfinite(gap):
            return ""
        self._gaps.append(gap)
        if len(self._gaps) < RECENT_ROWS:
            return ""
        usual = statistics.median(self._gaps)
        if gap >= SMALLER * usual:
            return ""
        return f"collapsing: the best action leads by {gap:.3g}, usually by {usual:.3g}"

    def _judged(self, report: dict[str, Any]) -> str:
        """Half of the best is gone, half of the way from the worst too, and surely not by chance."""
        mean = report["mean"]
        self._worst = min(self._worst, mean)
        if not self._best or mean > self._best["mean"]:
            self._best = report
        best = float(self._best["mean"])
        errors = math.hypot(*(r["std"] / math.sqrt(r["episodes"]) for r in (report, self._best)))
        much = max(HALF * abs(best), HALF * (best - self._worst), SURE * errors)
        self._bad = self._bad + 1 if best - mean > much else 0
        if self._bad < BAD_IN_A_ROW:
            return ""
        return f"collapsing: {self._bad} greedy evaluations in a row far below the best, {best:.6g}"
