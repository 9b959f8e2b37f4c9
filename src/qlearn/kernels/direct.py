"""Compiled entries without what Numba does before each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qlearn.kernels.build import Kernels


def direct(kernels: Kernels, entry: str, *arguments: Any) -> Callable:
    """The machine code of an entry for arguments like these.

    Numba looks at the type of every array before a call: 4 microseconds for the buffers of two
    networks and a batch, where unpacking them takes 0.3. Here nobody looks: who calls it vouches
    for the types, for each array's numbers and dimensions too.
    """
    from numba import typeof

    kernels.prepare(entry, *arguments)
    dispatcher = getattr(kernels, entry)
    compiled = dispatcher.overloads[tuple(typeof(argument) for argument in arguments)]
    return getattr(compiled, "entry_point", dispatcher)
