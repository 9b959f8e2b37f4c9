"""One measured run: everything that looks at it, when each looks, and what is written of it."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from collections.abc import Callable
from time import perf_counter, process_time, sleep, thread_time
from types import FrameType
from typing import Any

from .calls import Calls
from .lines import Lines
from .looker import Looker
from .memory import Allocations, Memory
from .places import Places, is_ours
from .samples import MAIN, Samples
from .steps import Steps, line
from .ticks import Ticks
from .torch_trace import TorchTrace

VERSION = 1
PERIOD = 0.01
EARLY, LATER_PERIOD = 3.0, 0.02  # seconds with more samples, for scripts that are over soon
IMPORTS_PERIOD = 0.03  # stacks are deep there, and all of it new: nearly a millisecond a sample
WATCH_PERIOD, ALONE_PERIOD = 0.05, 0.25  # beside other threads of the script's, and without
HANDOVER = 5e-5  # seconds in which the main thread leaves the interpreter to the one that watches
FLUSH_EVERY = 1.0
FLUSH_SHARE = 0.003  # of the run, at most
ALLOWANCE, ALLOWED_SHARE = 0.06, 0.01  # seconds for windows, and then of the run
LOOKS, LOOKS_SHARE = 0.02, 0.003  # the same for looks at variables
AGAIN = 5.0  # seconds, when a script has swallowed that it was to stop
GRACE = 10.0
LOST = 0.5  # of a window in which calls are counted
THREAD = "qlearn-profile"
MOST_TROUBLE = 20


class Stopped(KeyboardInterrupt):
    """The time that was asked for is over."""


class Measure:
    """Ticks come in the main thread; a thread of its own looks after memory, other threads and the
    file, which is written about every second, so that even a process that is killed leaves it."""

    def __init__(self, folder: str, options: dict[str, Any], script: str, rest: list[str]) -> None:
        self.options = options
        self.stopped = False
        self._folder = os.path.abspath(folder)  # the script may go elsewhere
        self._about = {
            "version": VERSION,
            "script": os.path.abspath(script),
            "argv": rest,
            "python": sys.version.split()[0],
            "options": options,
        }
        self._places = Places()
        self._samples = Samples()
        self._calls = Calls(bool(options.get("functions")))
        self._steps = Steps(self._places)
        self._looker = Looker(self._places)
        self._memory = Memory()
        self._allocations = Allocations(bool(options.get("memory")))
        self._lines = Lines(bool(options.get("line")), self._places, self._samples)
        self._torch = TorchTrace(bool(options.get("torch")), self._folder, self._places)
        self._ticks = Ticks(self._tick)
        self._end = {"kind": "killed", "code": -1, "traceback": ""}
        self._measuring = False
        self._begun = self._last = self._wall = self._cost = self._startup = 0.0
        self._cpu_begun = self._cpu = 0.0
        self._deadline = float("inf")
        self._process = os.getpid()
        self._main = threading.main_thread().ident
        self._names: dict[int, str] = {}
        self._others_last: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=THREAD, daemon=True)
        self._running = True
        self._early = True
        self._imports = self._imports_cost = 0.0  # seconds; windows are kept for what comes after
        self._importing = False
        self._due = float("inf")  # when the thread that watches wants to be let in
        self._ticking = False  # a tick may come while one is at work
        self._flush_took = self._looking = 0.0
        self._trouble: list[str] = []

    def start(self, startup: float) -> None:
        self._startup = startup
        self._begun = perf_counter()
        self._cpu_begun = process_time()
        self._measuring = True
        if self.options.get("seconds"):
            self._deadline = float(self.options["seconds"])
        self.write()
        atexit.register(self.finish)  # the first to be registered is the last to be called
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)
        self._ticks.start(PERIOD)
        self._thread.start()
        self._calls.start()

    def ended(self, kind: str, code: int, traceback: str) -> None:
        """How the script has ended; its threads and what it left for the end may still run."""
        self._running = False
        self._end = {"kind": kind, "code": code, "traceback": traceback}

    def finish(self) -> None:
        if os.getpid() != self._process:
            return
        self._ticks.stop()
        self._done.set()
        self._thread.join()
        self.freeze()
        self.write()

    # ---- in the main thread, every few milliseconds

    def _tick(self, frame: FrameType | None) -> None:
        if self._ticking or os.getpid() != self._process:
            return
        if self._measuring:
            begun, self._ticking = thread_time(), True
            try:
                self._safely(self._sample, frame, perf_counter() - self._begun)
            finally:
                self._ticking = False
            taken = thread_time() - begun
            self._cost += taken
            self._imports_cost += taken if self._importing else 0.0
            if perf_counter() >= self._due:
                sleep(HANDOVER)
        if self._running and perf_counter() - self._begun >= self._deadline:
            self._stop()

    def _sample(self, frame: FrameType | None, now: float) -> None:
        if self._steps.open:
            self._steps.tick(frame, now)
            return
        self._last += self._steps.claim()
        if self._importing and now - self._last < IMPORTS_PERIOD:
            return
        if frame is None or is_ours(frame.f_code):
            return  # between two steps of the script, where no sample is ever taken
        stack = self._places.stack(frame)
        importing = self._importing = not self._places.importing.isdisjoint(stack)
        if stack:
            taken = max(now - self._last, 0.0)
            self._samples.add(MAIN, stack, taken, now)
            self._last = now
            self._imports += taken if importing else 0.0
        self._memory.tick(now)
        self._torch.tick(frame, now)
        self._lines.tick(now)
        affordable = self._spent < ALLOWANCE + ALLOWED_SHARE * (now - self._imports)
        begun = thread_time()
        self._looker.look(frame, now, self._looking < LOOKS + LOOKS_SHARE * now)
        self._looking += thread_time() - begun
        if self._calls.is_open or (affordable and not importing):
            self._calls.tick(now)
        if affordable and not self._calls.is_open and not importing:
            self._steps.tick(frame, now)
        if self._early and now - self._imports >= EARLY:
            self._early = False
            self._ticks.every(LATER_PERIOD)

    @property
    def _spent(self) -> float:
        """Seconds of the script's, imports apart, as well as they are known while it runs."""
        return self._cost - self._imports_cost + self._steps.seconds + LOST * self._calls.watched

    def _stop(self) -> None:
        self.freeze()
        self.stopped = True
        self._deadline = perf_counter() - self._begun + AGAIN
        raise Stopped

    def freeze(self) -> None:
        """What comes after is not measured."""
        if not self._measuring:
            return
        self._measuring = False
        self._steps.stop()
        self._wall = perf_counter() - self._begun
        self._cpu = process_time() - self._cpu_begun
        self._last += self._steps.claim()
        self._samples.finish(max(self._wall - self._last, 0.0))
        self._safely(self._calls.stop, self._wall)
        self._safely(self._lines.stop)
        self._safely(self._torch.stop)
        self._safely(self._memory.look, self._wall)
        self._safely(self._allocations.snapshot, self._wall)

    def _safely(self, work: Callable[..., None], *arguments: Any) -> None:
        """What goes wrong here is none of the script's business."""
        try:
            work(*arguments)
        except Exception as error:
            if len(self._trouble) < MOST_TROUBLE:
                self._trouble.append(repr(error))

    # ---- in a thread of its own

    def _watch(self) -> None:
        next_flush, frozen_at = FLUSH_EVERY, None
        while not self._waited():
            now = perf_counter() - self._begun
            if now >= self._deadline and not self._running:
                self._give_up()
            if self._measuring:
                self._look_around(now)
                if now >= next_flush:
                    self.write()
                    next_flush = now + max(FLUSH_EVERY, self._flush_took / FLUSH_SHARE)
            elif self.stopped:
                frozen_at = now if frozen_at is None else frozen_at
                if now > frozen_at + GRACE:
                    self._give_up()

    def _waited(self) -> bool:
        """Until it is time again; whether that was the last time.

        A script that gives the interpreter away for moments (NumPy does whenever it draws) wakes
        whoever waits for it, and has it back before they are there: thousands of times a second
        for nothing, and a tenth slower. So ticks leave it to this thread for long enough.
        """
        patience = self._patience()
        self._due = perf_counter() + patience
        return self._done.wait(patience)

    def _patience(self) -> float:
        if not self._ticks.alive:
            return PERIOD
        return ALONE_PERIOD if threading.active_count() <= 2 else WATCH_PERIOD

    def _look_around(self, now: float) -> None:
        begun = thread_time()  # what it waits for its turn costs nobody anything
        for look in (self._memory.tick, self._allocations.tick, self._look_at_threads):
            self._safely(look, now)
        self._cost += thread_time() - begun

    def _look_at_threads(self, now: float) -> None:
        """The others; and the main one, where no ticks come."""
        for thread, frame in sys._current_frames().items():
            if thread == threading.get_ident():
                continue
            if thread != self._main:
                self._other(thread, frame, now)
            elif not self._ticks.alive and not self._steps.open:
                self._sample_from_afar(frame, now)

    def _other(self, thread: int, frame: FrameType, now: float) -> None:
        last = self._others_last.get(thread, now)
        self._others_last[thread] = now
        stack = self._places.stack(frame)
        if stack:
            self._samples.add(self._name(thread), stack, now - last, now)

    def _sample_from_afar(self, frame: FrameType, now: float) -> None:
        stack = self._places.stack(frame)
        if stack:
            self._samples.add(MAIN, stack, now - self._last, now)
            self._last = now
        self._looker.look(frame, now, True)
        if now >= self._deadline and not self.stopped:
            import _thread

            self.freeze()
            self.stopped = True
            _thread.interrupt_main()

    def _name(self, thread: int) -> str:
        if thread not in self._names:
            self._names.update({each.ident or 0: each.name for each in threading.enumerate()})
        return self._names.get(thread, f"thread {thread}")

    def _give_up(self) -> None:
        """The script neither ends nor lets itself be stopped; all that was measured is written."""
        self.freeze()
        self._end = {"kind": "stopped", "code": 0, "traceback": ""}
        self.write()
        sys.stdout.flush()
        os._exit(0)

    # ---- in a child of the script's

    def _forked(self) -> None:
        """Only the process that was started is measured."""
        self._measuring = False
        self._deadline = float("inf")
        self._calls.leave()
        if self._steps.open:
            sys.settrace(None)

    # ---- on disk

    def write(self) -> None:
        begun = perf_counter()
        self._write_steps()
        text = json.dumps(self._report(), separators=(",", ":"), default=str)
        self._flush_took = perf_counter() - begun
        path = os.path.join(self._folder, "raw.json")
        draft = f"{path}.{threading.get_ident()}"
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)

    def _write_steps(self) -> None:
        windows, self._steps.finished = self._steps.finished, []
        if windows:
            with open(os.path.join(self._folder, "steps.jsonl"), "a", encoding="utf-8") as file:
                file.writelines(json.dumps(line(window)) + "\n" for window in windows)

    def _report(self) -> dict[str, Any]:
        wall = perf_counter() - self._begun if self._measuring else self._wall
        cpu = process_time() - self._cpu_begun if self._measuring else self._cpu
        samples, timeline = self._samples.report(wall)
        calls, share = self._calls.report(wall - self._imports)
        return self._about | {
            "end": self._end,
            "wall_seconds": wall,
            "cpu_seconds": cpu,
            "startup_seconds": self._startup,
            "peak_memory_mb": self._memory.peak(),
            "memory": list(self._memory.points),
            "frames": [dict(zip(COLUMNS, row, strict=True)) for row in list(self._places.rows)],
            "samples": samples,
            "timeline": timeline,
            "calls": calls,
            "calls_observed": share,
            "seen": self._looker.report(),
            "modules": versions(),
            **torch_facts(),
            "cost": {
                "sampler_seconds": self._cost,
                "windows_seconds": self._calls.seconds() + self._steps.seconds,
            },
            "trouble": list(self._trouble),
            "lines": self._lines.report() if not self._measuring else None,
            "allocations": self._allocations.report(),
            "operators": self._torch.operators,
            "artifacts": self._artifacts(),
        }

    def _artifacts(self) -> dict[str, str]:
        found = dict(self._torch.artifacts)
        if self._calls.exact:
            found["prof"] = os.path.join(self._folder, "functions.prof")
            self._calls.dump(found["prof"])
        return found


COLUMNS = ("file", "function", "first_line", "line", "end_line", "col", "end_col")


def versions() -> dict[str, str]:
    """Of the modules that say one."""
    found = {}
    for name, module in list(sys.modules.items()):
        version = getattr(module, "__dict__", {}).get("__version__") if "." not in name else None
        if isinstance(version, str):
            found[name] = version
    return found


def torch_facts() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    try:
        return {"torch_threads": torch.get_num_threads(), "cuda": torch.cuda.is_initialized()}  # type: ignore[union-attr]
    except AttributeError:  # not imported, or not yet to the end
        return {"torch_threads": None, "cuda": False}
