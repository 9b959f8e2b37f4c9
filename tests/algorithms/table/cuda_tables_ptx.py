"""Compiles the kernels of agents to PTX, for which no GPU is needed; see envs/cuda_ptx.py."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "envs"))

from cuda_ptx import assemble, compile_ptx, ready


def check(options, dtype):
    import numpy as np
    from numba import cuda
    from numba.cuda.typing.typeof import typeof

    from qlearn.algorithms.table.cuda import kernels
    from qlearn.algorithms.table.cuda_loop import Model, layout_of
    from qlearn.envs import registry
    from qlearn.kernels.device import unfused

    environment = registry.find("grid", options)
    agents, entries = 64, 100
    numbers = np.zeros(entries, dtype)
    model = Model(np.zeros(entries, np.uint32), numbers, numbers)
    tables, small = np.zeros((entries, agents), dtype), np.zeros((5, agents), np.uint32)
    layout = layout_of(96, entries, numbers.itemsize)
    rules = (environment.actions, environment.max_steps, 0)
    arguments = {
        "learn": (
            tables, small, np.zeros((2, agents), np.int64), numbers, np.zeros(agents), model,
            numbers, np.zeros(1, np.uint64), layout, 9, *rules,
        ),
        "follow": (
            tables, small, np.zeros((9, agents), np.int64), np.zeros((9, agents), np.uint32),
            tables, model, numbers, layout, *rules,
        ),
    }  # fmt: skip
    for entry, values in arguments.items():
        function = kernels(environment).entries[entry].py_func
        with unfused():
            ptx = compile_ptx(cuda, function, tuple(typeof(value) for value in values))
        assert ".extern .shared" in ptx
        assert "ld.shared" in ptx, f"{entry} does not read shared memory as such"
        assert not re.search(r"\.local\b", ptx), f"{entry} uses local memory"
        assert "call.uni" not in ptx, f"{entry} calls what should be inlined"
        assert not re.search(r"\bfma\b|\bmad\.\w*\.?f", ptx), f"{entry} fuses"
        assert not re.search(r"\b(add|sub|mul)\.f(32|64)\b", ptx), f"{entry} may fuse"
        assemble(ptx, f"{entry} {np.dtype(dtype).name} {options}")


if __name__ == "__main__":
    reason = ready()
    if reason:
        print(f"SKIP {reason}")
        sys.exit()
    for options in ({}, {"max_steps": 100}):
        for dtype in ("float32", "float64"):
            check(options, dtype)
