"""A game with a run's network, played in a process of its own: the server goes on answering.

    python -m qlearn.dashboard.play FOLDER SEED (best|last)

writes the packed clip to standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from qlearn.errors import UserError

MOST_SECONDS = 60.0  # of a game
PATIENCE = 120.0  # until the process has answered
MOST_WAITING = 8
MOST_BYTES = 64 * 2**20
USERS_FAULT = 2


class Player:
    """One game at a time; who asks meanwhile waits in line."""

    def __init__(self) -> None:
        self._waiting = 0
        self._lock: asyncio.Lock | None = None

    async def play(self, folder: Path, seed: int, best: bool) -> bytes:
        """A clip as gzip."""
        if self._waiting >= MOST_WAITING:
            raise UserError("that many games are being played already; ask again in a moment")
        self._lock = self._lock or asyncio.Lock()
        self._waiting += 1
        try:
            async with self._lock:
                return await _played(folder, seed, best)
        finally:
            self._waiting -= 1


async def _played(folder: Path, seed: int, best: bool) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "qlearn.dashboard.play",
        str(folder), str(seed), "best" if best else "last",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        data, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        raise UserError(f"no game was played within {PATIENCE:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    lines = said.decode(errors="replace").strip().splitlines()
    if process.returncode or len(data) > MOST_BYTES:
        raise UserError(lines[-1][:500] if lines else "the game could not be played")
    return data


def main(folder: str, seed: str, which: str) -> int:
    # What the environment prints must not get into the clip.
    out = os.dup(1)
    os.dup2(2, 1)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)  # a training on the same cores goes first
    from qlearn.runs.folder import RunFolder
    from qlearn.runs.run import Run
    from qlearn.watching.clip import play

    try:
        run = Run(RunFolder.open(Path(folder)))
        clip = play(run, int(seed), which == "best", seconds=MOST_SECONDS)
        data = clip.gzipped()
    except UserError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return USERS_FAULT
    except Exception as error:
        print(f"the game could not be played: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    with open(out, "wb") as file:
        file.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
