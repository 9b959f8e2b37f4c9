"""Agents on the GPU learn what the CPU's learn: on a GPU where there is one, else simulated."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qlearn.algorithms.table import cuda
from qlearn.algorithms.table.config import TableConfig
from qlearn.envs import registry
from qlearn.errors import UserError

HERE = Path(__file__).parent
HAS_NUMBA_CUDA = importlib.util.find_spec("numba_cuda") is not None
needs_numba_cuda = pytest.mark.skipif(not HAS_NUMBA_CUDA, reason="numba-cuda is not installed")

ASK = "from numba import cuda; print(cuda.is_available())"
NO_DEVICE = """
import qlearn.algorithms.registry as algorithms, qlearn.envs.registry as registry
from qlearn.errors import UserError
grid = registry.find("grid", {})
try:
    algorithms.make_learner(
        "table", "cuda", grid, algorithms.configure("table", {}, grid, "cuda"), 0
    )
except UserError as error:
    print(error)
"""
H100 = 232_448, 233_472  # shared memory of a block, of a processor


def run(*arguments, **environment):
    """Python in a process of its own, and what it said."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def simulator():
    """The environment variable that chooses the simulator, where there is no GPU."""
    found = run("-c", ASK, NUMBA_ENABLE_CUDASIM="0").stdout.strip() == "True"
    return {"NUMBA_ENABLE_CUDASIM": "0" if found else "1"}


@needs_numba_cuda
@pytest.mark.parametrize(
    "what", ["given", "own", "optimum", "learner", "turned", "errors", "refusals_of_the_generator"]
)
def test_agents(what, simulator, tmp_path):
    if what == "refusals_of_the_generator":  # the kernel's text, run as plain Python
        simulator = {"NUMBA_ENABLE_CUDASIM": "1"}
    done = run(str(HERE / "cuda_tables.py"), str(tmp_path), what, **simulator)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr


@needs_numba_cuda
def test_tables_stay_on_the_chip_and_round_like_the_cpu():
    done = run(str(HERE / "cuda_tables_ptx.py"), NUMBA_ENABLE_CUDASIM="0")
    assert done.returncode == 0, done.stdout + done.stderr
    if done.stdout.startswith("SKIP "):
        pytest.skip(f"numba-cuda cannot compile here: {done.stdout[5:].strip()}")


@needs_numba_cuda
def test_without_a_device_one_line_says_so():
    done = run("-c", NO_DEVICE, NUMBA_ENABLE_CUDASIM="0", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("no CUDA device was found")
    assert line.endswith("--engine numba works")


def test_without_numba_cuda_the_line_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    with pytest.raises(UserError, match=r"pip install 'qlearn\[gpu\]'"):
        cuda.CudaAgents(registry.find("grid", {}), TableConfig(lr=0.5, epsilon=0.1, steps=9), [0])


@pytest.mark.parametrize(
    ("entries", "itemsize", "threads", "blocks"), [(100, 4, 96, 5), (100, 8, 32, 8)]
)
def test_blocks_of_the_5x5_grid_need_no_more_memory_than_they_get_unasked(
    entries, itemsize, threads, blocks
):
    layout = cuda.best_layout(entries, itemsize, *H100)
    assert layout.threads == threads
    assert layout.size <= cuda.UNASKED
    assert H100[1] // (layout.size + cuda.RESERVED) == blocks


def test_a_table_that_does_not_fit_is_told_the_largest():
    with pytest.raises(UserError, match=r"at most 1,70\d of 32 bits") as caught:
        cuda.best_layout(4000, 4, *H100)
    most = int(str(caught.value).split("at most ")[1].split(" of")[0].replace(",", ""))
    assert cuda.best_layout(most, 4, *H100).threads == cuda.WARP
    with pytest.raises(UserError):
        cuda.best_layout(most + 1, 4, *H100)
