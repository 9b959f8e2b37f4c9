"""Placeholders given their meaning in plain Python: the same text, run by the interpreter."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

from qlearn.kernels.text import plain_or_none


def bound(function: Callable, bind: Mapping[Any, Callable]) -> Callable:
    """`function` with every placeholder it reaches replaced, as `ModuleText` does in text."""
    return _bound(function, bind, {})


def _bound(function: Callable, bind: Mapping[Any, Callable], done: dict) -> Callable:
    function = bind.get(function) or function
    if function in done:
        return done[function]
    done[function] = function  # what a recursive mention finds, until we know better
    if not isinstance(function, types.FunctionType):
        return function
    replaced = {}
    for name in function.__code__.co_names:
        value: Any = function.__globals__.get(name)
        if plain_or_none(value) is None or not _ours(value):
            continue
        new = _bound(value, bind, done)
        if new is not value:
            replaced[name] = new
    if replaced:
        done[function] = types.FunctionType(
            function.__code__,
            {**function.__globals__, **replaced},
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
    return done[function]


def _ours(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").startswith("qlearn.")
