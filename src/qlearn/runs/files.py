"""Files that are whole or not there: written beside, then renamed.

A sealed one is a JSON object that carries the checksum of all else in it, so that a digit that the
disk has changed is noticed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qlearn.errors import UserError

SEAL = "checksum"
SEALED_FROM = 2  # files of format 1 were not
FULL = (errno.ENOSPC, errno.EDQUOT)
MOST_BYTES = 256 * 2**20
MOST_SEALED_BYTES = 16 * 2**20


class Damaged(UserError):
    """A file is not as it was written."""


def write_bytes(path: Path, data: bytes) -> None:
    write_parts(path, [data])


def writable(path: Path) -> Path:
    """Refuses a place where a folder, a device or a pipe is: a rename would put a file there."""
    if path.exists() and not path.is_file():
        raise UserError(f"cannot write {path}: it is there, and no file")
    return path


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """One after the other, so that a large file needs no memory of its own."""
    draft = writable(path).with_name(f".{path.name}.{os.getpid()}")
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


def settle_names(folder: Path) -> None:
    """Has what was renamed in there on the disk, where folders can be synchronised."""
    with contextlib.suppress(OSError):  # not on Windows
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def clear_drafts(path: Path) -> None:
    """Those of processes that were killed while they wrote it."""
    for stray in path.parent.glob(f".{path.name}.*"):
        stray.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=True) + "\n").encode())


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"cannot read {path}: it is no file")
        if found.st_size > most_bytes:
            raise Damaged(f"{path} is damaged: it is larger than {most_bytes >> 20} MiB")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Damaged(f"cannot read {path}: no such file") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}") from None
    except RecursionError:
        raise Damaged(f"{path} is damaged: it is nested too deep") from None


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, SEAL: checksum_of(content)}


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    write_json(path, sealed(content))


def read_sealed(path: Path, newest: int, what: str) -> dict[str, Any]:
    """The object without its seal; one that is damaged, or of a format to come, is refused."""
    content = read_json(path, MOST_SEALED_BYTES)
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise Damaged(f"{path} is damaged: it describes no {what}")
    seal, version = content.pop(SEAL, None), content["format"]
    if seal is not None and seal != checksum_of(content):
        raise Damaged(f"{path} is damaged: it is not what its checksum was made of")
    if version > newest:
        raise UserError(
            f"{path} was written by a newer qlearn (format {version}, this one reads up to"
            f" {newest}); pip install --upgrade qlearn"
        )
    if version < 1 or (seal is None and version >= SEALED_FROM):
        raise Damaged(f"{path} is damaged: it has no checksum")
    return content


def checksum_of(content: dict[str, Any]) -> str:
    """Of what the object says, however it is set in lines."""
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


class Growing:
    """The checksum of a file that is only appended to: every byte is read once."""

    def __init__(self, path: Path) -> None:
        self._path, self._digest, self._read = path, hashlib.sha256(), 0

    def bytes_and_digest(self) -> tuple[int, str]:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read)
            while part := file.read(2**20):
                self._digest.update(part)
                self._read += len(part)
        return self._read, self._digest.hexdigest()


def digest_of_first(path: Path, size: int) -> str | None:
    """The checksum of the first bytes of a file; None where there are not so many."""
    digest = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        while size and (part := file.read(min(size, 2**20))):
            digest.update(part)
            size -= len(part)
    return None if size else digest.hexdigest()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process after the other, where the file system can lock."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        place = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot open {folder}: {error.strerror}") from None
    try:
        with contextlib.suppress(OSError):  # some file systems lock nothing
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def explained(error: OSError | ValueError, path: Path) -> UserError:
    if isinstance(error, ValueError):  # a null character
        return UserError(f"cannot write {str(path)!r}: {error}")
    if error.errno in FULL:
        return UserError(f"the disk is full: {path} could not be written; what was there is intact")
    return UserError(f"cannot write {path}: {error.strerror}")
