"""A class or function out of a user's own file, every mistake in one line with its place."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from qlearn.errors import UserError, closest


def load_object(path: Path, name: str) -> Any:
    """The object called `name` in a Python file."""
    module = load_module(path)
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        ]
        raise UserError(f"{path} has no '{name}'{closest(name, own)}")
    return getattr(module, name)


def load_module(path: Path) -> ModuleType:
    """Runs a file as a module, as an import would, with its folder on the path."""
    path = path.expanduser()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        compile(text, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{path}:{line}" if line else str(path)
        raise UserError(f"{place}: this is no Python: {_short(error)}") from None
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode() + text).hexdigest()[:12]
    module_name = f"qlearn_user_{path.stem}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # so that it can import its neighbours
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[module_name]
        if isinstance(error, KeyboardInterrupt | UserError):
            raise
        raise UserError(
            f"{place_in(path, error)}: importing it raised {type(error).__name__}: {_short(error)}"
        ) from None
    return module


def place_in(path: Path, error: BaseException) -> str:
    """FILE:LINE of the innermost frame in a file of the user's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent == path.parent
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(path)


def _short(error: BaseException) -> str:
    return (getattr(error, "msg", None) or str(error) or "no reason given").splitlines()[0]
