"""How much memory can be had, asked before any of it is taken."""

from __future__ import annotations

import math
import os
from pathlib import Path

from qlearn.errors import UserError

MB = 1e6


def available_megabytes() -> float:
    """Memory that can be had without swapping; without end where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / MB
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MB
    except (AttributeError, ValueError, OSError):
        return math.inf


MOST_BYTES = 2**80  # where it no longer matters how many: larger ones may be no floats


def refuse_beyond(what: str, size: int, instead: str) -> None:
    """So many bytes at least, which `what` takes; `instead` is what would fit."""
    free, size = available_megabytes(), min(size, MOST_BYTES)
    if size / MB > free:
        raise UserError(
            f"{what} take {size / MB:,.0f} MB, and {free:,.0f} MB of memory are free; {instead}"
        )
