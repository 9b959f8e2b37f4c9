"""Which algorithm, on which engine: names to learners."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

import numpy as np

from qlearn.envs.spec import Environment, coerce
from qlearn.errors import UserError, closest
from qlearn.memory import refuse_beyond, together


@dataclass(frozen=True)
class Algorithm:
    config: str
    engines: dict[str, str]
    default_engine: str
    interpreting: tuple[
        str, ...
    ]  # engines that step environments from Python, the first by default


ALGORITHMS = {
    "table": Algorithm(
        config="qlearn.algorithms.table.config:TableConfig",
        engines={
            "dict": "qlearn.algorithms.table.sequential:DictLearner",
            "numba": "qlearn.algorithms.table.sequential:NumbaLearner",
            "numpy": "qlearn.algorithms.table.batched:numpy_learner",
            "torch": "qlearn.algorithms.table.batched:torch_learner",
            "cupy": "qlearn.algorithms.table.batched:cupy_learner",
            "cuda": "qlearn.algorithms.table.cuda:cuda_learner",
        },
        default_engine="numba",
        interpreting=("numpy", "torch", "cupy"),
    ),
    "pqn": Algorithm(
        config="qlearn.algorithms.pqn.config:PqnConfig",
        engines={
            "fused": "qlearn.algorithms.pqn.learner:fused_learner",
            "torch": "qlearn.algorithms.pqn.graphed:torch_learner",
        },
        default_engine="fused",
        interpreting=("fused", "torch"),
    ),
    "dqn": Algorithm(
        config="qlearn.algorithms.dqn.config:DqnConfig",
        engines={
            "fused": "qlearn.algorithms.dqn.learner:fused_learner",
            "torch": "qlearn.algorithms.dqn.graphed:torch_learner",
        },
        default_engine="fused",
        interpreting=("fused", "torch"),
    ),
}


# Settings of networks that only the torch engine has, and what they are where nobody asks for it.
OF_TORCH = {"conv": "", "network": "", "precision": "float32", "compile": "false"}


def algorithm(environment: Environment, algo: str) -> str:
    """The name behind `auto`."""
    if algo == "auto":
        algo = "table" if environment.discrete else "pqn"
    if algo not in ALGORITHMS:
        raise UserError(f"unknown algorithm '{algo}'{closest(algo, ALGORITHMS)}")
    return algo


def choose(
    environment: Environment, algo: str, engine: str, settings: Mapping[str, Any] | None = None
) -> tuple[str, str]:
    """The names behind `auto`, by what the algorithm can; `qlearn.auto` knows the machine too."""
    algo = algorithm(environment, algo)
    known = ALGORITHMS[algo]
    if engine == "auto":
        engine = known.default_engine if environment.compiled else known.interpreting[0]
        if "torch" in known.engines and _asks_for_torch(environment, algo, settings or {}):
            engine = "torch"
    if engine not in known.engines:
        raise UserError(f"unknown engine '{engine}' for {algo}{closest(engine, known.engines)}")
    if not environment.compiled and engine not in known.interpreting:
        raise UserError(
            f"the {engine} engine compiles environments, and {environment.name} is not ours to"
            f" compile; --engine {known.interpreting[0]} steps it as it is"
        )
    return algo, engine


def config_class(algo: str) -> type:
    return _load(ALGORITHMS[algo].config)


def configure(
    algo: str, settings: dict[str, Any], environment: Any = None, engine: str = ""
) -> Any:
    """The algorithm's configuration with these settings; each wrong one is one clear line.

    Where the user says nothing, the environment's own settings count, then the defaults.
    """
    cls = config_class(algo)
    settings = _with_own(environment, algo, settings)
    defaults = {field.name: field.default for field in fields(cls)}
    kinds = {field.name: str(field.type) for field in fields(cls)}
    values = {}
    for key, value in settings.items():
        if key not in defaults:
            raise UserError(f"there is no setting '{key}' for {algo}{closest(key, defaults)}")
        kind = kinds[key]
        if value is None and defaults[key] is None:
            continue
        if "str" in kind:  # numbers or words, such as schedules
            values[key] = value
        else:
            default = 0.0 if defaults[key] is None else defaults[key]
            values[key] = coerce(value, default, key)
    config = cls(**values)
    return config.settled(engine) if environment else config


def _asks_for_torch(environment: Environment, algo: str, settings: Mapping[str, Any]) -> bool:
    asked = _with_own(environment, algo, settings)
    return any(str(asked.get(key) or usual).lower() != usual for key, usual in OF_TORCH.items())


def _with_own(environment: Any, algo: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**(environment.settings.get(algo, {}) if environment else {}), **settings}


BOOKS = 64  # bytes of a copy that steps from Python, at the least: its stream, what it earned


def make_learner(algo: str, engine: str, environment: Environment, config: Any, seed: int) -> Any:
    with together():
        _refuse_beyond_memory(environment, getattr(config, "envs", 1))
        return _made(algo, engine, environment, config, seed)


def _made(algo: str, engine: str, environment: Environment, config: Any, seed: int) -> Any:
    if environment.kind == "file" or environment.reward is not None:
        # Compiled code does not notice writing out of bounds: the user's text is tried plain first.
        from qlearn.envs.checks.quick import probe

        probe(environment)
    if engine == "torch":
        # Threads of torch that wait for others spin, and on cores that they share with any other
        # work one update of a small network then took 270 ms instead of 2; with the processor
        # given back they wait at most twice as long. Read when torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return _load(ALGORITHMS[algo].engines[engine])(environment, config, seed)


def _refuse_beyond_memory(environment: Environment, envs: int) -> None:
    """What so many copies take at the least: what each shows, before and after a step."""
    shown = (
        math.prod(environment.observation_shape) * np.dtype(environment.observation_dtype).itemsize
    )
    own = environment.copy_dtype.itemsize if environment.compiled else BOOKS
    refuse_beyond(
        f"{envs:,} copies of {environment.name} take", envs * (2 * shown + own), "fewer --envs fit"
    )


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
