"""`--tensorboard`: the lines of metrics.jsonl as an event file that TensorBoard shows."""

from __future__ import annotations

import os
import time
from typing import Any

from qlearn.errors import missing_extra
from qlearn.runs.loggers import Logger
from qlearn.runs.watchers import Watched

FLUSH_SECONDS = 1.0


class EventFile(Logger):
    """Written by TensorBoard's own record writer, straight to the file: no thread, no TensorFlow."""

    name = "the TensorBoard event file"

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            raise missing_extra("tensorboard", "tensorboard") from None
        self._events, self._summaries, self._writer_class = event_pb2, summary_pb2, RecordWriter
        self._writer: Any = None
        self._flushed = 0.0

    def begins(self, training: Watched) -> None:
        name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        self._writer = self._writer_class((training.folder.path / name).open("wb"))
        self._write(self._event(0, file_version="brain.Event:2"))
        # What an earlier process wrote after its last checkpoint is trained, and shown, again:
        # TensorBoard forgets it when it reads this.
        start = self._events.SessionLog(status=self._events.SessionLog.START)
        self._write(self._event(training.env_steps + 1, session_log=start))

    def ends(self, training: Watched) -> None:
        self._writer.flush()
        self._writer.close()

    def scalars(self, steps: int, values: dict[str, float]) -> None:
        shown = [
            self._summaries.Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
        ]
        self._write(self._event(steps, summary=self._summaries.Summary(value=shown)))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def _event(self, steps: int, **content: Any) -> Any:
        return self._events.Event(wall_time=time.time(), step=steps, **content)

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
