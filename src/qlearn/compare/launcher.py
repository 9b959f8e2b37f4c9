"""Runs a command and writes down what it took: seconds, processor time, peak memory.

    python -I -S launcher.py RESULT.json COMMAND ...

A small process of its own: the system counts the memory of whoever starts a program among the
program's, and whoever compares may hold gigabytes. It imports nothing of qlearn for that reason.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time


def main() -> None:
    result, *command = sys.argv[1:]
    # Ctrl-C reaches the command, too, which ends in its own way; to be ended ends both.
    signal.signal(signal.SIGINT, lambda *_: None)
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.kill())
    code, cpu_seconds, peak_memory_mb = _wait(process)
    took = {
        "code": code,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": cpu_seconds,
        "peak_memory_mb": peak_memory_mb,
    }
    with open(result, "w", encoding="utf-8") as file:
        json.dump(took, file)


def _wait(process: subprocess.Popen) -> tuple[int, float, float]:
    """Exit code, processor seconds and peak memory, its own children's among them."""
    if not hasattr(os, "wait4"):  # Windows
        return process.wait(), 0.0, 0.0
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return process.returncode, usage.ru_utime + usage.ru_stime, peak


if __name__ == "__main__":
    main()
