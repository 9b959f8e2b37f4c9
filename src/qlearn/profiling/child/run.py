"""Runs a script as Python itself would, measured."""

from __future__ import annotations

import io
import json
import os
import sys
from importlib.machinery import SourceFileLoader
from time import perf_counter
from types import ModuleType, TracebackType
from typing import Any

from .headless import headless
from .lines import guard
from .measure import Measure, Stopped
from .places import HERE

INTERRUPTED = 130


def main(arguments: list[str], begun: float) -> None:
    """OUT OPTIONS -- SCRIPT ARGUMENTS."""
    folder, options, _, script, *rest = arguments
    measure = Measure(folder, json.loads(options), script, rest)
    guard()
    if measure.options.get("headless"):
        headless()
    # What this adds to the stack is not the user's: their recursion ends where it would have.
    sys.setrecursionlimit(sys.getrecursionlimit() + 50)
    sys.argv[:] = [script, *rest]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    sys.exit(measured(measure, script, begun))


def measured(measure: Measure, script: str, begun: float) -> Any:
    """The script's exit code, or what it gave to `sys.exit`."""
    measure.start(perf_counter() - begun)
    try:
        run(os.path.abspath(script))
    except SystemExit as end:
        return ended(measure, "exit", end.code)
    except Stopped:
        return ended(measure, "stopped", 0)
    except KeyboardInterrupt:
        return ended(measure, "stopped", 0 if measure.stopped else INTERRUPTED)
    except BaseException as error:
        return failed(measure, error)
    return ended(measure, "end", 0)


def run(path: str) -> None:
    with io.open_code(path) as file:
        text = file.read()
    exec(compile(text, path, "exec", dont_inherit=True), main_module(path).__dict__)


def main_module(path: str) -> ModuleType:
    module = ModuleType("__main__")
    module.__file__ = path
    module.__loader__ = SourceFileLoader("__main__", path)
    module.__dict__.update(__builtins__=sys.modules["builtins"], __cached__=None)
    if "__annotations__" in vars(sys.modules["__main__"]):  # newer Pythons make it when needed
        module.__annotations__ = {}
    sys.modules["__main__"] = module
    return module


def ended(measure: Measure, kind: str, code: Any, traceback: str = "") -> Any:
    number = code if isinstance(code, int) else (0 if code is None else 1)
    measure.ended("stopped" if measure.stopped else kind, int(number), traceback)
    return code


def failed(measure: Measure, error: BaseException) -> Any:
    """The traceback is the user's: without what called them."""
    measure.freeze()  # telling of it is none of the script's time
    theirs = users(error.__traceback__)
    error = error.with_traceback(theirs)
    import traceback

    text = "".join(traceback.format_exception(type(error), error, theirs))
    if measure.stopped:  # what they made of being stopped is no error of theirs
        return ended(measure, "stopped", 0, text)
    sys.excepthook(type(error), error, theirs)
    return ended(measure, "error", 1, text)


def users(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(HERE):
        traceback = traceback.tb_next
    return traceback
