"""What an environment's own functions raise, with the line that raised it."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import qlearn
from qlearn.errors import UserError
from qlearn.kernels.build import is_generated, located

NOT_THEIRS = tuple(
    f"{folder}{os.sep}"
    for folder in (
        Path(qlearn.__file__).parent,
        *(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib")),
    )
)


def raised_inside(environment: Any, error: Exception) -> Exception:
    """An exception out of a loop, interpreted or compiled, as the user's where the text is theirs."""
    if isinstance(error, UserError) or (environment.kind != "file" and not environment.reward):
        return error
    reason = (str(error).strip().splitlines() or ["no reason given"])[0]
    said = f"{environment.name} raised {type(error).__name__}: {reason}"
    frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    for file, line in reversed([located(*frame) for frame in frames]):
        if not file.startswith(("<", *NOT_THEIRS)):
            return UserError(f"{file}:{line}: {said}")
    if any(is_generated(file) for file, _ in frames):
        return UserError(f"{said}; qlearn check {environment.target} finds where")
    return error
