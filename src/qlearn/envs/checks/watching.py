"""Eyes on a plain game: what it stores, which line it is in, whether it comes back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from types import FrameType, FunctionType
from typing import Any

import numpy as np

from qlearn.envs.plain import PlainState

LONGEST_CALL = 5.0  # seconds; a plain function of one environment takes microseconds


class Stuck(BaseException):
    """Raised into a call that does not come back."""


class WatchedState(PlainState):
    """A plain state that notices a fraction on its way into a whole number."""

    __slots__ = ("_cut",)  # beside the fields, which are the instance's dictionary
    _cut: dict[tuple[str, str, int], tuple[str, float]]

    def __init__(self, dtype: np.dtype) -> None:
        object.__setattr__(self, "_cut", {})
        super().__init__(dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self._kinds.get(name)
        if kind is not None and isinstance(value, float | np.floating):
            whole = issubclass(kind, np.integer | np.bool_)
            if whole and np.isfinite(value) and value != np.floor(value):
                frame = sys._getframe(1)
                place = frame.f_code.co_filename, frame.f_lineno
                self._cut.setdefault((name, *place), (kind.__name__, float(value)))
        super().__setattr__(name, value)


# Functions, not methods: a field may be called `values`.


def snapshot(state: PlainState) -> dict[str, Any]:
    """A copy of every field."""
    return {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in state.as_dict().items()
    }


def restore(state: PlainState, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            vars(state)[name][...] = value
        else:
            vars(state)[name] = value


class Watchdog:
    """Interrupts a call of the user's that takes longer than LONGEST_CALL."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.bitten = False
        self._done = threading.Event()
        self._player = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(LONGEST_CALL / 4):
            since = self.since
            if since is not None and time.monotonic() - since > LONGEST_CALL:
                self.since, self.bitten = None, True
                raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
                raise_in(ctypes.c_ulong(self._player), ctypes.py_object(Stuck))


@contextlib.contextmanager
def traced(
    files: Collection[str], broken: Callable[[], bool], function: FunctionType
) -> Iterator[list[Any]]:
    """Fills [file, line]: the line after which `broken()` holds, else the last of `function`."""
    place: list[Any] = []
    previous: list[Any] = []
    settled = False

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal settled
        if frame.f_code.co_filename not in files or settled:
            return None
        if previous and broken():
            place[:] = previous
            settled = True
            return None
        previous[:] = frame.f_code.co_filename, frame.f_lineno
        if frame.f_code is function.__code__ and event != "call":
            place[:] = previous
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield place
    finally:
        sys.settrace(before)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What the user's functions print while they are tried out is nobody's concern."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
