"""Placeholders given their meaning in plain Python: the same text, run by the interpreter.

What a function mentions means here what it means compiled: an `@njit` helper is run by the
interpreter as well, and the numbers in global arrays are Python's.
"""

from __future__ import annotations

import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from qlearn.kernels.text import plain_or_none


class PlainArray(np.ndarray):
    """An array whose elements come out as Python numbers.

    Compiled, int16 + 1 is int64 and float32 * 0.1 is float64; NumPy's own scalars stay narrow.
    """

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        return value.item() if isinstance(value, np.generic) else value


def plain_value(value: Any) -> Any:
    """An array with Python's numbers in it, a Python number for one of NumPy's."""
    if isinstance(value, np.ndarray):
        return value.view(PlainArray)
    return value.item() if isinstance(value, np.generic) else value


def bound(function: Any, bind: Mapping[Any, Callable]) -> Any:
    """`function` with every placeholder it reaches replaced, as `ModuleText` does in text."""
    return _bound(function, bind, {})


def _bound(function: Callable, bind: Mapping[Any, Callable], done: dict) -> Callable:
    function = bind.get(function) or function
    plain = plain_or_none(function)
    if plain is None:
        return function
    if plain in done:
        return done[plain]
    names = dict(plain.__globals__)
    cells = tuple(types.CellType() for _ in plain.__closure__ or ())
    copy = types.FunctionType(plain.__code__, names, plain.__name__, plain.__defaults__, cells)
    copy.__kwdefaults__ = plain.__kwdefaults__
    done[plain] = copy  # what a recursive mention finds

    def meaning(value: Any) -> Any:
        reached = plain_or_none(value)
        if reached is None or _is_library(reached):
            return plain_value(value)
        return _bound(value, bind, done)

    changed = False
    for name in _names(plain.__code__):
        if name in names and (new := meaning(names[name])) is not names[name]:
            names[name], changed = new, True
    for cell, old in zip(cells, plain.__closure__ or (), strict=True):
        try:
            cell.cell_contents = meaning(old.cell_contents)
        except ValueError:  # not assigned yet
            continue
        changed = changed or cell.cell_contents is not old.cell_contents
    if not changed:
        done[plain] = plain
    return done[plain]


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


_LIBRARIES = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib"))


def _is_library(function: types.FunctionType) -> bool:
    """Whether it is neither ours nor the user's, and runs as it is."""
    ours = (function.__module__ or "").startswith("qlearn.")
    return not ours and function.__code__.co_filename.startswith(_LIBRARIES)
