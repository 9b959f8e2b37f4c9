"""The process in which a script runs under the sampler, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from qlearn.profiling.raw import Raw, read

CHILD = Path(__file__).parent / "child" / "__main__.py"
RAW = "raw.json"
PATIENCE = 3  # how often Ctrl-C is left to the script before its process is killed


class NothingMeasured(Exception):
    """The script ended by itself before there was anything to see; its exit code is ours too."""

    def __init__(self, target: str, code: int) -> None:
        super().__init__(f"{target} ended with exit code {code} before anything was measured")
        self.code = code


def run(
    script: Path,
    argv: Sequence[str],
    options: dict[str, Any],
    folder: Path,
    output: TextIO | None = None,
) -> int:
    """Runs the script under the sampler; its exit code."""
    command = [sys.executable, str(CHILD), str(folder), json.dumps(options), "--"]
    process = subprocess.Popen([*command, str(script), *argv], stdout=output)
    for _ in range(PATIENCE):
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the script's process has been told, too, and ends in its own way
    process.kill()
    return process.wait()


def left_behind(folder: Path, target: str, code: int) -> Raw:
    path = folder / RAW
    if not path.is_file():
        raise NothingMeasured(target, code)
    return read(path)


def exit_code(code: int) -> int:
    """As shells say it: 128 + n where signal n ended the process."""
    return 128 - code if code < 0 else code
