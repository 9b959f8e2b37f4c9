"""A process that has imported torch and forks for every script: importing is not what is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qlearn.profiling import process

WAITING = """
import json, os, runpy, sys
import numpy, torch
import torch._dynamo  # with the first optimiser, otherwise
for request in sys.stdin:
    if os.fork() == 0:
        program, *sys.argv[1:] = json.loads(request)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv[0] = program
        sys.path[0] = os.path.dirname(program)
        runpy.run_path(program, run_name="__main__")
        sys.exit()
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@contextmanager
def forked() -> Iterator[Any]:
    """What can stand in for `process.run`; one script at a time, and none of its output."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdin=pipe, stdout=pipe, text=True
    ) as waiting:
        assert waiting.stdin is not None
        assert waiting.stdout is not None

        def run(
            script: Path, argv: Sequence[str], options: dict[str, Any], folder: Path, output: Any
        ) -> int:
            words = [process.CHILD, folder, json.dumps(options), "--", script, *argv]
            print(json.dumps([str(word) for word in words]), file=waiting.stdin, flush=True)
            return int(waiting.stdout.readline())

        yield run
