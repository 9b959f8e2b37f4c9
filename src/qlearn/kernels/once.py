"""Machine code for entries alone.

Numba optimises every function's module, with all that it reaches, and makes machine code of it,
also where nothing but its caller will ever use it: the work of PQN's loop is done some hundred
times over (38 s; so it is 14 s). Helpers are handed to their caller as they are lowered instead,
and everything is optimised once, together, in the entry's module.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def entries_only(helpers: Set[str]) -> Iterator[None]:
    """While kernels are compiled in here, functions of these names are left to their callers."""
    try:
        Library: Any = import_module("numba.core.codegen").JITCodeLibrary
        Context: Any = import_module("numba.core.cpu").CPUContext
        optimise, finish = Library._optimize_final_module, Library._finalize_final_module
        executable = Context.get_executable
    except (ImportError, AttributeError):  # another Numba: slower, and as good
        yield
        return

    def optimise_entry(library: Any) -> None:
        if library.name not in helpers:
            optimise(library)

    def finish_entry(library: Any) -> None:
        if library.name in helpers:
            library._finalized = True
        else:
            finish(library)

    def executable_entry(context: Any, library: Any, *rest: Any) -> Any:
        if library.name not in helpers:
            return executable(context, library, *rest)
        return [].append  # a built-in of its own, as Numba asks: no helper is called from Python

    Library._optimize_final_module, Library._finalize_final_module = optimise_entry, finish_entry
    Context.get_executable = executable_entry
    try:
        yield
    finally:
        Context.get_executable = executable
        Library._optimize_final_module, Library._finalize_final_module = optimise, finish
