"""Ctrl-C and SIGTERM while a training runs."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Signals:
    """Ctrl-C and SIGTERM end the training at the next chunk border; a second one does not wait."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._take)

    def _take(self, *_: object) -> None:
        if self.stop.is_set():  # an environment that does not come back reaches no border
            raise KeyboardInterrupt
        self.stop.set()

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
