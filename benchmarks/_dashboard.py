"""A server of its own process for the dashboard's benchmarks, and a page that only listens."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

KEYS = "return,eval.mean,loss,td_error,action_gap,epsilon,lr,steps_per_second,memory_mb"


@contextlib.contextmanager
def served(home: Path, cpu: list[float] | None = None) -> Iterator[str]:
    """The address of a server over the folder; the CPU seconds it took once it listened, added."""
    words = [sys.executable, "-m", "qlearn", "serve", str(home), "--no-open", "--json", "--port"]
    process = subprocess.Popen([*words, "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    starting = cpu_seconds(process.pid)
    try:
        yield url
    finally:
        if cpu is not None:
            cpu.append(cpu_seconds(process.pid) - starting)
        process.send_signal(signal.SIGINT)
        process.wait()


def cpu_seconds(process: int) -> float:
    """Of a living process, all its threads; Linux alone tells."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def get(url: str, path: str) -> tuple[float, bytes]:
    """How long it took, and what came."""
    begun = time.perf_counter()
    with urlopen(Request(url + path)) as answer:
        data = answer.read()
    return time.perf_counter() - begun, data


def chart(name: str) -> str:
    return f"api/series/{quote(name)}?keys={KEYS}"


class Page:
    """Listens to runs, and asks for their charts whenever told that there is more."""

    def __init__(self, url: str, runs: list[str]) -> None:
        self.url, self.runs = url, runs
        self.told = self.asked = self.received = 0
        self.waits: list[float] = []
        self._ended = False

    def listen(self) -> None:
        path = f"{self.url}api/stream?runs={','.join(map(quote, self.runs))}"
        with urlopen(path, timeout=60) as stream:
            for line in stream:
                if self._ended:
                    return
                self.received += len(line)
                self.told += line.startswith(b"event:")
                found = re.match(rb'data: {"name":"([^"]*)","rows"', line)
                if found:
                    took, data = get(self.url, chart(found[1].decode()))
                    self.waits.append(took)
                    self.asked, self.received = self.asked + 1, self.received + len(data)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._listen_until_it_ends, daemon=True)
        thread.start()
        return thread

    def _listen_until_it_ends(self) -> None:
        with contextlib.suppress(OSError):
            self.listen()

    def end(self) -> None:
        self._ended = True


def main() -> None:
    """A page in a process of its own: URL RUN ...; says at its end what it has received."""
    page = Page(sys.argv[1], sys.argv[2:])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with contextlib.suppress(OSError, KeyboardInterrupt):
        page.listen()
    print(json.dumps({"told": page.told, "asked": page.asked, "bytes": page.received}))


if __name__ == "__main__":
    main()
