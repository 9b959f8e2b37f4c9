"""How much memory a replay takes, known before any of it is."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.replay import ring as rings
from qlearn.replay import tree as trees

MB = 1e6


def megabytes(
    capacity: int,
    observation: int | tuple[int, ...],
    dtype: Any = np.float32,
    prioritized: bool = False,
) -> float:
    """What a replay of so many places takes."""
    width = math.prod(shape_of(observation)) * np.dtype(dtype).itemsize
    priorities = trees.bytes_of(capacity) if prioritized else 0
    return (rings.bytes_of(capacity, width, 1) + priorities) / MB


def described(
    capacity: int,
    observation: int | tuple[int, ...],
    dtype: Any = np.float32,
    prioritized: bool = False,
) -> str:
    """One line for a person, before it is made."""
    size = megabytes(capacity, observation, dtype, prioritized)
    kind = "prioritized replay" if prioritized else "replay"
    frame = " x ".join(map(str, shape_of(observation))) or "one"
    return f"a {kind} of {capacity:,} places of {frame} {np.dtype(dtype)} takes {size:,.1f} MB"


def refuse_beyond_memory(
    capacity: int, observation: int | tuple[int, ...], dtype: Any, prioritized: bool
) -> None:
    rings.refuse_beyond_choosing(capacity)
    free = available_megabytes()
    if megabytes(capacity, observation, dtype, prioritized) > free:
        raise UserError(
            f"{described(capacity, observation, dtype, prioritized)}, and {free:,.0f} MB of memory"
            " are free; give it fewer places"
        )


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


def shape_of(observation: int | tuple[int, ...]) -> tuple[int, ...]:
    """An observation's shape, of a number or of several."""
    sizes = observation if isinstance(observation, tuple | list) else (observation,)
    if not all(isinstance(size, int | np.integer) and size >= 1 for size in sizes):
        raise UserError(f"observation is a shape such as 4 or (84, 84), not {observation!r}")
    return tuple(map(int, sizes))
