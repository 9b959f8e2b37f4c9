"""Where generated modules and their machine code are kept between runs."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path

from qlearn.errors import UserError

KEPT_DAYS = 90


def folder() -> Path:
    """The user's cache folder, `$QLEARN_CACHE` or the platform's own; private to the user.

    Numba keeps machine code and pickles there, so whoever can write to it can run code as us.
    """
    try:
        path = _chosen()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return _temporary()
    _refuse_shared(path)
    return path


def _chosen() -> Path:
    if chosen := os.environ.get("QLEARN_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "qlearn"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "qlearn"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "qlearn"


_temporary_folder: Path | None = None


def _temporary() -> Path:
    """A private folder for this process alone, where the cache folder cannot be written."""
    global _temporary_folder
    if _temporary_folder is None:
        _temporary_folder = Path(tempfile.mkdtemp(prefix="qlearn-"))
        atexit.register(shutil.rmtree, _temporary_folder, ignore_errors=True)
    return _temporary_folder


def _refuse_shared(path: Path) -> None:
    if not hasattr(os, "getuid"):
        return
    status = path.stat()
    if status.st_uid != os.getuid():
        raise UserError(f"the cache folder {path} belongs to another user; set QLEARN_CACHE")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(f"others can write to the cache folder {path}; chmod 700 it")


def key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def store(name: str, files: dict[str, str]) -> Path:
    """The folder `name` under kernels/ with these files, written whole or not at all."""
    kernels = folder() / "kernels"
    kernels.mkdir(mode=0o700, exist_ok=True)
    _refuse_shared(kernels)
    home = kernels / name
    if not home.exists():
        _forget_old(kernels)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=kernels))
        for file, text in files.items():
            (draft / file).write_text(text, encoding="utf-8")
        try:
            draft.rename(home)
        except OSError:  # another process was faster; what it wrote is the same
            shutil.rmtree(draft, ignore_errors=True)
            if not home.exists():
                raise
    else:
        os.utime(home)
    return home


def _forget_old(kernels: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86400
    for entry in kernels.iterdir():
        try:
            if entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:
            continue
