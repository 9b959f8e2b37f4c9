"""Whether a process is still the one that it was: numbers of processes are used again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BOOT = Path("/proc/sys/kernel/random/boot_id")
GONE = "ZX"  # states of a process that has ended and was not buried yet


def itself() -> dict[str, Any]:
    """This process, as `lives` knows it again."""
    return {"pid": os.getpid(), "pid_started": started(os.getpid())}


def lives(pid: Any, since: Any = None) -> bool:
    """Whether the process of this number runs; with `since`, that which began then."""
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 2**31:
        return False
    if sys.platform == "win32":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's: it is there
        pass
    now = started(pid)
    return now != "" and (since is None or now is None or now == since)


def started(pid: int) -> str | None:
    """When it began, in words that no other process of this number had; "" if it has ended.

    None where the system does not say. No clock is read that can be set.
    """
    if sys.platform == "darwin":
        said = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True)
        return said.stdout.decode(errors="replace").strip()
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        state, *fields = text.rpartition(")")[2].split()
        return "" if state in GONE else f"{fields[18]} {BOOT.read_text().strip()}"
    except (OSError, IndexError, ValueError):
        return None
