"""Compiles the kernels of a batch to PTX, for which no GPU is needed; run by test_cuda.py.

Needs NVIDIA's compiler library (libnvvm), from a CUDA toolkit or from PyPI. numba-cuda asks the
device, and a library that a toolkit may lack (NVRTC), what to compile for: it is told here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path

HOPPER = (9, 0)


def ready():
    """Tells numba-cuda what it would ask; gives a reason where it cannot compile."""
    nvcc = shutil.which("nvcc") or "nvcc"
    for home in (Path(nvcc).resolve().parent.parent, *sorted(Path("/usr/local").glob("cuda*"))):
        if (home / "nvvm" / "libdevice").is_dir():
            os.environ.setdefault("CUDA_HOME", str(home))
    try:
        import numba.cuda.api
        import numba.cuda.compiler
        import numba.cuda.dispatcher
        from numba import cuda
        from numba.cuda import cuda_paths
        from numba.cuda.cudadrv import nvrtc

        device = types.SimpleNamespace(compute_capability=HOPPER)
        for module in (numba.cuda.api, numba.cuda.compiler, numba.cuda.dispatcher):
            module.get_current_device = lambda: device
        nvrtc.get_supported_ccs = lambda: [HOPPER]
        cuda_paths._get_nvrtc_path = lambda: None

        def nothing(x):
            x[0] = 1.0

        compile_ptx(cuda, nothing, (numba.types.float64[:],))
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return None


def compile_ptx(cuda, function, signature):
    return cuda.compile(function, signature, device=False, abi="numba", cc=HOPPER)[0]


def check(target, options, near):
    import numpy as np
    from numba import cuda
    from numba.cuda.typing.typeof import typeof

    from qlearn import rng
    from qlearn.envs import registry
    from qlearn.envs.cuda import compiled
    from qlearn.kernels.device import unfused

    environment = registry.find(target, options)
    kernels = compiled(environment)
    n, k = 64, environment.observation_shape[0]
    values = environment.world(kernels.module.World)
    world = type(values)(*(np.array(v) if isinstance(v, np.ndarray) else v for v in values))
    copies = np.zeros(n, environment.copy_dtype)
    words = copies.view(np.int64).reshape(n, -1)
    observations = np.zeros((k, n), environment.observation_dtype)
    flags = np.zeros(n, np.bool_)
    results = (observations, observations, np.zeros(n, np.float32), flags, flags)
    players = rng.streams(0, n)
    numbers = (environment.actions, environment.max_steps, world)
    arguments = {
        "begin_copies": (copies, observations, world),
        "step_copies": (copies, np.zeros(n, np.int64), *results, np.zeros(2, np.int64), *numbers),
        "roll": (copies, players, *results, 9, *numbers),
        "roll_near": (copies, words, players, *results, 9, *numbers),
        "read_column": (words, 0, players[:, 0].copy()),
    }
    assert set(arguments) == set(kernels.entries)
    del arguments["roll" if near else "roll_near"]  # never used for copies of this size
    for entry, values in arguments.items():
        with unfused():
            ptx = compile_ptx(
                cuda, kernels.entries[entry].py_func, tuple(typeof(value) for value in values)
            )
        assert not re.search(r"\bfma\b|\bmad\.\w*\.?f", ptx), f"{entry} fuses"
        # What has no rounding of its own, the assembler may fuse.
        assert not re.search(r"\b(add|sub|mul)\.f(32|64)\b", ptx), f"{entry} may fuse"
        assert "call.uni" not in ptx, f"{entry} calls what should be inlined"
        local = [int(size) for size in re.findall(r"\.local .*\[(\d+)\];", ptx)]
        # A copy played near lies in registers, but for the words drawn.
        assert sum(local) <= (64 if entry == "roll_near" else 0), f"{entry}: local memory {local}"
        assemble(ptx, f"{target} {entry}")


def assemble(ptx, name):
    """The assembler's word for it, and how many registers it takes."""
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.ptx"
        file.write_text(ptx)
        done = subprocess.run(
            [ptxas, "-v", "-arch=sm_90", str(file), "-o", str(file) + ".cubin"],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    print(name, *re.findall(r"Used \d+ registers|\d+ bytes spill stores", done.stderr))


if __name__ == "__main__":
    reason = ready()
    if reason:
        print(f"SKIP {reason}")
        sys.exit()
    check("cartpole", {}, near=True)
    check("grid", {"slip": 0.1}, near=True)
    check("snake", {}, near=False)
