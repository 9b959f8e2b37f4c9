"""A command run once in a fresh process: what it said, and what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).parent / "launcher.py"


@dataclass(frozen=True)
class Execution:
    code: int
    output: str
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float


def execute(
    command: Sequence[str],
    said: str = "",
    environment: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> Execution:
    """`said` is its standard input; its standard error is ours, or part of its output.

    Files, not pipes: nobody has to read while the clock runs, and a process that the command
    leaves behind keeps nobody waiting.
    """
    with tempfile.TemporaryDirectory(prefix="qlearn-compare-") as folder:
        result, spoken, heard = (Path(folder) / name for name in ("result", "input", "output"))
        spoken.write_text(said, encoding="utf-8")
        with open(spoken, "rb") as source, open(heard, "wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(result), *command],
                stdin=source,
                stdout=sink,
                stderr=subprocess.STDOUT if with_errors else None,
                env={**os.environ, **(environment or {})},
            )
            try:
                process.wait()
            finally:
                process.terminate()  # nothing, where it has ended
                process.wait()
        if not result.is_file():
            raise RuntimeError(f"what runs {command[0]} ended unexpectedly")
        output = heard.read_text(encoding="utf-8", errors="replace")
        return Execution(output=output, **json.loads(result.read_text()))
