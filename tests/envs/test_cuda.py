"""The CUDA batch plays the games of the CPU: on a GPU where there is one, else simulated."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qlearn.envs import registry
from qlearn.errors import UserError
from qlearn.kernels import build

HERE = Path(__file__).parent
HAS_NUMBA_CUDA = importlib.util.find_spec("numba_cuda") is not None
needs_numba_cuda = pytest.mark.skipif(not HAS_NUMBA_CUDA, reason="numba-cuda is not installed")

ASK = "from numba import cuda; print(cuda.is_available())"
NO_DEVICE = """
import sys
import qlearn.envs.batch, qlearn.envs.registry as registry
assert "numba.cuda" not in sys.modules and "numba_cuda" not in sys.modules
try:
    registry.make("grid", 10, 0, "cuda")
except qlearn.errors.UserError as error:
    print(error)
"""


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
@pytest.mark.parametrize("games", ["grid", "cartpole", "snake", "own", "protocol"])
def test_same_games_as_the_interpreter_and_the_cpu(games, simulator):
    done = run(str(HERE / "cuda_games.py"), games, **simulator)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_numba_cuda
def test_kernels_compile_for_a_gpu_with_the_cpus_rounding():
    done = run(str(HERE / "cuda_ptx.py"), NUMBA_ENABLE_CUDASIM="0")
    assert done.returncode == 0, done.stdout + done.stderr
    if done.stdout.startswith("SKIP "):
        pytest.skip(f"numba-cuda cannot compile here: {done.stdout[5:].strip()}")


@needs_numba_cuda
def test_without_a_device_one_line_says_so():
    done = run("-c", NO_DEVICE, NUMBA_ENABLE_CUDASIM="0", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("no CUDA device was found")
    assert line.endswith("--device cpu works")


def test_without_numba_cuda_the_line_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    with pytest.raises(
        UserError, match=r"numba-cuda is not installed: pip install 'qlearn\[gpu\]'"
    ):
        build.build("none", [], {}, "cuda")


@needs_numba_cuda
def test_a_copy_of_whole_words(tmp_path):
    """`roll_near` and `_book` look at a copy as words of eight bytes."""
    file = tmp_path / "odd.py"
    file.write_text(
        "class Odd:\n"
        '    """Fields of every size."""\n'
        "    actions = 2\n"
        "    observation = (1,)\n"
        '    state = {"a": "bool", "b": ("int16", 3), "c": "float32"}\n'
        "    def reset(state, rng): state.a = True\n"
        "    def step(state, action, rng): return 0.0, False\n"
        "    def observe(state, obs): obs[0] = 0.0\n"
    )
    dtype = registry.find(f"{file}:Odd").copy_dtype
    assert dtype.itemsize % 8 == 0
    assert all(dtype.fields[name][1] % 8 == 0 for name in ("last_score", "episodes"))
