"""What is wrong, in words that go on after a function's name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from qlearn.envs.checks import watching
from qlearn.envs.plain import PlainState
from qlearn.errors import closest


def wrong_result(result: Any) -> str:
    """What is wrong with what `step` gave; nothing where all is well."""
    if not isinstance(result, tuple) or len(result) != 2:
        if result is None:
            given = "nothing"
        elif isinstance(result, tuple):
            given = f"{len(result)} values"
        else:
            given = f"a {type(result).__name__}"
        return f"must return (reward, terminated), not {given}"
    reward, terminated = result
    if isinstance(reward, bool | np.bool_) and isinstance(terminated, float):
        return "returns (terminated, reward); the reward comes first"
    if wrong := wrong_number(reward):
        return f"gives a reward that is {wrong}"
    if not isinstance(terminated, bool | np.bool_ | int | np.integer):
        return f"must say terminated with True or False, not {worded(terminated)}"
    return ""


def wrong_number(value: Any) -> str:
    if not isinstance(value, bool | int | float | np.number | np.bool_):
        return f"no number: {worded(value)}"
    return "" if np.isfinite(value) else worded(value)


def worded(value: Any) -> str:
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return "NaN" if value != value else "infinite"
    if isinstance(value, np.ndarray):
        return f"an array of {value.size}"
    return repr(value)


def raised_in_words(error: BaseException, part: str) -> str:
    words = str(error)
    if isinstance(error, watching.Stuck):
        return f"does not come back (stopped after {watching.LONGEST_CALL:g} s)"
    if isinstance(error, IndexError):
        if found := re.search(
            r"index (-?\d+) is out of bounds for axis \d+ with size (\d+)", words
        ):
            index, size = int(found[1]), int(found[2])
            return (
                f"reaches outside an array: {part or 'it'} with index {index}, where 0 .. {size - 1}"
                " are"
            )
        return f"reaches outside its bounds: {part or words} ({words})"
    if isinstance(error, AttributeError):
        if isinstance(error.obj, PlainState) and error.name:
            hint = closest(error.name, error.obj.as_dict())
            return f"uses state.{error.name}, which `state` does not declare{hint}"
        if words.startswith("state."):
            return f"is wrong: {words}"
    if isinstance(error, ValueError) and "read-only" in words:
        return "writes to world, which is shared and read-only; declare it in `state`"
    if isinstance(error, OverflowError) and "out of bounds for" in words:
        return f"stores a number too large for its field: {words}"
    return f"raised {type(error).__name__}: {words or 'no message'}"
