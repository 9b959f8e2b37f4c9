"""BLAS is imported when a function asks for it, and not before."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import numpy as np
from qlearn.kernels.build import build

def plain(a, b):
    return a[0] * b[0]

numbers = np.arange(3.0)
assert build("a test without BLAS", [plain], {}).plain(numbers, numbers) == 0.0
assert "scipy.linalg" not in sys.modules, "BLAS is imported though nobody asked"

import numba
assert numba.njit(lambda a, b: np.dot(a, b))(numbers, numbers) == 5.0
assert "scipy.linalg" in sys.modules
"""


def test_blas_comes_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_CACHE", str(tmp_path))
    (tmp_path / "script.py").write_text(SCRIPT)  # kernels are read from a file
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
