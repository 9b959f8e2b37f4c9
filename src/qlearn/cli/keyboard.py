"""Keys pressed while something runs in the terminal, without waiting for them."""

from __future__ import annotations

import sys
from typing import Any

ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}  # after ESC [
WINDOWS_ARROWS = {"H": "up", "P": "down", "M": "right", "K": "left"}
LETTERS = {"w": "up", "s": "down", "d": "right", "a": "left", "q": "quit", "\x03": "quit"}


class Keyboard:
    """`key(seconds)` gives up, down, left, right, quit, a digit, or None when none was pressed."""

    def __enter__(self) -> Keyboard:
        self._saved: Any = None
        if sys.platform != "win32":
            import termios
            import tty

            self._saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)

    def key(self, seconds: float) -> str | None:
        if sys.platform == "win32":
            return self._windows_key(seconds)
        import os
        import select

        pressed = None
        wait = seconds
        while select.select([sys.stdin], [], [], wait)[0]:
            data = os.read(sys.stdin.fileno(), 8).decode(errors="ignore")
            pressed = _meaning(data)
            wait = 0.0  # the newest of what was typed ahead counts
            if not data or pressed == "quit":
                return "quit"
        return pressed

    def _windows_key(self, seconds: float) -> str | None:
        import msvcrt  # type: ignore[import-not-found,unused-ignore]
        import time

        end = time.monotonic() + seconds
        while True:
            if msvcrt.kbhit():  # type: ignore[attr-defined,unused-ignore]
                character = msvcrt.getwch()  # type: ignore[attr-defined,unused-ignore]
                if character in "\x00\xe0":
                    return WINDOWS_ARROWS.get(msvcrt.getwch())  # type: ignore[attr-defined,unused-ignore]
                return _meaning(character)
            if time.monotonic() >= end:
                return None
            time.sleep(0.005)


def _meaning(data: str) -> str | None:
    if data.startswith("\x1b[") and len(data) >= 3:
        return ARROWS.get(data[-1])
    last = data[-1:].lower()
    return last if last.isdigit() else LETTERS.get(last)
