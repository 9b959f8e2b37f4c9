"""Numba, imported without what nothing here needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def import_numba() -> None:
    """Numba and its arrays, but not SciPy's BLAS behind them.

    Numba looks for BLAS when its arrays are imported: 0.12 to 0.17 s and 15 MB, at the beginning of
    every process. Products in here are `simd`'s own. A function of a user's that calls `np.dot`
    still gets BLAS, when it is compiled.
    """
    import_module("numba")
    try:
        linear: Any = import_module("numba.np.linalg")
        look = linear.ensure_blas
    except (ImportError, AttributeError):  # another Numba: slower, and as good
        return
    linear.ensure_blas = lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        linear.ensure_blas = look
