"""What a CUDA kernel asks of the device, and how its sums are kept to the CPU's bits.

The functions are placeholders: a module compiled for CUDA has numba-cuda's own in their place.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def grid(dimensions):
    """This thread's place among all threads of the launch."""
    raise NotImplementedError


def gridsize(dimensions):
    """How many threads the launch has."""
    raise NotImplementedError


def local_array(shape, dtype):
    """Memory of this thread alone; shape and dtype are known when the kernel is compiled."""
    raise NotImplementedError


def shared_array(shape, dtype):
    """Memory of this block of threads; of shape 0, all that the launch has asked for.

    Every array of shape 0 begins at the same place.
    """
    raise NotImplementedError


def meet():
    """Waits until every thread of this block is here."""
    raise NotImplementedError


def lower(array, index, value):
    """array[index] = min(array[index], value), whatever the other threads do meanwhile."""
    raise NotImplementedError


NAMES: dict[Callable, str] = {
    grid: "cuda.grid",
    gridsize: "cuda.gridsize",
    local_array: "cuda.local.array",
    shared_array: "cuda.shared.array",
    meet: "cuda.syncthreads",
    lower: "cuda.atomic.min",
}

# `cuda.jit` is called, not used as a decorator with options: so it would drop `lto` (numba-cuda
# 0.30), and link-time optimisation would fuse what `unfused` keeps apart. The simulator knows
# none of the options; its device functions are much slower than plain ones and do no more.
IMPORT = """from numba import config, cuda


def kernel(function):
    if config.ENABLE_CUDASIM:
        return cuda.jit(function)
    return cuda.jit(function, cache=True, lto=False)


def device(function, forceinline=True):
    if config.ENABLE_CUDASIM:
        return function
    return cuda.jit(function, device=True, forceinline=forceinline, lto=False)


def cold(function):
    return device(function, forceinline=False)
"""


@contextmanager
def unfused() -> Iterator[None]:
    """While kernels are compiled in here, a * b + c is rounded twice, as on the CPU.

    numba-cuda has no option for it (NVVM's `fma`, on by default), only the call it goes through.
    """
    nvvm: Any = importlib.import_module("numba.cuda.cudadrv.nvvm")
    compile_ir = nvvm.compile_ir

    def without_fma(source: Any, **options: Any) -> Any:
        return compile_ir(source, **{**options, "fma": False})

    nvvm.compile_ir = without_fma
    try:
        yield
    finally:
        nvvm.compile_ir = compile_ir
