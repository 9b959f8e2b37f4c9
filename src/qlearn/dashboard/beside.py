"""A server beside a training: `qlearn train ... --dashboard`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from qlearn.dashboard.server import EXTRA, NEEDED
from qlearn.errors import missing_extra
from qlearn.runs.watchers import Watched, Watcher

STDERR = 2  # where a notebook has no file for it, too


class Beside(Watcher):
    """Shows a run in the browser from its first step; the training never waits for it."""

    name = "the dashboard"

    def __init__(self) -> None:
        for package in NEEDED:
            if find_spec(package) is None:
                raise missing_extra(package, EXTRA)
        self._server: subprocess.Popen | None = None

    def begins(self, training: Watched) -> None:
        """One server for all seeds: it shows the whole folder."""
        if self._server is not None and self._server.poll() is None:
            return
        path = training.folder.path
        self._server = subprocess.Popen(
            [sys.executable, "-m", "qlearn", "serve", str(path.parent), "--of-run", path.name],
            stdin=subprocess.DEVNULL,
            stdout=STDERR,
            start_new_session=True,  # Ctrl-C is for the training
        )
