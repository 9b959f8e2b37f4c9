"""The runs below one folder, as their files say at this moment. Nothing outside it is ever read."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlearn.dashboard import codec
from qlearn.dashboard.series import Series, label
from qlearn.errors import UserError, closest
from qlearn.runs import checkpoint
from qlearn.runs.folder import FILE, RunFolder

DEEPEST = 3  # folders between the home and a run
MOST_FOLDERS = 20_000
TAIL = 32 * 2**10  # bytes of metrics.jsonl that the list looks at
MOST_HELD = 2**30  # bytes of columns in memory
LARGE = 4 * 2**20  # bytes of metrics.jsonl that are read before anybody asks
AT_ONCE = 8 * 2**20  # bytes of it that are read while somebody waits
CLIP = re.compile(r"[\w.-]+\.json\.gz")
CLIP_RETURN = re.compile(rb'"return":\s*(-?[\d.eE+-]+)')
LOG_LINES = 200

Stamp = tuple[int, int, int]


class NotThere(UserError):
    """What was asked for does not exist: 404, not 400."""


@dataclass
class Entry:
    """What is remembered of one run."""

    record: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    stamps: tuple[Stamp | None, ...] | None = None
    row: dict[str, Any] = field(default_factory=dict)


class Store:
    """All methods may be called from any thread."""

    def __init__(self, home: str | Path) -> None:
        self.home = Path(os.path.realpath(home))
        self._entries: dict[str, Entry] = {}
        self._series: OrderedDict[str, Series] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        self._asked = 0  # how many wait for an answer

    # Names and places

    def names(self) -> list[str]:
        """Every run below the home, `group/run` where it stands in a folder."""
        return [name for name, _ in self._scan()]

    def _scan(self) -> Iterator[tuple[str, tuple[Stamp | None, ...]]]:
        left = MOST_FOLDERS
        waiting = [("", str(self.home), 0)]
        while waiting and left > 0:
            prefix, place, depth = waiting.pop()
            try:
                with os.scandir(place) as entries:
                    found = [e for e in entries if e.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            for entry in found:
                left -= 1
                name = prefix + entry.name
                if entry.name.startswith(".") or not _is_text(name):
                    continue
                stamps = _stamps(entry.path)
                if stamps[0] is not None:
                    yield name, stamps
                elif depth + 1 < DEEPEST:
                    waiting.append((f"{name}/", entry.path, depth + 1))

    def folder(self, name: str) -> Path:
        """The run's folder; only below the home, whatever the name or a link in it says."""
        parts = name.split("/")
        fine = _is_text(name) and len(parts) <= DEEPEST and "\0" not in name and len(name) < 1000
        if fine and not any(part in ("", ".", "..") or part.startswith(".") for part in parts):
            path = Path(os.path.realpath(self.home.joinpath(*parts)))
            if self.home in path.parents and self.file(path, FILE) is not None:
                return path
        near = closest(name[:100], list(self._entries)) if fine else ""
        raise NotThere(f"there is no run '{name[:100]}'{near}")

    def file(self, folder: Path, *parts: str) -> Path | None:
        """A plain file of a run; None where there is none, or a link leads out of the home."""
        path = folder.joinpath(*parts)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                return None
        except (OSError, ValueError):
            return None
        return path if self.home in Path(os.path.realpath(path)).parents else None

    # The list

    def rows(self) -> list[dict[str, Any]]:
        """A line for every run, newest first."""
        with self._first():
            found = {name: self._row(name, stamps) for name, stamps in self._scan()}
        with self._lock:
            for name in [name for name in list(self._entries) if name not in found]:
                del self._entries[name]
                self._series.pop(name, None)
        return sorted(found.values(), key=lambda row: (row["started"] or "", row["name"]))[::-1]

    def row(self, name: str) -> dict[str, Any]:
        folder = self.folder(name)
        return self._row(name, _stamps(str(folder)))

    def record(self, name: str) -> dict[str, Any]:
        self.row(name)
        return self._entries.get(name, Entry()).record

    def _row(self, name: str, stamps: tuple[Stamp | None, ...]) -> dict[str, Any]:
        entry = self._entries.setdefault(name, Entry())
        folder = self.home / name
        if entry.stamps != stamps:
            if entry.stamps is None or entry.stamps[0] != stamps[0]:
                entry.record, entry.error = self._read_record(folder)
            entry.row = self._describe(name, folder, entry)
            entry.stamps = stamps
        elif self._series.get(name) is not None:
            entry.row |= self._from_series(name, entry.row)
        entry.row |= _state(folder, entry)
        return dict(entry.row)

    def _read_record(self, folder: Path) -> tuple[dict[str, Any], str | None]:
        if self.file(folder, FILE) is None:
            return {}, None
        try:
            return RunFolder.open(folder).record, None
        except UserError as error:
            return {}, str(error).replace(f"{folder}{os.sep}", "")

    def _describe(self, name: str, folder: Path, entry: Entry) -> dict[str, Any]:
        record = entry.record
        result, config = _dict(record, "result"), _dict(record, "config")
        row, judged = self._tail(folder)
        saved = self._saved(folder)
        steps = _first(result.get("env_steps"), row.get("env_steps"), saved.get("env_steps"))
        means = [_dict(judged, "eval").get("mean"), *_best_of(saved)]
        bests = [value for value in map(_number, means) if value is not None]
        about = {
            "name": name,
            "env": _text(record.get("env_name", record.get("env"))),
            "algo": _text(record.get("algo")),
            "engine": _text(record.get("engine")),
            "seed": _number(record.get("seed")),
            "share": _share(record, config, steps, _number(row.get("episodes"))),
            "env_steps": steps,
            "train_seconds": _first(
                result.get("train_seconds"),
                _dict(row, "machine").get("seconds"),
                saved.get("train_seconds"),
            ),
            "best": _first(_dict(result, "best_eval").get("mean"), max(bests, default=None)),
            "last": _first(_dict(result, "eval").get("mean"), means[0]),
            "return": _number(row.get("return")),
            "warnings": 0,
            "started": _text(record.get("started")) or None,
        }
        return about | self._from_series(name, about)

    def _from_series(self, name: str, row: dict[str, Any]) -> dict[str, Any]:
        """What only the whole of metrics.jsonl tells, where it has been read."""
        series = self._series.get(name)
        if series is None:
            return {}
        bests = [value for value in (series.best(), row["best"]) if value is not None]
        return {"best": max(bests, default=None), "warnings": series.warnings}

    def _tail(self, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """The last line that was learned, and the last evaluation, as far as the end shows them."""
        path = self.file(folder, "metrics.jsonl")
        row: dict[str, Any] = {}
        judged: dict[str, Any] = {}
        if path is None:
            return row, judged
        try:
            with open(path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL))
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return row, judged
        for line in reversed(lines):
            try:
                found = codec.loads(line)
            except ValueError:
                continue
            if not isinstance(found, dict) or "event" in found:
                continue
            if "eval" in found:
                judged = judged or found
            else:
                row = row or found
            if row and judged:
                break
        return row, judged

    def _saved(self, folder: Path) -> dict[str, Any]:
        if self.file(folder, "checkpoints", "last.json") is None:
            return {}
        try:
            return checkpoint.described(folder / "checkpoints" / "last")
        except UserError:
            return {}

    # The series

    def series(self, name: str) -> Series:
        """The run's columns, with what was appended until now (of a large file, its beginning)."""
        with self._first():
            series = self._columns(name)
            if not series.read(AT_ONCE):
                self._go_on(series)
        self._forget_some()
        return series

    def _columns(self, name: str) -> Series:
        folder = self.folder(name)
        path = self.file(folder, "metrics.jsonl")
        with self._lock:
            series = self._series.get(name)
            if path is None or series is None or series.path != path:
                series = Series(path or Path(os.devnull))
            self._series[name] = series
            self._series.move_to_end(name)
        return series

    def _go_on(self, series: Series) -> None:
        """The rest of a large file, while others use what there is."""
        with self._lock:
            if series.busy:
                return
            series.busy = True
        threading.Thread(target=self._read_all, args=(series,), daemon=True).start()

    def _read_all(self, series: Series) -> None:
        try:
            while not self._closed and not series.read(2**20):
                time.sleep(0.001)  # whoever waits for the lock gets it
                while self._asked and not self._closed:
                    time.sleep(0.005)
        finally:
            series.busy = False

    @contextlib.contextmanager
    def _first(self) -> Iterator[None]:
        """While somebody waits for what is within, nothing is read ahead."""
        with self._lock:
            self._asked += 1
        try:
            yield
        finally:
            with self._lock:
                self._asked -= 1

    def _forget_some(self) -> None:
        with self._lock:
            held = sum(series.nbytes for series in self._series.values())
            while held > MOST_HELD and len(self._series) > 1:
                held -= self._series.popitem(last=False)[1].nbytes

    def read_ahead(self) -> None:
        """Reads the large files before somebody opens them; ends by itself."""
        for name, stamps in sorted(self._scan(), key=lambda found: -(found[1][1] or (0, 0, 0))[1]):
            size = (stamps[1] or (0, 0, 0))[1]
            held = sum(series.nbytes for series in list(self._series.values()))
            if self._closed or size < LARGE or held > MOST_HELD // 2:
                return
            with contextlib.suppress(UserError):
                self._read_all(self._columns(name))

    def close(self) -> None:
        self._closed = True

    # One run

    def about(self, name: str) -> dict[str, Any]:
        """The answer of /api/run/NAME."""
        folder = self.folder(name)
        series = self.series(name)
        row = self.row(name)
        record = self.record(name)
        with series.lock:
            events = [event.row for event in series.events]
        return {
            "name": name,
            "row": row,
            "record": record,
            "status": row["status"],
            "live": _dict(record, "live"),
            "knobs": self.knobs(folder),
            "keys": series.names(),
            "events": events[-LOG_LINES:],
            "warnings": [event for event in events if event["event"] == "warning"][-LOG_LINES:],
            "clips": self.clips(folder),
            "log": _log(series.happenings(), row),
        }

    def knobs(self, folder: Path) -> dict[str, Any]:
        path = self.file(folder, "knobs.json")
        try:
            return codec.read_object(path) if path else {}
        except UserError as error:
            return {"error": str(error)}

    def clips(self, folder: Path) -> list[dict[str, Any]]:
        """The recorded games, by the step they were recorded at."""
        try:
            files = sorted(os.listdir(folder / "clips"))
        except OSError:
            return []
        found = []
        for file in files[:1000]:
            path = self.file(folder, "clips", file) if CLIP.fullmatch(file) else None
            if path is not None:
                steps = re.match(r"\d+", file)
                found.append(
                    {
                        "file": file,
                        "env_steps": int(steps[0][:18]) if steps else None,
                        "return": _return_of(path),
                    }
                )
        return sorted(found, key=lambda clip: (clip["env_steps"] or 0, clip["file"]))

    def clip(self, name: str, file: str) -> Path:
        path = self.file(self.folder(name), "clips", file) if CLIP.fullmatch(file) else None
        if path is None:
            raise NotThere(f"{name} has no clip '{file[:100]}'")
        return path


