"""What can be compared: an environment on an engine, a run's configuration, a user's own script."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlearn.errors import UserError


class ScriptFailed(Exception):
    """A user's script ended by itself with an error; its exit code is ours too."""

    def __init__(self, name: str, code: int, output: str) -> None:
        super().__init__(f"{name} ended with exit code {code}")
        self.code = code
        self.output = output


@dataclass
class Measurement:
    """One training, or one run of a script."""

    seconds: float
    peak_memory_mb: float
    env_steps: int | None = None
    updates: int | None = None
    compile_seconds: float | None = None
    metric: float | None = None
    policy_optimal: bool | None = None
    max_error_to_optimum: float | None = None


@dataclass
class EngineContender:
    """A training, in a worker process that stays; see worker.py."""

    name: str
    job: dict[str, Any]
    engine: str = "auto"
    turn: int = 0
    _process: Any = field(default=None, repr=False)

    def measure(self, seed: int) -> Measurement:
        found = self._ask({"seed": seed})
        self.engine = found.pop("engine")
        found.pop("episodes")
        return Measurement(**found)

    def start(self) -> None:
        """Imports and looks at everything, so that a mistake is told before anything is timed."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qlearn.compare.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(self.job)

    def close(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the process that measures {self.name} ended unexpectedly")
        found = json.loads(line)
        if "error" in found:
            raise UserError(found["error"])
        return found


# Run before a user's script: windows and plots that would wait for a person do not.
HEADLESS = {"MPLBACKEND": "Agg", "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


@dataclass
class ScriptContender:
    """A user's own script with its arguments, run as it is, once a turn."""

    name: str
    command: list[str]
    metric: re.Pattern[str] | None
    headless: bool
    engine: str = "script"

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def measure(self, seed: int) -> Measurement:
        environment = os.environ | (HEADLESS if self.headless else {})
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *self.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            text=True,
            errors="replace",
        )
        chunks: list[str] = []
        reader = threading.Thread(target=lambda: chunks.append(process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        code, peak = _wait(process)
        seconds = time.perf_counter() - begun
        reader.join()
        output = "".join(chunks)
        if code != 0:
            raise ScriptFailed(self.name, code, output)
        return Measurement(seconds, peak, metric=self._metric_in(output))

    def _metric_in(self, output: str) -> float | None:
        """The last number that --metric finds in what the script printed."""
        if self.metric is None:
            return None
        found = self.metric.findall(output)
        if not found:
            raise UserError(f"--metric {self.metric.pattern!r} matches nothing {self.name} printed")
        last = found[-1] if isinstance(found[-1], str) else found[-1][0]
        try:
            return float(last)
        except ValueError:
            raise UserError(
                f"--metric {self.metric.pattern!r} finds {last!r}, which is no number;"
                " put parentheses around the number"
            ) from None


def _wait(process: subprocess.Popen) -> tuple[int, float]:
    """A process's exit code and its peak memory in MB, as the system accounts for it."""
    if not hasattr(os, "wait4"):  # Windows
        return process.wait(), 0.0
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def script(target: str, metric: str | None, headless: bool) -> ScriptContender:
    """`"FILE.py arguments"` as a contender."""
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise UserError(f"cannot split {target!r} into words: {error}") from None
    path = Path(words[0])
    if not path.is_file():
        raise UserError(f"cannot read {path}: no such file")
    pattern = None
    if metric is not None:
        try:
            pattern = re.compile(metric)
        except re.error as error:
            raise UserError(f"--metric {metric!r} is no regular expression: {error}") from None
    return ScriptContender(target, words, pattern, headless)
