"""Q-learning as fast as the machine allows, and an honest account of where the time goes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qlearn.envs.gym.gymnasium_plugin import register_when_imported

__version__ = "0.1.0"

register_when_imported()  # our environments in Gymnasium, whichever is imported first

# Loaded on first use: `import qlearn` alone imports no NumPy, Numba, Torch or Gymnasium.
_HOMES = {
    "QTrainer": "qlearn.trainer",
    "ReplayBuffer": "qlearn.replay.buffer",
    "Run": "qlearn.runs.run",
    "UserError": "qlearn.errors",
    "calibrate": "qlearn.compare.calibrate",
    "compare": "qlearn.compare.compare",
    "load": "qlearn.runs.run",
    "make": "qlearn.envs.registry",
    "profile": "qlearn.profiling.profile",
    "reproduce": "qlearn.runs.reproduce",
    "train": "qlearn.runs.training",
}
_ROOMS = ("losses",)  # parts of qlearn that are used by their name

if TYPE_CHECKING:
    from qlearn import losses
    from qlearn.compare.calibrate import calibrate
    from qlearn.compare.compare import compare
    from qlearn.envs.registry import make
    from qlearn.errors import UserError
    from qlearn.profiling.profile import profile
    from qlearn.replay.buffer import ReplayBuffer
    from qlearn.runs.reproduce import reproduce
    from qlearn.runs.run import Run, load
    from qlearn.runs.training import train
    from qlearn.trainer import QTrainer

__all__ = [
    "QTrainer", "ReplayBuffer", "Run", "UserError", "__version__", "calibrate", "compare", "load",
    "losses", "make", "profile", "reproduce", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"qlearn.{name}")
    raise AttributeError(f"module 'qlearn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_ROOMS])
