"""The folder of one run, and finding it again by name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from qlearn.auto.machine import processor_name
from qlearn.errors import UserError, closest
from qlearn.runs import process
from qlearn.runs.files import (
    Damaged,
    alone,
    clear_drafts,
    explained,
    read_json,
    read_sealed,
    write_json,
    write_sealed,
)

FORMAT = 2
FILE, TWIN, LOCK = "run.json", "run.twin.json", "lock"
WRITTEN = (FILE, TWIN, LOCK, "best", "previous")  # by who trains
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
        self._locked = False

    @classmethod
    def create(cls, path: Path | None, name: str, record: dict[str, Any]) -> RunFolder:
        path = path.absolute() if path else _unused(runs_folder(), name)
        folder = cls(path)
        if (path / FILE).exists():
            raise UserError(f"{path} already holds a run; choose another --out, or --resume it")
        made = _make_folders(path / "checkpoints")
        try:
            folder.lock()
            if (path / FILE).exists():  # another process was quicker
                raise UserError(f"{path} already holds a run; choose another --out")
            folder.record = {
                "format": FORMAT,
                "status": "running",
                "started": datetime.now().astimezone().isoformat(timespec="seconds"),
                "started_ns": _now_after(path.parent),
                **process.itself(),
                "versions": versions(),
                "processor": processor(),
                "files": files_of(record),
                **record,
            }
            folder.save()
        except BaseException:
            folder.close()
            _remove(made)
            raise
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        folder = cls(path)
        try:
            folder.record = read_sealed(path / FILE, FORMAT, "run")
        except Damaged as error:
            raise Damaged(f"{error}{folder._offer()}") from None
        _say_the_view(folder.record)
        return folder

    def _offer(self) -> str:
        try:
            read_sealed(self.path / TWIN, FORMAT, "run")
        except UserError:
            return ""
        return f"; {TWIN} beside it is whole: copied over {FILE}, it mends the run"

    def whole(self) -> dict[str, Any]:
        """The record, with everything in it that makes the learner again."""
        for key in ("env", "env_options", "algo", "engine", "config", "run_config", "seed"):
            if key not in self.record:
                raise UserError(f"{self.path / 'run.json'} is damaged: it has no '{key}'")
        for key in ("env_options", "config", "run_config"):
            if not isinstance(self.record[key], dict):
                raise UserError(f"{self.path / 'run.json'} is damaged: '{key}' are no settings")
        self._refuse_programs()
        return self.record

    def _refuse_programs(self) -> None:
        """A folder that was given away may name a file of this machine, none that came with it."""
        home = os.path.realpath(self.path)
        for path in programs_of(self.record):
            place = os.path.realpath(path)
            if os.path.commonpath([home, place]) == home:
                raise UserError(f"{FILE} names {place}: a run brings no program with it")

    @property
    def notes(self) -> list[str]:
        """What a person should know who uses the run: its map or program was edited since."""
        recorded, now = self.record.get("files"), files_of(self.record)
        if not isinstance(recorded, dict):  # older runs noted none
            return []
        return [
            f"{place} is not what it was when {self.path.name} began: it is played as it is now"
            for place in (*programs_of(self.record), str(self.record.get("env")))
            if place in recorded and recorded[place] != now.get(place)
        ]

    def lock(self) -> None:
        """From now on this process trains the run, until `close`; refused while another does."""
        with alone(self.path):
            holder = _holder(self.path)
            if process.lives(holder.get("pid"), holder.get("pid_started")):
                raise UserError(
                    f"{self.path.name} is still being trained by process {holder['pid']}"
                )
            for name in WRITTEN:
                clear_drafts(self.path / name)
            write_json(self.path / LOCK, process.itself())
            self._locked = True

    def save(self) -> None:
        self.record["format"] = FORMAT
        write_sealed(self.path / FILE, self.record)
        write_sealed(self.path / TWIN, self.record)

    def update(self, **changes: Any) -> None:
        self.record.update(changes)
        self.save()

    @property
    def status(self) -> str:
        """running, done, interrupted or failed; a run whose process is gone was interrupted."""
        status = self.record.get("status", "failed")
        holder = self.record.get("pid"), self.record.get("pid_started")
        if status == "running" and not process.lives(*holder):
            return "interrupted"
        return status

    @property
    def train_seconds(self) -> float | None:
        """How long it was trained, as far as its result or its last checkpoint knows."""
        from qlearn.runs import checkpoint  # NumPy comes with it

        with contextlib.suppress(UserError, TypeError, KeyError, ValueError):
            result = self.record.get("result")
            if result and self.status == "done":
                return float(result["train_seconds"])
            return float(checkpoint.described(self.path / "checkpoints" / "last")["train_seconds"])
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

    def settle(self) -> None:
        """Has the lines so far on the disk: the checkpoint that counts them comes after them."""
        if self._metrics is not None:
            try:
                os.fsync(self._metrics.fileno())
            except OSError as error:
                raise explained(error, self.path / "metrics.jsonl") from None

    def close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        if self._locked:
            self._locked = False
            with contextlib.suppress(OSError):
                (self.path / LOCK).unlink()


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


def _now_after(home: Path) -> int:
    """Now, and later than any run of the folder began: `last` is the newest, whatever clocks do."""
    now, put_back = time.time_ns(), False
    with contextlib.suppress(OSError), os.scandir(home) as entries:
        put_back = any(entry.stat().st_mtime_ns > now for entry in entries)
    began = [run.record.get("started_ns") or 0 for run in list_runs(home)] if put_back else []
    return max([now, *(each + 1 for each in began)])


def programs_of(record: dict[str, Any]) -> Iterator[str]:
    """The Python files that make its environment and its network again."""
    options, config = record.get("env_options", {}), record.get("config", {})
    for text in (record.get("env"), *options.values(), config.get("network")):
        path, _, name = str(text).rpartition(":")
        if name and path.endswith(".py"):
            yield path


def files_of(record: dict[str, Any]) -> dict[str, str]:
    """All files that decide what is learned, and their checksums."""
    init = record.get("config", {}).get("init") or ""
    found = {}
    for name in (*programs_of(record), record.get("env", ""), init, f"{init}.safetensors"):
        with contextlib.suppress(OSError, ValueError):
            found[str(name)] = hashlib.sha256(Path(name).read_bytes()).hexdigest()
    return found


def _holder(folder: Path) -> dict[str, Any]:
    """The process that the lock names; none where there is no lock, or no readable one."""
    try:
        found = read_json(folder / LOCK)
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _make_folders(path: Path) -> list[Path]:
    """All that lead there; those that were missing, the innermost first."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        _remove(missing)
        raise explained(error, path.parent) from None
    return missing


def _remove(folders: list[Path]) -> None:
    """Those that stayed empty."""
    with contextlib.suppress(OSError, ValueError):
        for folder in folders:
            folder.rmdir()


def versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in VERSIONS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> dict[str, Any]:
    return {"name": processor_name(), "cores": os.cpu_count(), "system": platform.system()}


def with_view(environment: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a run, and how it sees even where that is the default: defaults change."""
    if "observation" not in getattr(environment, "choices", ()):
        return options
    return {"observation": environment.options["observation"], **options}


def _say_the_view(record: dict[str, Any]) -> None:
    """Runs that do not say how they see are older than Snake's `around`."""
    options = record.get("env_options")
    if record.get("env") == "snake" and isinstance(options, dict):
        options.setdefault("observation", "board")
