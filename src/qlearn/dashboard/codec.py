"""JSON that others wrote, read without believing it; answers that any browser can read."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import orjson

from qlearn.errors import UserError

MOST_BYTES = 16 * 2**20  # of a file that is one JSON value
SURROGATES = re.compile("[\ud800-\udfff]")


def loads(data: bytes) -> Any:
    """JSON as Python's own writer makes it: NaN and Infinity with it, which orjson refuses."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # huge whole numbers, halves of characters, deep nests
        return json.dumps(_plain(value), default=str, allow_nan=False).encode()


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > 100:
        return "..."
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return SURROGATES.sub("\ufffd", value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value) if value.bit_length() < 1000 else "..."
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), depth + 1)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; UserError where it is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path.name} is damaged: it is larger than {MOST_BYTES >> 20} MiB")
        found = loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path.name}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path.name} is damaged: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path.name} is damaged: it holds no object")
    return found
