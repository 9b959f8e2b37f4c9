"""torch.profiler over a stretch of the run: operators, the device, a trace for Perfetto."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

from .places import Places

LENGTH = 2.0  # a trace of more is too large for the tools that show it
MOST_OPERATORS = 60
SILENT = "6"  # KINETO_LOG_LEVEL above all that it says: when it began, and when it ended


class TorchTrace:
    """Begins when torch is there and a function of the user's works with it."""

    def __init__(self, wanted: bool, folder: str, places: Places) -> None:
        self._wanted = wanted
        self._places = places
        self._path = os.path.join(folder, "torch_trace.json")
        self._profiler: Any = None
        self._begun = 0.0
        self.operators: list[dict] | None = None
        self.artifacts: dict[str, str] = {}
        if wanted:
            os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)  # read when torch is loaded

    def tick(self, frame: FrameType | None, now: float) -> None:
        if not self._wanted:
            return
        if self._profiler is None:
            if self._is_time(frame):
                self._begin(now)
        elif now >= self._begun + LENGTH:
            self.stop()

    def stop(self) -> None:
        if not self._wanted or self._profiler is None:
            return
        self._wanted = False
        self._profiler.stop()
        self._profiler.export_chrome_trace(self._path)
        self.artifacts["torch_trace"] = self._path
        self.operators = operators(self._profiler)

    def _is_time(self, frame: FrameType | None) -> bool:
        """Not while anything is being imported, nor within torch itself."""
        torch = sys.modules.get("torch")
        if frame is None or not hasattr(torch, "profiler"):
            return False
        if not self._places.users(frame.f_code):
            return False
        while frame is not None:
            if "importlib" in frame.f_code.co_filename:
                return False
            frame = frame.f_back
        return True

    def _begin(self, now: float) -> None:
        profiler = sys.modules["torch"].profiler
        activities = [profiler.ProfilerActivity.CPU]
        if sys.modules["torch"].cuda.is_available():
            activities.append(profiler.ProfilerActivity.CUDA)
        self._profiler = profiler.profile(activities=activities)
        self._profiler.start()
        self._begun = now


def operators(profiler: Any) -> list[dict]:
    rows = [
        {
            "name": row.key,
            "calls": row.count,
            "cpu_seconds": row.self_cpu_time_total * 1e-6,
            "device_seconds": getattr(row, "self_device_time_total", 0.0) * 1e-6,
        }
        for row in profiler.key_averages()
    ]
    return sorted(rows, key=lambda row: -row["cpu_seconds"] - row["device_seconds"])[
        :MOST_OPERATORS
    ]
