"""What the measured process wrote, as it is read by all else. `seconds` are of wall time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlearn.errors import UserError
from qlearn.profiling.sharpen import Timeline, Window, by_line, sharpened

VERSION = 1
MAIN = "main"
STEPS = "steps.jsonl"


@dataclass(frozen=True)
class Frame:
    """An expression in a function that was at it; columns are bytes, 0 to 0 where unknown."""

    file: str
    function: str
    first_line: int
    line: int
    end_line: int
    col: int
    end_col: int


@dataclass(frozen=True)
class Sample:
    """A stack of frames' indices, root first, and the time spent in it."""

    thread: str
    stack: tuple[int, ...]
    seconds: float
    count: int


@dataclass(frozen=True)
class Call:
    """A function's calls (estimates unless `calls_observed` is 1); C functions are in file `~`."""

    file: str
    first_line: int
    function: str
    calls: int
    self_seconds: float
    cumulative_seconds: float
    callers: list[list[int]]


@dataclass(frozen=True)
class Seen:
    """What a name held when it was last looked at; its sizes (numbers: values) over time."""

    file: str
    function: str
    first_line: int
    name: str
    kind: str
    size: int
    detail: dict[str, Any] = field(default_factory=dict)
    history: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True)
class End:
    """`killed`: the process never said how it ended."""

    kind: str
    code: int
    traceback: str


@dataclass
class Raw:
    version: int
    script: str
    argv: list[str]
    python: str
    end: End
    wall_seconds: float
    cpu_seconds: float
    startup_seconds: float
    peak_memory_mb: float
    memory: list[list[float]]
    frames: list[Frame]
    samples: list[Sample]
    timeline: Timeline
    calls: list[Call]
    calls_observed: float
    seen: list[Seen]
    modules: dict[str, str]
    torch_threads: int | None
    cuda: bool
    cost: dict[str, float]
    options: dict[str, Any]
    lines: list[dict[str, Any]] | None = None
    allocations: list[dict[str, Any]] | None = None
    operators: list[dict[str, Any]] | None = None
    artifacts: dict[str, str] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


def read(path: str | Path) -> Raw:
    """A `raw.json`, its samples put right by the windows of single steps beside it."""
    path = Path(path)
    content = _content(path)
    try:
        raw = parsed(content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error!r}") from None
    windows = _windows(path.with_name(STEPS))
    rows = [(s.thread, s.stack, s.seconds, s.count) for s in raw.samples]
    rows, raw.timeline = sharpened(rows, raw.timeline, windows)
    raw.samples = [Sample(*row) for row in rows]
    if raw.options.get("line") and raw.lines is None:
        raw.lines = by_line(rows, windows, raw.frames)
    return raw


def parsed(content: dict[str, Any]) -> Raw:
    """The object of a `raw.json`, as it stands there."""
    rest = {name: content[name] for name in Raw.__dataclass_fields__ if name in content}
    return Raw(
        **rest
        | {
            "end": End(**content["end"]),
            "frames": [Frame(**row) for row in content["frames"]],
            "samples": [
                Sample(**row | {"stack": tuple(row["stack"])}) for row in content["samples"]
            ],
            "timeline": [
                (start, {int(stack): seconds for stack, seconds in sums.items()})
                for start, sums in content["timeline"]
            ],
            "calls": [Call(**row) for row in content["calls"]],
            "seen": [Seen(**row) for row in content["seen"]],
        }
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise UserError(f"{path} is no measurement of this version of qlearn")
    return content


def _windows(path: Path) -> list[Window]:
    """As many as are whole: the last line of a killed process may not be."""
    windows: list[Window] = []
    if not path.is_file():
        return windows
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        stacks = [tuple(stack) for stack in row["stacks"]]
        flat = row["steps"]
        windows.append([(stacks[n], ns) for n, ns in zip(flat[::2], flat[1::2], strict=True)])
    return windows
