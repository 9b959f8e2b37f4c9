"""Makes our environments known to Gymnasium as `qlearn/Snake-v0` and so on. Imports next to nothing.

Gymnasium 1.0 gave up loading plugins by entry point: it knows what a module registered when it was
imported. So `gymnasium.make("qlearn:qlearn/Snake-v0")` works anywhere, `gymnasium.make(
"qlearn/Snake-v0")` after `import qlearn`, in whichever order the two were imported.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

ENV = "qlearn.envs.gym.gymnasium_out:GymnasiumEnv"
VECTOR_ENV = "qlearn.envs.gym.gymnasium_out:GymnasiumVectorEnv"
REGISTRY = "gymnasium.envs"

# What Gymnasium is told, beside where the classes are. Time limits are ours, not its wrapper's.
KNOWN: dict[str, dict[str, Any]] = {
    "qlearn/Grid-v0": {"kwargs": {"env": "grid"}},
    "qlearn/CartPole-v0": {"kwargs": {"env": "cartpole"}, "reward_threshold": 475.0},
    "qlearn/Snake-v0": {"kwargs": {"env": "snake"}},
    "qlearn/Custom-v0": {},  # env="FILE.py:Name", or a map
}


def register() -> None:
    """Registers each environment once, however often it is called."""
    from gymnasium.envs.registration import register as add
    from gymnasium.envs.registration import registry

    for identity, told in KNOWN.items():
        if identity not in registry:
            add(id=identity, entry_point=ENV, vector_entry_point=VECTOR_ENV, **told)


def register_when_imported() -> None:
    """Registers now if Gymnasium is loaded, else as soon as it is; never loads it."""
    if REGISTRY in sys.modules:
        register()
    elif not any(isinstance(finder, _Listener) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Listener())


class _Listener:
    """Waits in the import system for Gymnasium's registry, calls `register`, and is gone."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)  # type: ignore[assignment]
        return spec


class _Registering:
    """A module's own loader, and `register` after it."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        register()
