"""Small scripts, run in the process that measures them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from qlearn.profiling import raw

CHILD = Path(raw.__file__).parent / "child" / "__main__.py"


@dataclass
class Run:
    code: int
    out: str
    err: str
    folder: Path

    @property
    def raw(self) -> raw.Raw:
        return raw.read(self.folder / "raw.json")


def write(folder: Path, text: str, name: str = "script.py") -> Path:
    script = folder / name
    script.write_text(textwrap.dedent(text), encoding="utf-8")
    return script


def command(folder: Path, script: Path | str, *arguments: str, **options) -> list[str]:
    measured = folder / "measured"
    measured.mkdir(exist_ok=True)
    line = [sys.executable, str(CHILD), str(measured), json.dumps(options), "--"]
    return [*line, str(script), *arguments]


def run(folder: Path, text: str, *arguments: str, cwd: Path | None = None, **options) -> Run:
    script = write(folder, text)
    line = command(folder, script, *arguments, **options)
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=120, env=environment, cwd=cwd, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr, folder / "measured")


def plainly(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
