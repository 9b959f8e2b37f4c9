"""The folder of one run, and finding it again by name."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from qlearn.auto.machine import processor_name
from qlearn.errors import UserError, closest
from qlearn.runs.files import explained, read_json, write_json

FORMAT = 1
VERSIONS = ("qlearn", "numpy", "numba", "llvmlite", "gymnasium", "torch")


def runs_folder() -> Path:
    return Path(os.environ.get("QLEARN_RUNS") or "runs").absolute()


class RunFolder:
    """`run.json`, `metrics.jsonl`, `checkpoints/`: what a run leaves behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: dict[str, Any] = {}
        self.fault = ""  # why the newest line of metrics could not be written
        self._metrics: Any = None

    @classmethod
    def create(cls, path: Path | None, name: str, record: dict[str, Any]) -> RunFolder:
        path = path.absolute() if path else _unused(runs_folder(), name)
        if (path / "run.json").exists():
            raise UserError(f"{path} already holds a run; choose another --out, or --resume it")
        folder = cls(path)
        try:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explained(error, path) from None
        folder.record = {
            "format": FORMAT,
            "status": "running",
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "started_ns": time.time_ns(),
            "pid": os.getpid(),
            "versions": _versions(),
            "processor": processor(),
            **record,
        }
        folder.save()
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        folder = cls(path)
        folder.record = read_json(path / "run.json")
        if not isinstance(folder.record, dict) or not isinstance(folder.record.get("format"), int):
            raise UserError(f"{path / 'run.json'} is damaged: it describes no run")
        if folder.record["format"] > FORMAT:
            raise UserError(
                f"{path} was written by a newer qlearn (format {folder.record['format']}, this one"
                f" reads up to {FORMAT}); pip install --upgrade qlearn"
            )
        return folder

    def whole(self) -> dict[str, Any]:
        """The record, with everything in it that makes the learner again."""
        for key in ("env", "env_options", "algo", "engine", "config", "run_config", "seed"):
            if key not in self.record:
                raise UserError(f"{self.path / 'run.json'} is damaged: it has no '{key}'")
        return self.record

    def save(self) -> None:
        write_json(self.path / "run.json", self.record)

    def update(self, **changes: Any) -> None:
        self.record.update(changes)
        self.save()

    @property
    def status(self) -> str:
        """running, done, interrupted or failed; a run whose process is gone was interrupted."""
        status = self.record.get("status", "failed")
        if status == "running" and not _alive(self.record.get("pid")):
            return "interrupted"
        return status

    @property
    def train_seconds(self) -> float | None:
        """How long it was trained, as far as its result or its last checkpoint knows."""
        with contextlib.suppress(UserError, TypeError, KeyError, ValueError):
            result = self.record.get("result")
            if result and self.status == "done":
                return float(result["train_seconds"])
            return float(read_json(self.path / "checkpoints" / "last.json")["train_seconds"])
        return None

    def log(self, row: dict[str, Any]) -> None:
        """Appends one object to metrics.jsonl; a failing disk never stops the training."""
        path = self.path / "metrics.jsonl"
        try:
            if self._metrics is None:
                self._metrics = path.open("a", encoding="utf-8")
                if self.fault:  # the line that failed may have left its beginning
                    self._metrics.write("\n")
            self._metrics.write(json.dumps(row) + "\n")
            self._metrics.flush()
            self.fault = ""
        except OSError as error:
            self._metrics = None
            self.fault = str(explained(error, path))

    def close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None


def find_run(name: str | Path) -> RunFolder:
    """RUN: a folder, a name under the runs folder, or `last`."""
    home = runs_folder()
    if str(name) == "last":
        found = list_runs(home)
        if not found:
            raise UserError(f"there is no run in {home} yet; qlearn train ENV makes one")
        return RunFolder.open(found[-1].path)
    for path in (Path(name), home / name):
        if (path / "run.json").is_file():
            return RunFolder.open(path.absolute())
    known = [run.path.name for run in list_runs(home)]
    raise UserError(f"there is no run '{name}'{closest(str(name), known)}")


def list_runs(home: Path) -> list[RunFolder]:
    """The runs of a folder, oldest first; a damaged one does not hide the others."""
    if not home.is_dir():
        return []
    found = []
    for entry in home.iterdir():
        if (entry / "run.json").is_file():
            try:
                found.append(RunFolder.open(entry))
            except UserError:
                found.append(_damaged(entry))
    return sorted(found, key=lambda run: (run.record.get("started_ns") or 0, run.path.name))


def _damaged(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.record = {"status": "failed", "env": "?", "algo": "?"}
    return folder


def _unused(home: Path, name: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    path, number = home / f"{name}-{stamp}", 2
    while path.exists():
        path, number = home / f"{name}-{stamp}-{number}", number + 1
    return path


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    if sys.platform == "win32":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in VERSIONS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> dict[str, Any]:
    return {"name": processor_name(), "cores": os.cpu_count(), "system": platform.system()}
