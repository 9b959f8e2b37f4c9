"""A call in the main thread every few milliseconds of wall time.

From a timer, not from a thread: a thread is let in where the main thread gives way, which is where
it computes outside the interpreter, and would see nothing else.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable
from types import FrameType

Tick = Callable[[FrameType | None], None]

CLOCK_MONOTONIC = 1
SIGEV_THREAD_ID = 4


class Event(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_byte * 44),
    ]


class Interval(ctypes.Structure):
    _fields_ = [
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("first_seconds", ctypes.c_long),
        ("first_nanoseconds", ctypes.c_long),
    ]


class OwnTimer:
    """A timer of our own on a signal nobody uses and that does nothing by default: the user's
    alarms stay theirs, and neither forks nor other programs inherit it."""

    def __init__(self) -> None:
        self.signal = signal.SIGURG
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = Event(None, self.signal, SIGEV_THREAD_ID, threading.get_native_id())
        if self._libc.timer_create(CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), "no timer")

    def start(self, seconds: float) -> None:
        self._set(int(seconds * 1e9))

    def stop(self) -> None:
        self._set(0)

    def _set(self, nanoseconds: int) -> None:
        interval = Interval(0, nanoseconds, 0, nanoseconds)
        self._libc.timer_settime(self._timer, 0, ctypes.byref(interval), None)


class AlarmTimer:
    """Where systems have no timers of one's own."""

    def __init__(self) -> None:
        self.signal = signal.SIGALRM

    def start(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


class Ticks:
    """Calls `tick(frame)` while it runs; `alive` is false where nothing will."""

    def __init__(self, tick: Tick) -> None:
        self._tick = tick
        self._timer = timer()

    @property
    def alive(self) -> bool:
        """Not where there are no timers, nor after the user has taken the signal."""
        return self._timer is not None and signal.getsignal(self._timer.signal) == self._called

    def start(self, seconds: float) -> None:
        if self._timer is not None:
            signal.signal(self._timer.signal, self._called)
            self._timer.start(seconds)

    def every(self, seconds: float) -> None:
        """From now on, instead of what it was started with."""
        if self.alive and self._timer is not None:
            self._timer.start(seconds)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()

    def _called(self, number: int, frame: FrameType | None) -> None:
        self._tick(frame)


def timer() -> OwnTimer | AlarmTimer | None:
    try:
        return OwnTimer()
    except (AttributeError, OSError, TypeError):
        return AlarmTimer() if hasattr(signal, "setitimer") else None
