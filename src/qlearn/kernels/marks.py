"""Marks that plain functions may carry for the compiler; they change nothing in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)


def cold(function: Function) -> Function:
    """Rarely called: kept out of the hot loop's body instead of being inlined into it."""
    function.__cold__ = True  # type: ignore[attr-defined]
    return function
