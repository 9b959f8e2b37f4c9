"""From what a person types to an environment: `cartpole`, `maze.txt`, `gym:ID`, `my.py:Name`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlearn.envs import spec
from qlearn.envs.userfile import load_object
from qlearn.errors import UserError, closest
from qlearn.rng import checked_seed

if TYPE_CHECKING:
    from qlearn.envs.batch import Batch

BUILTIN = {
    "grid": "qlearn.envs.builtin.grid:Grid",
    "cartpole": "qlearn.envs.builtin.cartpole:CartPole",
    "snake": "qlearn.envs.builtin.snake:Snake",
}
FORMS = ("FILE.txt (a map)", "gym:ID", "FILE.py:Name")
# Gymnasium's own, where we have the same game compiled; env.native=false runs theirs.
NATIVE_TWINS = {"CartPole-v1": "cartpole"}


def find(target: str, options: Mapping[str, Any] | None = None) -> spec.Environment:
    """The environment a target names, its options settled; unknown ones get one clear line."""
    chosen = dict(options or {})
    buckets = chosen.pop("buckets", None)
    environment = _find(target, chosen, _own_reward(chosen))
    if buckets is None:
        return environment
    from qlearn.envs.buckets import divide

    return divide(environment, buckets)


def _find(target: str, chosen: dict[str, Any], reward: Any) -> Any:
    if target in BUILTIN:
        module, _, name = BUILTIN[target].partition(":")
        cls = getattr(importlib.import_module(module), name)
        return spec.from_class(cls, target, "builtin", chosen, reward, target)
    if target.startswith("gym:"):
        return _gymnasium(target[len("gym:") :], chosen, reward)
    path, separator, name = target.rpartition(":")
    if separator and path.endswith(".py"):
        cls = load_object(Path(path), name)
        if not isinstance(cls, type):
            raise UserError(f"{path}: '{name}' is no class")
        from qlearn.envs.checks.quick import insist

        insist(cls, chosen)
        return spec.from_class(cls, name, "file", chosen, reward, _absolute(path) + ":" + name)
    if target.endswith(".py"):
        raise UserError(f"which class of {target}? write {target}:Name")
    if target.endswith(".txt"):
        from qlearn.envs import maps

        return maps.load(Path(_absolute(target)), chosen, reward)
    raise UserError(f"unknown environment '{target}'{closest(target, (*BUILTIN, *FORMS))}")


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _own_reward(chosen: dict[str, Any]):
    """Takes env.reward=FILE.py:function out of the options; a word stays the environment's own."""
    value = chosen.get("reward")
    if callable(value):
        spec.check_reward(value, "reward")
        return chosen.pop("reward")
    if not isinstance(value, str) or ".py:" not in value:
        return None
    del chosen["reward"]
    path, _, name = value.rpartition(":")
    function = load_object(Path(path), name)
    spec.check_reward(function, value)
    return function


def _gymnasium(identity: str, chosen: dict[str, Any], reward) -> spec.Environment:
    native = spec.coerce(chosen.pop("native", True), True, "env.native")
    if native and identity in NATIVE_TWINS:
        twin = find(NATIVE_TWINS[identity], chosen)
        return replace(twin, reward=reward)
    from qlearn.envs.gym import foreign

    return foreign.find(identity, chosen, reward, native)


def make(
    target: str,
    envs: int = 1,
    seed: int = 0,
    engine: str = "numba",
    threads: int = 1,
    **options: Any,
) -> Batch:
    """A batch of copies, ready to `reset()` and `step(actions)`.

    `engine` is numba (compiled for the CPU), python (the interpreter, for debugging) or cuda.
    """
    return batch(find(target, options), envs, seed, engine, threads)


def batch(
    environment: Any, envs: int = 1, seed: int = 0, engine: str = "numba", threads: int = 1
) -> Batch:
    seed = checked_seed(seed)
    if not environment.compiled:
        return environment.batch(envs, seed)
    if engine != "python" and (environment.kind == "file" or environment.reward is not None):
        from qlearn.envs.checks.quick import probe

        probe(environment)  # compiled, a write outside an array goes unnoticed
    from qlearn.envs.batch import NumbaBatch, PlainBatch

    if engine == "numba":
        return NumbaBatch(environment, envs, seed, threads)
    if engine == "python":
        return PlainBatch(environment, envs, seed)
    if engine == "cuda":
        from qlearn.envs.cuda import CudaBatch

        return CudaBatch(environment, envs, seed)
    raise UserError(f"unknown engine '{engine}'{closest(engine, ('numba', 'python', 'cuda'))}")


def catalogue() -> list[dict[str, Any]]:
    """What `qlearn envs` shows."""
    rows = []
    for name in BUILTIN:
        environment = find(name)
        rows.append(
            {
                "name": name,
                "kind": environment.kind,
                "actions": environment.actions,
                "observation": environment.observation
                if environment.discrete
                else list(environment.observation_shape),
                "description": environment.description,
            }
        )
    return rows
