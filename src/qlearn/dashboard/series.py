"""metrics.jsonl as columns: read once, then only what was appended since."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from qlearn.dashboard import codec
from qlearn.dashboard.downsample import downsample

BLOCK = 2**20  # bytes parsed at a time: others wait for the interpreter no longer than this takes
MOST_COLUMNS, LONGEST_NAME = 200, 100
KEPT_EVENTS, KEPT_EVALUATIONS = 500, 100
WITNESS = 64  # bytes before the offset that must still be there
STAGE_POINTS = 200
AXES = ("env_steps", "seconds")
MACHINE = "machine."
NOTHING: dict[str, Any] = {}
LIKENESS = 1500  # lines that stand for a large file until it is read


class Column:
    """The points of one key: in which rows it stands, and its values."""

    def __init__(self) -> None:
        self._rows, self._values, self._size = np.empty(64, np.int32), np.empty(64), 0

    def add(self, rows: np.ndarray, values: np.ndarray) -> None:
        end = self._size + len(rows)
        if end > len(self._rows):
            room = max(end, 2 * len(self._rows))
            self._rows, self._values = np.resize(self._rows, room), np.resize(self._values, room)
        self._rows[self._size : end], self._values[self._size : end] = rows, values
        self._size = end

    def __len__(self) -> int:
        return self._size

    @property
    def rows(self) -> np.ndarray:
        return self._rows[: self._size]

    @property
    def values(self) -> np.ndarray:
        return self._values[: self._size]

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + self._values.nbytes


class Happening(NamedTuple):
    """An event or an evaluation: the how manieth, and where it stands on each axis."""

    number: int
    row: dict[str, Any]
    at: dict[str, float]


class Series:
    """The rows of one run so far. All methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.busy = False  # somebody reads on
        self._forget()

    def _forget(self) -> None:
        self.rows = self.warnings = self.happened = self._offset = self._size = 0
        self._identity: tuple[int, int] | None = None
        self._witness = b""
        self._skipping = False
        self.columns: dict[str, Column] = {}
        self.stages: list[tuple[int, dict[str, float]]] = []
        self._stage_every = 1
        self.events: deque[Happening] = deque(maxlen=KEPT_EVENTS)
        self.evaluations: deque[Happening] = deque(maxlen=KEPT_EVALUATIONS)
        self._at = dict.fromkeys(AXES, 0.0)
        self._axes: dict[str, np.ndarray] = {}
        self._likeness: Series | None = None

    @property
    def behind(self) -> bool:
        """Whether there is more to read than the line that is just being written."""
        return self._size - self._offset >= BLOCK

    @property
    def loaded(self) -> float:
        return self._offset / self._size if self.behind else 1.0

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns.values())

    def read(self, most: int | None = None) -> bool:
        """Reads what is new, at most about `most` bytes of it; whether that was all."""
        with self.lock:
            try:
                with open(self.path, "rb") as file:
                    self._follow(file)
                    end = self._size if most is None else min(self._size, self._offset + most)
                    while self._offset < end and self._read_block(file):
                        pass
            except OSError:
                if not self.path.exists():
                    self._forget()
                return True
            return not self.behind

    def _follow(self, file: Any) -> None:
        """Begins anew where the file is another, or its lines were taken back by a resume."""
        about = os.fstat(file.fileno())
        identity = (about.st_dev, about.st_ino)
        if self._identity is not None:
            file.seek(self._offset - len(self._witness))
            same = file.read(len(self._witness)) == self._witness
            if identity != self._identity or about.st_size < self._offset or not same:
                self._forget()
        self._identity, self._size = identity, about.st_size

    def _read_block(self, file: Any) -> bool:
        """The whole lines of the next block, one longer than that left out; whether it moved on."""
        file.seek(self._offset)
        data = file.read(BLOCK)
        end = data.rfind(b"\n") + 1
        if not end and len(data) < BLOCK:
            return False  # a line that is being written
        self._skipping, skipped = not end, self._skipping
        lines = data[: end or len(data)]
        self._offset += len(lines)
        self._witness = lines[-WITNESS:]
        if skipped:
            lines = lines[lines.find(b"\n") + 1 :]
        if end:
            self._take(_objects(lines))
        return True

    def _take(self, found: list[dict[str, Any]]) -> None:
        learned = [row for row in found if "event" not in row]
        for row in found:
            if "event" in row:
                self._take_event(row)
            elif "eval" in row:
                self._keep(row, self.evaluations)
        numbers = np.arange(self.rows, self.rows + len(learned))
        self._take_columns(numbers, learned, "")
        for number, row in zip(numbers.tolist(), learned, strict=True):
            if number % self._stage_every == 0:
                self._take_stages(number, row.get("machine"))
        self.rows += len(learned)
        for axis in AXES:
            self._at[axis] = max(self._at[axis], self._latest(axis))

    def _take_columns(self, numbers: np.ndarray, rows: list[dict[str, Any]], prefix: str) -> None:
        """`eval.mean` for what stands inside; what the machine decides goes by its own name."""
        for key in dict.fromkeys(chain.from_iterable(rows)):
            values = [row.get(key) for row in rows]
            try:
                array = np.array(values, np.float64)
            except (TypeError, ValueError, OverflowError):
                inner = [value if type(value) is dict else NOTHING for value in values]
                if not prefix and any(inner):
                    self._take_columns(numbers, inner, f"{key}.")
                array = np.array([_number(value) for value in values])
            if array.shape == numbers.shape:
                name = key if prefix == MACHINE else prefix + key
                self._take_column(name, numbers, array)

    def _take_column(self, key: str, numbers: np.ndarray, values: np.ndarray) -> None:
        kept = np.isfinite(values)
        if not kept.any():
            return
        if key not in self.columns:
            if len(self.columns) >= MOST_COLUMNS or len(key) > LONGEST_NAME:
                return
            self.columns[key] = Column()
        self.columns[key].add(numbers[kept], values[kept])

    def _take_event(self, row: dict[str, Any]) -> None:
        if not isinstance(row["event"], str):
            return
        machine = row.get("machine")
        seconds = machine.get("seconds") if isinstance(machine, dict) else None
        for axis, value in zip(AXES, (row.get("env_steps"), seconds), strict=True):
            number = _number(value)
            if number == number:
                self._at[axis] = max(self._at[axis], number)
        self._keep(row, self.events)
        self.warnings += row["event"] == "warning"

    def _keep(self, row: dict[str, Any], among: deque[Happening]) -> None:
        among.append(Happening(self.happened, row, dict(self._at)))
        self.happened += 1

    def _take_stages(self, number: int, machine: Any) -> None:
        """Kept of few rows: twice as far apart whenever there are twice too many."""
        stages = machine.get("stages") if isinstance(machine, dict) else None
        if not isinstance(stages, dict):
            return
        sums = {str(name): _number(value) for name, value in list(stages.items())[:30]}
        self.stages.append((number, {k: v for k, v in sums.items() if np.isfinite(v)}))
        if len(self.stages) > 2 * STAGE_POINTS:
            self._stage_every *= 2
            self.stages = [entry for entry in self.stages if entry[0] % self._stage_every == 0]

    def _latest(self, key: str) -> float:
        column = self.columns.get(key)
        return float(column.values[-1]) if column is not None and len(column) else 0.0

    def names(self) -> list[str]:
        with self.lock:
            return [key for key in self.columns if key != "env_steps"]

    def axis(self, name: str) -> np.ndarray:
        """x of every row: the last known one where a row has none; never falling."""
        known = self._axes.get(name)
        if known is None or len(known) != self.rows:
            known = np.zeros(self.rows)
            column = self.columns.get(name)
            if column is not None:
                known[column.rows] = column.values
            self._axes[name] = known = np.maximum.accumulate(known) if self.rows else known
        return known

    def likeness(self) -> Series:
        """Lines from all over the file, to show what it is like until all of it has been read."""
        if self._likeness is None:
            found = self._likeness = Series(self.path)
            with contextlib.suppress(OSError), open(self.path, "rb") as file:
                lines = [
                    _line_at(file, place) for place in range(0, self._size, self._size // LIKENESS)
                ]
                found._take(_objects(b"\n".join(dict.fromkeys(lines))))
        return self._likeness

    def points(self, key: str, axis: str = "env_steps") -> tuple[np.ndarray, np.ndarray]:
        with self.lock:
            column = self.columns.get(key)
            if column is None:
                return np.zeros(0), np.zeros(0)
            return self.axis(axis)[column.rows], column.values

    def happenings(self) -> list[dict[str, Any]]:
        """Events and evaluations in their order; many evaluations do not push out events."""
        with self.lock:
            return [
                found.row
                for found in sorted([*self.events, *self.evaluations], key=lambda one: one.number)
            ]

    def best(self) -> float | None:
        with self.lock:
            column = self.columns.get("eval.mean")
            return float(column.values.max()) if column is not None else None

    def chart(
        self,
        keys: Iterable[str],
        axis: str,
        points: int,
        low: float = -np.inf,
        high: float = np.inf,
    ) -> dict[str, Any]:
        """The answer of /api/series."""
        with self.lock:
            if self.behind:
                answer = self.likeness().chart(keys, axis, points, low, high)
                return answer | {"rows": self.rows, "loaded": round(self.loaded, 4)}
            self._likeness = None
            x = self.axis(axis)
            series, last = {}, {}
            for key in keys:
                column = self.columns.get(key)
                if column is None:
                    continue
                at, values = x[column.rows], column.values
                last[key] = [float(at[-1]), float(values[-1])]
                begin = int(np.searchsorted(at, low))
                end = int(np.searchsorted(at, high, "right"))
                series[key] = downsample(at[begin:end], values[begin:end], points)
                if key == "eval.mean":
                    series[key] |= self._errors(at, begin, end, points)
            return {
                "x": axis,
                "rows": self.rows,
                "loaded": 1.0,
                "series": series,
                "last": last,
                "marks": [_mark(event, axis) for event in self.events],
                "stages": self._stage_lists(x),
            }

    def _errors(self, at: np.ndarray, begin: int, end: int, points: int) -> dict[str, Any]:
        """The standard error of each evaluation, where all say what it takes."""
        mean, std, count = (self.columns.get(f"eval.{k}") for k in ("mean", "std", "episodes"))
        if mean is None or std is None or count is None or not len(mean) == len(std) == len(count):
            return {}
        error = std.values / np.sqrt(np.maximum(count.values, 1.0))
        return {"error": downsample(at[begin:end], error[begin:end], points)["mean"]}

    def _stage_lists(self, x: np.ndarray) -> dict[str, Any]:
        names = dict.fromkeys(name for _, sums in self.stages for name in sums if name != "x")
        found: dict[str, Any] = {"x": [float(x[row]) for row, _ in self.stages]}
        return found | {name: [s.get(name, 0.0) for _, s in self.stages] for name in names}


def _line_at(file: Any, place: int) -> bytes:
    """The first whole line from there on; nothing where it is a long one."""
    file.seek(place)
    lines = file.read(8192).split(b"\n", 2)
    return lines[1] if len(lines) == 3 else b""


def _objects(lines: bytes) -> list[dict[str, Any]]:
    """The objects of some lines; what is none is left out."""
    try:
        found = orjson.loads(b"[" + lines.strip().replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        found = []
        for line in lines.split(b"\n"):
            try:
                found.append(codec.loads(line))
            except ValueError:
                continue
    return [row for row in found if isinstance(row, dict)]


def _number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    return float("nan")


def _mark(event: Happening, axis: str) -> dict[str, Any]:
    return {"x": event.at[axis], "event": event.row["event"], "label": label(event.row)}


def label(event: dict[str, Any]) -> str:
    """An event in a few words."""
    kind, knobs, why = event["event"], event.get("knobs"), event.get("why")
    if kind == "set" and isinstance(knobs, dict):
        said = ", ".join(f"{key} = {value}" for key, value in knobs.items())
    elif kind in ("refused", "warning") and isinstance(why, str):
        said = f"{kind}: {why}"
    elif kind in ("pause", "resume"):
        said = f"{kind}d"
    else:
        said = kind
    return said[:300]