def _stamps(folder: str) -> tuple[Stamp | None, ...]:
    """When run.json, metrics.jsonl and the last checkpoint were written; no links are followed."""
    return tuple(
        _stamp(f"{folder}/{file}") for file in (FILE, "metrics.jsonl", "checkpoints/last.json")
    )


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _state(folder: Path, entry: Entry) -> dict[str, Any]:
    """Whether it runs is the one thing that changes without a file changing."""
    if entry.error is not None:
        return {"status": "damaged", "error": entry.error}
    run = RunFolder(folder)
    run.record = entry.record
    try:
        status = _text(run.status) or "failed"
    except (OverflowError, TypeError, ValueError):
        status = "failed"
    found: dict[str, Any] = {"status": status, "error": _text(entry.record.get("error")) or None}
    return found | ({"share": 1.0} if status == "done" else {})


def _share(
    record: dict[str, Any], config: dict[str, Any], steps: Any, episodes: float | None
) -> float | None:
    """How much of the budget is used up, of the steps or of the episodes."""
    shares = [
        done / budget
        for done, budget in (
            (_number(steps), _number(config.get("steps"))),
            (episodes, _number(config.get("episodes"))),
        )
        if done is not None and budget
    ]
    return max(0.0, min(1.0, max(shares))) if shares else None


