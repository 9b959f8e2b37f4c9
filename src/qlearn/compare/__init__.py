"""Versions side by side: measured in turn, with intervals.

`qlearn.compare` is this package once anything in it is imported, and a function to its users:
it is both.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Called(ModuleType):
    def __call__(self, *targets: str, **how: Any) -> dict[str, Any]:
        from qlearn.compare.compare import compare

        return compare(*targets, **how)


sys.modules[__name__].__class__ = _Called
