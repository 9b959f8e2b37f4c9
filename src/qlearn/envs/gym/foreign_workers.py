"""Worker processes that step Gymnasium's environments; results lie in memory that all share.

A worker is started as a program of its own, not through `multiprocessing`: that would run the
user's main script once more in each. Orders go down its standard input, one byte each, and answers
come back on its standard output (games in progress, where they are asked for, by the same way), so whichever side ends, the other is told by the closed pipe:
a worker never outlives us, and a worker killed is noticed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import pickle
import re
import select
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import weakref
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qlearn.envs.gym.foreign_copies import Arrays, Copies, Recipe, arrays, bytes_needed
from qlearn.envs.gym.state import Given
from qlearn.errors import EnvironmentFault, UserError

BEGIN, STEP, GIVE, TAKE = b"b", b"s", b"g", b"t"
DONE, FAILED = b".", b"!"
PATIENCE = 2.0  # seconds for a worker to end by itself before it is made to
TO_BEGIN = 120.0  # the least that a worker is given to import and make its environments
WHERE = getattr(signal, "SIGUSR1", None)  # asks a worker which line it is at
SAYS_WHERE = 0.5  # seconds for the answer to that


class Workers:
    """`count` processes, each stepping its own stretch of the copies."""

    def __init__(self, recipe: Recipe, envs: int, width: int, kind: str, count: int) -> None:
        self.recipe = recipe
        self.path, memory = _shared_memory(bytes_needed(envs, width, kind))
        self.data: Arrays = arrays(envs, width, kind, memory)
        self.edges = [envs * k // count for k in range(count + 1)]
        self.processes: list[subprocess.Popen] = []
        self._end = weakref.finalize(self, _end, self.processes, self.path)
        try:
            for low, high in pairwise(self.edges):
                self.processes.append(_started(recipe, self.path, (envs, width, kind), low, high))
            self._answers(recipe.patience and max(recipe.patience, TO_BEGIN))
        except BaseException:
            self.close()
            raise
        _forget(self.path)  # the mappings live on; nothing is left behind however we end

    def begin(self) -> None:
        self._order(BEGIN)

    def step(self) -> None:
        self._order(STEP)

    def give(self) -> Given:
        """The games in progress."""
        self._order(GIVE)
        found = [_given(_read_parts(process.stdout)) for process in self.processes]
        why = next((each.why for each in found if each.why), "")
        return Given(found[0].made, [text for each in found for text in each.texts], why)

    def take(self, texts: Sequence[bytes]) -> None:
        """Goes on in the middle of these games; a `ValueError` where they do not fit."""
        if len(texts) != self.edges[-1]:
            raise ValueError(f"there are {len(texts)} saved games, and {self.edges[-1]} copies")
        self._order(TAKE, [_parts(texts[low:high]) for low, high in pairwise(self.edges)])
        for (why,) in [_read_parts(process.stdout) for process in self.processes]:
            if why:
                raise ValueError(why.decode())

    def _order(self, order: bytes, more: Sequence[bytes] = ()) -> None:
        """To every process the same order, and what each of them needs for it."""
        if not self._end.alive:
            raise UserError(f"the processes of {self.recipe.name} have ended; make a new batch")
        try:
            for k, process in enumerate(self.processes):
                _send(process, order + (more[k] if more else b""))
            self._answers(self.recipe.patience)
        except BaseException:  # orders and answers no longer match: there is no going on
            self.close()
            raise

    def _answers(self, patience: float) -> None:
        until = time.monotonic() + patience if patience else None
        for process in self.processes:
            assert process.stdout is not None
            if not _answers_by(process.stdout, until):
                place = _where_it_is(process)
                process.kill()
                raise EnvironmentFault(
                    f"{place}a process of {self.recipe.name} hangs: no answer for {patience:g} s;"
                    " --set env.patience=SECONDS gives it longer"
                )
            answer = process.stdout.read(1)
            if answer == FAILED:
                (size,) = struct.unpack("<I", _read(process.stdout, 4))
                raise EnvironmentFault(_read(process.stdout, size).decode())
            if answer != DONE:
                raise EnvironmentFault(f"a process of {self.recipe.name} {_how_it_ended(process)}")

    def close(self) -> None:
        self._end()


def _started(
    recipe: Recipe, path: str, layout: tuple[int, int, str], low: int, high: int
) -> subprocess.Popen:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from qlearn.envs.gym.foreign_workers import work; work()"
    )
    # Ctrl-C goes to everything in the terminal's group; only we shall act on it.
    alone: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        **alone,
    )
    job = pickle.dumps((recipe, path, layout, low, high))
    _send(process, struct.pack("<I", len(job)) + job)
    return process


def _send(process: subprocess.Popen, data: bytes) -> None:
    """Writes all of it; a worker that has ended is noticed when its answer is read."""
    with contextlib.suppress(OSError):
        _send_all(process.stdin, data)


def _send_all(stream: Any, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[stream.write(left) :]


def _read(stream: Any, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            break
        data += more
    return bytes(data)


def _parts(parts: Sequence[bytes]) -> bytes:
    """Several as one: how many, and each with its size."""
    sizes = struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts))
    return sizes + b"".join(parts)


def _read_parts(stream: Any) -> list[bytes]:
    try:
        (count,) = struct.unpack("<Q", _read(stream, 8))
        sizes = struct.unpack(f"<{count}Q", _read(stream, 8 * count))
    except struct.error:
        raise EnvironmentFault("a process with environments ended while it was asked") from None
    return [_read(stream, size) for size in sizes]


def _given(parts: list[bytes]) -> Given:
    made, why, *texts = parts
    return Given(made, texts, why.decode())


def _answers_by(stream: Any, until: float | None) -> bool:
    """Whether something is there to read by then."""
    if until is None or not hasattr(select, "poll"):  # Windows cannot wait for a pipe
        return True
    looking = select.poll()
    looking.register(stream, select.POLLIN)
    milliseconds = 1e3 * max(0.0, until - time.monotonic())
    # Who was stopped meanwhile finds the time over and the answer there: it is looked for once more.
    return bool(looking.poll(milliseconds) or looking.poll(0))


def _where_it_is(process: subprocess.Popen) -> str:
    """`FILE:LINE: ` of the line that a worker does not come back from, if it still can say."""
    if WHERE is None or process.stdout is None:
        return ""
    process.send_signal(WHERE)
    said = b""
    while _answers_by(process.stdout, time.monotonic() + SAYS_WHERE):
        more = process.stdout.read(4096)
        if not more:
            break
        said += more
    frames = re.findall(r'File "(.+)", line (\d+)', said.decode(errors="replace"))
    theirs = [frame for frame in frames if not _is_python_s_own(frame[0])] or frames
    return "{}:{}: ".format(*theirs[0]) if theirs else ""  # the innermost is first


def _is_python_s_own(file: str) -> bool:
    return file.startswith(sysconfig.get_paths()["stdlib"]) and "site-packages" not in file


def _how_it_ended(process: subprocess.Popen) -> str:
    try:
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return "stopped answering"
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended by itself with exit code {code}"


def _end(processes: list[subprocess.Popen], path: str) -> None:
    """Ends every worker: by closing its input, then, if that is not enough, by force."""
    for process in processes:
        if process.stdin is not None:
            process.stdin.close()
    until = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    _forget(path)


def _shared_memory(size: int) -> tuple[str, mmap.mmap]:
    """A file mapped into memory, where it can be in a folder that is memory."""
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    handle, path = tempfile.mkstemp(prefix="qlearn-", dir=folder)
    try:
        os.ftruncate(handle, size)
        return path, mmap.mmap(handle, size)
    finally:
        os.close(handle)


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):  # Windows keeps a mapped file while it is mapped
        Path(path).unlink(missing_ok=True)


# What follows runs in the worker.


def work() -> None:
    """Does as ordered until the input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders, answers = _take_over_pipes()
    if WHERE is not None:
        faulthandler.register(WHERE, answers, all_threads=False)
    (size,) = struct.unpack("<I", _read(orders, 4))
    job = _read(orders, size)
    try:
        copies = _copies(job)
        answers.write(DONE)
        while order := orders.read(1):
            _send_all(answers, _done(copies, order, orders))
        copies.close()
    except BrokenPipeError:
        pass
    except Exception as error:
        _report(answers, error)


def _take_over_pipes() -> tuple[Any, Any]:
    """The pipes for ourselves; what an environment prints goes to standard error."""
    orders, answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return orders, answers


def _done(copies: Copies, order: bytes, orders: Any) -> bytes:
    """Does as ordered, and what to answer."""
    if order == GIVE:
        made, texts, why = copies.give()
        return DONE + _parts([made, why.encode(), *texts])
    if order == TAKE:
        try:
            copies.take(_read_parts(orders))
        except ValueError as error:
            return DONE + _parts([str(error).encode()])
        return DONE + _parts([b""])
    copies.begin() if order == BEGIN else copies.step()
    return DONE


def _copies(job: bytes) -> Copies:
    recipe, path, (envs, width, kind), low, high = pickle.loads(job)  # our own parent's
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    return Copies(recipe, arrays(envs, width, kind, memory).part(low, high), low)


def _report(answers: Any, error: Exception) -> None:
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    data = text.encode()
    answers.write(FAILED + struct.pack("<I", len(data)) + data)
