"""Kernels of one text for copies laid out differently, compiled by different processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLAY = """
import qlearn
for size in {sizes}:
    batch = qlearn.make("snake", envs=3, size=size, observation="features")
    batch.reset()
    for _ in range(200):
        batch.step([0, 1, 2])
    plain = qlearn.make("snake", envs=3, size=size, observation="features", engine="python")
    plain.reset()
    for _ in range(200):
        plain.step([0, 1, 2])
    assert (batch.observations == plain.observations).all(), size
"""


def test_layouts_compiled_apart_do_not_run_each_others_code(tmp_path: Path) -> None:
    # Numba names machine code by a number that each record type gets anew in every process.
    for sizes in ((10,), (6,), (10, 6)):
        done = subprocess.run(
            [sys.executable, "-c", PLAY.format(sizes=sizes)],
            env=os.environ | {"QLEARN_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (sizes, done.returncode, done.stderr)