def _log(happenings: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    lines = [{"time": None, "env_steps": 0, "text": f"started {row['started'] or ''}".strip()}]
    for entry in happenings[-LOG_LINES:]:
        said = label(entry) if "event" in entry else _evaluated(entry)
        if said:
            time_of = _number(_dict(entry, "machine").get("time"))
            steps = _number(entry.get("env_steps"))
            lines.append({"time": time_of, "env_steps": steps, "text": said})
    if row["status"] != "running":
        said = f"{row['status']}{': ' + row['error'] if row['error'] else ''}"
        lines.append({"time": None, "env_steps": row["env_steps"], "text": said})
    return lines


def _evaluated(row: dict[str, Any]) -> str | None:
    judged = _dict(row, "eval")
    mean, episodes = _number(judged.get("mean")), _number(judged.get("episodes"))
    if mean is None or episodes is None:
        return None
    return f"greedy mean {mean:.6g} over {episodes:g} episodes"


def _return_of(path: Path) -> float | None:
    """Stands at the beginning of a clip, before its frames."""
    try:
        with gzip.open(path, "rb") as file:
            found = CLIP_RETURN.search(file.read(4096))
        return float(found[1]) if found else None
    except (OSError, EOFError, ValueError, gzip.zlib.error):  # type: ignore[attr-defined]
        return None


def _best_of(saved: dict[str, Any]) -> list[Any]:
    best = saved.get("best")
    return best[:1] if isinstance(best, list) else []


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a file name in another encoding
        return False
    return True


def _dict(record: dict[str, Any], key: str) -> dict[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else codec.SURROGATES.sub("\ufffd", str(value)[:300])


def _number(value: Any) -> Any:
    """A number that a browser can hold, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e300 else None


def _first(*values: Any) -> Any:
    return next((value for value in map(_number, values) if value is not None), None)
