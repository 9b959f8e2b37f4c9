"""Q-learning as fast as the machine allows, and an honest account of where the time goes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Loaded on first use: `import qlearn` alone imports no NumPy, Numba, Torch or Gymnasium.
_HOMES = {
    "make": "qlearn.envs.registry",
    "UserError": "qlearn.errors",
}

if TYPE_CHECKING:
    from qlearn.envs.registry import make
    from qlearn.errors import UserError

__all__ = ["UserError", "__version__", "make"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'qlearn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
