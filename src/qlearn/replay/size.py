"""How much memory a replay takes, known before any of it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.memory import MB, refuse_beyond
from qlearn.replay import ring as rings
from qlearn.replay import tree as trees


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
    return f"{_named(capacity, observation, dtype, prioritized)} takes {size:,.1f} MB"


def _named(capacity: int, observation: int | tuple[int, ...], dtype: Any, prioritized: bool) -> str:
    kind = "prioritized replay" if prioritized else "replay"
    frame = " x ".join(map(str, shape_of(observation))) or "one"
    return f"a {kind} of {capacity:,} places of {frame} {np.dtype(dtype)}"


def refuse_beyond_memory(
    capacity: int, observation: int | tuple[int, ...], dtype: Any, prioritized: bool
) -> None:
    rings.refuse_beyond_choosing(capacity)
    what = _named(capacity, observation, dtype, prioritized)
    size = round(MB * megabytes(capacity, observation, dtype, prioritized))
    refuse_beyond(f"{what} takes", size, "give it fewer places", digits=1)


def shape_of(observation: int | tuple[int, ...]) -> tuple[int, ...]:
    """An observation's shape, of a number or of several."""
    sizes = observation if isinstance(observation, tuple | list) else (observation,)
    if not all(isinstance(size, int | np.integer) and size >= 1 for size in sizes):
        raise UserError(f"observation is a shape such as 4 or (84, 84), not {observation!r}")
    return tuple(map(int, sizes))
