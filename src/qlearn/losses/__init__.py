"""The loss of Q-learning: `q_loss` for any PyTorch module, `FusedQLoss` for multilayer perceptrons.

`q_loss` gives a loss to call `.backward()` on. `FusedQLoss` gives a number, and has the gradient
written already: fewer microseconds than PyTorch takes for one of its layers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {"q_loss": "qlearn.losses.eager", "FusedQLoss": "qlearn.losses.fused"}

if TYPE_CHECKING:
    from qlearn.losses.eager import q_loss
    from qlearn.losses.fused import FusedQLoss

__all__ = ["FusedQLoss", "q_loss"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'qlearn.losses' has no attribute '{name}'")
