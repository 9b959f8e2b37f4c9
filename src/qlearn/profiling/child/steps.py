"""Short windows in which every step of the user's functions is timed.

Samples are taken where the interpreter looks for signals: after calls and at the ends of loops. A
search in a list or an entry of a dict is never such a place; its time appears at the next one.
These windows say what runs before each, and how long it takes, so that it can be put right.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter_ns
from types import FrameType
from typing import Any

from .places import Places, Stack

FIRST, EVERY = 0.06, 0.4
LENGTH = 4_000_000  # nanoseconds
MOST = 6000  # steps of one window
FULL_RATE, RAREST = 8, 4  # windows before they become rarer; how many times as rare, at most


class Steps:
    """Windows of (stack, nanoseconds) as they followed each other; `finished` are to be written."""

    def __init__(self, places: Places) -> None:
        self.open = False
        self.finished: list[list] = []
        self.seconds = 0.0
        self._places = places
        self._count = 0
        self._next = FIRST
        self._steps: list = []
        self._stack: Stack | None = None
        self._opened = self._since = 0
        self._unclaimed = 0.0

    def tick(self, frame: FrameType | None, now: float) -> None:
        if self.open:
            self._close_if_over()
        elif now >= self._next and sys.gettrace() is None:
            self._count += 1
            self._next = now + EVERY * min(1 + self._count // FULL_RATE, RAREST)
            self._open(frame)

    def claim(self) -> float:
        """Seconds in windows since this was last asked: nobody's but ours."""
        taken, self._unclaimed = self._unclaimed, 0.0
        return taken

    def stop(self) -> None:
        if self.open:
            self._close()

    def _open(self, frame: FrameType | None) -> None:
        while frame is not None:
            if self._places.users(frame.f_code):
                frame.f_trace_lines, frame.f_trace_opcodes = False, True
                frame.f_trace = self._tracer(self._places.stack(frame.f_back))
            frame = frame.f_back
        self._steps, self._stack = [], None
        self.open = True
        self._opened = perf_counter_ns()
        sys.settrace(self._called)

    def _close_if_over(self) -> None:
        if perf_counter_ns() > self._opened + LENGTH:
            self._close()

    def _close(self) -> None:
        sys.settrace(None)
        self.open = False
        self._leave(sys._getframe())
        # A long call within the window is the script's own time, as long as it takes.
        seconds = min(perf_counter_ns() - self._opened, LENGTH) * 1e-9
        self.seconds += seconds
        self._unclaimed += seconds
        self.finished.append(self._steps)

    def _leave(self, frame: FrameType | None) -> None:
        """As a debugger of the user's expects to find them."""
        while frame is not None:
            if self._places.users(frame.f_code):
                frame.f_trace_lines, frame.f_trace_opcodes = True, False
                frame.f_trace = None
            frame = frame.f_back

    def _called(self, frame: FrameType, event: str, _: Any) -> Callable | None:
        now = perf_counter_ns()
        if self.open:
            self._close_if_over()
        if not self.open:
            return None
        if not self._places.users(frame.f_code):
            self._done(now)  # what a library does is its own
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._tracer(self._places.stack(frame.f_back))

    def _tracer(self, callers: Stack) -> Callable:
        at, entries = self._places.at, self._places.entries

        def trace(frame: FrameType, event: str, _: Any) -> Callable:
            now = perf_counter_ns()
            if event == "opcode" and self.open:
                place = at(frame.f_code, frame.f_lasti)
                self._step(callers if place in entries else (*callers, place), now)
            return trace

        return trace

    def _step(self, stack: Stack, now: int) -> None:
        self._done(now)
        self._stack = stack
        if len(self._steps) >= MOST or now > self._opened + LENGTH:
            self._close()
        self._since = perf_counter_ns()

    def _done(self, now: int) -> None:
        if self._stack is not None:
            self._steps.append((self._stack, now - self._since))
            self._stack = None


def line(steps: list) -> dict:
    """One window as it is written: stacks once each, steps as (number of a stack, nanoseconds)."""
    numbers: dict[Stack, int] = {}
    flat: list[int] = []
    for stack, nanoseconds in steps:
        flat += (numbers.setdefault(stack, len(numbers)), nanoseconds)
    return {"stacks": list(numbers), "steps": flat}
