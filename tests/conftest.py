"""One private cache folder for the whole session: kernels compile once, and nobody's are touched."""

from __future__ import annotations

import os
import shutil
import tempfile


def pytest_configure(config):
    # Before any test module is imported; the workers of pytest-xdist inherit the folder.
    if "QLEARN_CACHE" not in os.environ:
        config.qlearn_cache = os.environ["QLEARN_CACHE"] = tempfile.mkdtemp(prefix="qlearn-tests-")
    os.environ.setdefault("QLEARN_QUIET", "1")


def pytest_unconfigure(config):
    if hasattr(config, "qlearn_cache"):
        shutil.rmtree(config.qlearn_cache, ignore_errors=True)
