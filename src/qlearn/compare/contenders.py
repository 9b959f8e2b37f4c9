"""What can be compared: an environment on an engine, a run's configuration, a user's own script."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from qlearn.compare.execution import Execution, execute
from qlearn.errors import UserError


class ScriptFailed(Exception):
    """A user's script ended by itself with an error; its exit code is ours too."""

    def __init__(self, name: str, code: int, output: str) -> None:
        code = 128 - code if code < 0 else code  # as shells say it where a signal ended it
        super().__init__(f"{name} ended with exit code {code}")
        self.code = code
        self.output = output


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Measurement:
    """One training, or one run of a script; `total` is that of the whole process."""

    total: Cost
    peak_memory_mb: float | None
    training: Cost | None = None
    engine: str = "script"
    env_steps: int | None = None
    updates: int | None = None
    compile_seconds: float | None = None
    metric: float | None = None
    policy_optimal: bool | None = None
    max_error_to_optimum: float | None = None


class Contender(Protocol):
    """What takes its turn."""

    @property
    def name(self) -> str: ...

    def prepare(self) -> None: ...

    def measure(self, seed: int) -> Measurement: ...


@dataclass(frozen=True)
class EngineContender:
    """A training, anew in a process of its own; see worker.py."""

    name: str
    job: Mapping[str, Any]
    warm: bool = True

    def prepare(self) -> None:
        """Looks at everything once, so that a mistake is told before anything is timed."""
        self._work(None)

    def measure(self, seed: int) -> Measurement:
        took, found = self._work(seed)
        aside = Cost(**found.pop("aside"))
        total = Cost(took.seconds - aside.seconds, took.cpu_seconds - aside.cpu_seconds)
        return Measurement(total, training=Cost(**found.pop("training")), **found)

    def _work(self, seed: int | None) -> tuple[Execution, dict[str, Any]]:
        question = json.dumps({**self.job, "seed": seed, "warm": self.warm})
        took = execute([sys.executable, "-m", "qlearn.compare.worker"], question)
        try:
            found = json.loads(took.output)
        except ValueError:
            raise RuntimeError(
                f"the process that measures {self.name} ended unexpectedly"
            ) from None
        if "error" in found:
            raise UserError(found["error"])
        return took, found


# Run before a user's script: windows and plots that would wait for a person do not.
HEADLESS = {"MPLBACKEND": "Agg", "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


@dataclass(frozen=True)
class ScriptContender:
    """A user's own script with its arguments, run as it is, once a turn."""

    name: str
    command: list[str]
    metric: re.Pattern[str] | None
    headless: bool

    def prepare(self) -> None:
        pass

    def measure(self, seed: int) -> Measurement:
        environment = HEADLESS if self.headless else {}
        took = execute([sys.executable, *self.command], "", environment, with_errors=True)
        if took.code != 0:
            raise ScriptFailed(self.name, took.code, took.output)
        total = Cost(took.seconds, took.cpu_seconds)
        return Measurement(total, took.peak_memory_mb, metric=self._metric_in(took.output))

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
