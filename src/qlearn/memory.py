"""How much memory can be had, asked before any of it is taken; and how much this process has."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

from qlearn.errors import UserError

MB = 1e6
MOST_BYTES = 2**80  # where it no longer matters how many: larger ones may be no floats
PROC = Path("/proc")
# Of control groups, by how /proc/self/cgroup names them: where they are, and what theirs are called.
GROUPS = {
    "": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}  # fmt: skip

_left: ContextVar[float | None] = ContextVar("left", default=None)


def available_megabytes() -> float:
    """Memory that can be had without swapping; without end where the system does not say."""
    return min(_of_the_machine(), *_of_groups(), math.inf)


def _of_the_machine() -> float:
    try:
        for line in (PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / MB
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MB
    except (AttributeError, ValueError, OSError):
        return math.inf


def _of_groups() -> Iterator[float]:
    """What each control group of this process leaves it: a container may have less than all."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        kind, _, own = line.partition(":")[2].partition(":")
        if kind in GROUPS:
            home, *names = GROUPS[kind]
            # In a container the path may be the host's: the root is then the container's own.
            for group in (PurePosixPath(own), *PurePosixPath(own).parents):
                yield _of_group(Path(home + str(group)), *names)


def _of_group(group: Path, most: str, used: str, cache: str) -> float:
    try:
        limit, now = ((group / name).read_text().strip() for name in (most, used))
        if limit == "max":
            return math.inf
        rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, int(limit) - int(now) + int(rows.get(cache, 0))) / MB
    except (OSError, ValueError):
        return math.inf


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What is asked for within must fit together: a page counts as taken when it is written to."""
    if _left.get() is not None:
        yield
        return
    token = _left.set(available_megabytes())
    try:
        yield
    finally:
        _left.reset(token)


def free_megabytes() -> float:
    """What is available, without what was promised to those who take it `together`."""
    left = _left.get()
    return available_megabytes() if left is None else left


def refuse_beyond(what: str, size: int, instead: str, digits: int = 0) -> None:
    """`what` ("a list takes", "lists take") needs so many bytes; `instead` is what would fit."""
    free, size = free_megabytes(), min(size, MOST_BYTES)
    if size / MB > free:
        raise UserError(
            f"{what} {size / MB:,.{digits}f} MB, and {free:,.0f} MB of memory are free; {instead}"
        )
    if _left.get() is not None:
        _left.set(free - size / MB)


def peak_memory_mb() -> float:
    """The largest resident memory this process has had."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def memory_mb() -> float:
    """What is resident now, where the system says so; else the most there was."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError):
        return peak_memory_mb()
