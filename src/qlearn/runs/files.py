"""Files that are whole or not there: written beside, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qlearn.errors import UserError


def write_bytes(path: Path, data: bytes) -> None:
    write_parts(path, [data])


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """One after the other, so that a large file needs no memory of its own."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # a folder that takes nothing lets nothing go
            draft.unlink(missing_ok=True)
        raise explained(error, path) from None


def write_json(path: Path, content: Any) -> None:
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=True) + "\n").encode())


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def explained(error: OSError, path: Path) -> UserError:
    if error.errno == errno.ENOSPC:
        return UserError(f"the disk is full: {path} could not be written; what was there is intact")
    return UserError(f"cannot write {path}: {error.strerror}")
