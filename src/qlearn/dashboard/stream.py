"""What has changed, told to every page that listens; one thread looks for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from qlearn.dashboard import codec
from qlearn.dashboard.store import Store
from qlearn.errors import UserError

LOOK_SECONDS = 0.4
MOST_SHARE = 0.05  # of the time may go into looking
ALIVE_SECONDS = 15.0
MOST_LISTENERS = 500


class Listener:
    """One page: what it has not been told yet, the newest of each run alone."""

    def __init__(self, runs: Iterable[str]) -> None:
        self.runs = frozenset(runs)
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._lock = threading.Lock()
        self._rows: dict[str, Any] = {}
        self._list: dict[str, Any] = {}
        self._closed = False

    def tell(self, rows: dict[str, Any], counts: dict[str, int]) -> None:
        """From the looking thread; never waits for the page."""
        counts = {name: count for name, count in counts.items() if name in self.runs}
        if not rows and not counts:
            return
        with self._lock:
            self._list |= rows
            self._rows |= counts
        self.wake()

    def close(self) -> None:
        self._closed = True
        self.wake()

    def wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:  # its loop has ended
            self._closed = True

    async def messages(self) -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n"
        while not self._closed:
            try:
                await asyncio.wait_for(self._woken.wait(), ALIVE_SECONDS)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            self._woken.clear()
            with self._lock:
                rows, self._list = self._list, {}
                counts, self._rows = self._rows, {}
            if rows:
                yield _event("runs", list(rows.values()))
            for name, count in counts.items():
                yield _event("rows", {"name": name, "rows": count})


class Hub:
    """Everybody who listens. While nobody does, no thread runs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._shown: dict[str, Any] = {}
        self._counted: dict[str, tuple[int, int]] = {}
        self._woken = threading.Event()
        self.left = time.monotonic()  # when somebody last listened

    @property
    def listening(self) -> int:
        return len(self._listeners)

    def join(self, runs: Iterable[str]) -> Listener:
        """Tells the newcomer everything first: whatever it knew may be old."""
        with self._lock:
            if len(self._listeners) >= MOST_LISTENERS:
                raise UserError(f"{MOST_LISTENERS} pages listen already; close one")
            listener = Listener(runs)
            self._listeners.add(listener)
            if self._thread is None:
                self._shown, self._counted = {}, {}
                self._thread = threading.Thread(target=self._look_on, name="hub", daemon=True)
                self._thread.start()
            elif self._shown:
                counts = {name: rows for name, (rows, _) in self._counted.items()}
                listener.tell(dict(self._shown), counts)
        self._woken.set()
        return listener

    def leave(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)
            self.left = time.monotonic()
        self._woken.set()

    def close(self) -> None:
        self.store.close()
        for listener in list(self._listeners):
            listener.close()

    def _look_on(self) -> None:
        while True:
            with self._lock:
                if not self._listeners:
                    self._thread = None
                    return
            begun = time.monotonic()
            with contextlib.suppress(Exception):  # a folder in upheaval settles again
                self._look()
            took = time.monotonic() - begun
            self._woken.wait(max(LOOK_SECONDS, took / MOST_SHARE))
            self._woken.clear()

    def _look(self) -> None:
        rows = {row["name"]: row for row in self.store.rows()}
        changed = {name: row for name, row in rows.items() if self._shown.get(name) != row}
        gone = {name: {"name": name, "gone": True} for name in self._shown if name not in rows}
        wanted = {name for listener in list(self._listeners) for name in listener.runs}
        counted = {name: self._count(name) for name in wanted if name in rows}
        news = {n: found[0] for n, found in counted.items() if self._counted.get(n) != found}
        with self._lock:
            self._shown, self._counted = rows, counted
            for listener in self._listeners:
                listener.tell(changed | gone, news)

    def _count(self, name: str) -> tuple[int, int]:
        """Rows, and things that happened: either alone makes a chart another."""
        try:
            series = self.store.series(name)
        except UserError:
            return 0, 0
        return series.rows, series.happened


def _event(kind: str, data: Any) -> bytes:
    """One line of data: JSON has none of its own line ends inside."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), codec.dumps(data))
