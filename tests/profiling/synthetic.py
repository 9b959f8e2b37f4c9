"""A raw measurement made by hand: samples at named expressions of a real script."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from qlearn.profiling.raw import Raw, read
from qlearn.profiling.source import FUNCTIONS, Source

PACKAGES = "/usr/lib/python3/site-packages/"


def lib(path: str, function: str) -> tuple[str, str]:
    """A library's frame: `lib("torch/optim/adam.py", "step")`."""
    return PACKAGES + path, function


def make_raw(folder: Path, script: Path, rows, *, calls=(), seen=(), wall=None, **more) -> Raw:
    """`rows` are (seconds, frame, frame, ...), root first.

    A frame is the text of an expression in the script, the text with its FILE (a Path), or what
    `lib` gives.
    """
    frames: list[dict] = []
    samples = []
    for seconds, *stack in rows:
        indices = []
        for entry in stack:
            frame = _frame(script, entry)
            if frame not in frames:
                frames.append(frame)
            indices.append(frames.index(frame))
        samples.append({"thread": "main", "stack": indices, "seconds": seconds, "count": 1})
    whole = sum(seconds for seconds, *_ in rows)
    raw = {
        "version": 1, "script": str(script), "argv": [], "python": "3.11.7",
        "end": {"kind": "end", "code": 0, "traceback": ""},
        "wall_seconds": whole if wall is None else wall, "cpu_seconds": whole,
        "startup_seconds": 0.0, "peak_memory_mb": 50.0, "memory": [[0.0, 40.0], [1.0, 50.0]],
        "frames": frames, "samples": samples, "timeline": [],
        "calls": list(calls), "calls_observed": 1.0, "seen": list(seen), "modules": {},
        "torch_threads": None, "cuda": False,
        "cost": {"sampler_seconds": 0.0, "windows_seconds": 0.0}, "options": {},
        "lines": None, "allocations": None, "artifacts": {},
    }  # fmt: skip
    path = folder / "raw.json"
    path.write_text(json.dumps(raw | more))
    return read(path)


def call(file, first_line, function, calls, callers=()) -> dict:
    return {
        "file": str(file), "first_line": first_line, "function": function, "calls": calls,
        "self_seconds": 0.0, "cumulative_seconds": 0.0, "callers": [list(c) for c in callers],
    }  # fmt: skip


def held(file, function, name, kind, size=0, history=(), **detail) -> dict:
    return {
        "file": str(file), "function": function, "first_line": 1, "name": name, "kind": kind,
        "size": size, "detail": detail, "history": list(history),
    }  # fmt: skip


def find(source: Source, text: str) -> ast.AST:
    """The first node in the file whose text that is."""
    found = [n for n in ast.walk(source.tree) if hasattr(n, "lineno") and source.text(n) == text]
    assert found, f"{text!r} is nowhere in {source.file}"
    return found[0].value if isinstance(found[0], ast.Expr) else found[0]


def _frame(script: Path, entry) -> dict:
    if isinstance(entry, tuple) and isinstance(entry[0], Path):
        script, entry = entry
    if isinstance(entry, tuple):
        file, function = entry
        return {
            "file": file, "function": function, "first_line": 1, "line": 1, "end_line": 1,
            "col": 0, "end_col": 1,
        }  # fmt: skip
    source = Source(str(script))
    node = find(source, entry)
    around = source.function_of(node)
    return {
        "file": str(script),
        "function": source.qualname(around),
        "first_line": around.lineno if isinstance(around, FUNCTIONS) else 1,
        "line": node.lineno,  # type: ignore[attr-defined]
        "end_line": node.end_lineno,  # type: ignore[attr-defined]
        "col": node.col_offset,  # type: ignore[attr-defined]
        "end_col": node.end_col_offset,  # type: ignore[attr-defined]
    }
