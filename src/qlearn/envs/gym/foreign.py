"""Gymnasium's own environments, `gym:ID`: compiled where they have a finite model, else as they are.

Environments that run as they are, run in one of three ways (`env.run`): `serial`, one copy after
another; `processes`, the same copies in worker processes; `vector`, the environment's own batched
class. `serial` and `processes` play the same games. `auto` takes `vector` where the class exists
and enough copies ask for it; between the other two it compares what was measured once and kept.
"""

from __future__ import annotations

import inspect
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from qlearn.envs.batch import Batch
from qlearn.envs.gym import finite
from qlearn.envs.gym.foreign_batch import ProcessBatch, SerialBatch, VectorBatch
from qlearn.envs.gym.foreign_copies import (
    PATIENCE,
    Recipe,
    can_be_indexed,
    failure,
    importable,
    recipe_of,
    view_of,
)
from qlearn.envs.gym.foreign_workers import Workers
from qlearn.envs.spec import Planes
from qlearn.errors import UserError
from qlearn.kernels import cache

WAYS = ("auto", "serial", "processes", "vector")
# A batched class spends some 50 us of NumPy calls a step, as much as about 8 classic copies.
VECTOR_PAYS = 8
# Processes must win clearly: they cost memory, a second to start, and other programs' cores.
CLEARLY = 0.7
# With less than this to save in a step, talking to processes is not even measured.
WORTH_MEASURING = 20e-6


@dataclass(frozen=True, eq=False)
class GymEnvironment:
    """What learners ask of an environment, for one that is not ours to compile."""

    recipe: Recipe
    description: str
    actions: int
    observation: tuple[int, ...] | int
    low_array: np.ndarray
    high_array: np.ndarray
    run: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    discount: float = 0.99
    notes: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    reward: Callable | None = None
    draw: Callable | None = None
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: Callable | None = None
    kind: str = "gymnasium"
    planes: Planes | None = None  # where what is seen is a picture

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def target(self) -> str:
        return self.recipe.name

    @property
    def max_steps(self) -> int:
        return self.recipe.max_steps

    @property
    def low(self) -> float:
        return float(self.low_array.min())

    @property
    def high(self) -> float:
        return float(self.high_array.max())

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest value of each number seen; float32's ends mean none."""
        low, high = (np.array(a, np.float64).reshape(-1) for a in (self.low_array, self.high_array))
        return np.where(low < -1e30, -np.inf, low), np.where(high > 1e30, np.inf, high)

    @property
    def discrete(self) -> bool:
        return isinstance(self.observation, int)

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return (1,) if isinstance(self.observation, int) else self.observation

    @property
    def observation_dtype(self) -> type:
        return np.int64 if self.discrete else np.float32

    @property
    def compiled(self) -> bool:
        return False

    def open(self, render_mode: str | None = None) -> Any:
        """One environment as Gymnasium makes it, without a time limit; to be looked at."""
        return self.recipe.open(render_mode)

    def batch(self, envs: int, seed: int = 0) -> Batch:
        """Copies 0 .. envs-1 of a seed; `notes` of the batch say how they run, and why."""
        way, note = way_to_run(self, envs)
        batch: Any
        if way == "vector":
            batch = VectorBatch(self, envs, seed)
        elif way == "processes":
            batch = ProcessBatch(self, envs, seed, processes_for(envs))
        else:
            batch = SerialBatch(self, envs, seed)
        batch.notes = (f"{self.name}: {note}",)
        return batch


def find(identity: str, chosen: Mapping[str, Any], reward=None, native: bool = True) -> Any:
    """The environment of an ID: an `Environment` that compiles, or a `GymEnvironment`."""
    run = chosen.get("run", "auto")
    if run not in WAYS:
        raise UserError(f"env.run must be one of {', '.join(WAYS)}, not {run!r}")
    if native and run == "auto" and "index" not in chosen:
        compiled = finite.from_gymnasium(identity, chosen, reward)
        if compiled is not None:
            return compiled
    recipe = recipe_of(identity, chosen)
    env = recipe.open()
    try:
        return _read(recipe, env, chosen, reward, run, native)
    finally:
        env.close()


def _read(
    recipe: Recipe, env: Any, chosen: Mapping[str, Any], reward: Any, run: str, native: bool
) -> GymEnvironment:
    if not isinstance(env.action_space, spaces.Discrete):
        kind = "continuous" if isinstance(env.action_space, spaces.Box) else "composed"
        raise UserError(
            f"{recipe.name} has {kind} actions, {env.action_space};"
            " Q-learning needs a fixed number of them to choose from"
        )
    view = view_of(env.observation_space, recipe.index, recipe.name)
    options = finite.settled(recipe, chosen)
    if recipe.index:
        options["index"] = True
    if recipe.patience != PATIENCE:
        options["patience"] = recipe.patience
    if run != "auto":
        options["run"] = run
    if not native:
        options["native"] = False
    return GymEnvironment(
        recipe=recipe,
        description=(inspect.getdoc(type(env.unwrapped)) or "").strip().split("\n")[0],
        actions=int(env.action_space.n),
        observation=view.observation,
        low_array=view.low,
        high_array=view.high,
        run=run,
        options=options,
        notes=_notes(recipe, env.observation_space, view.observation),
        reward=reward,
        planes=_planes(env.observation_space),
    )


def _planes(space: Any) -> Planes | None:
    """A Box of three axes as a picture: channels last, unless the first axis is the shortest."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        return None
    first, second, third = space.shape
    if first < min(second, third):
        return Planes(first, second, third)
    return Planes(third, first, second, channels_last=True)


def _notes(recipe: Recipe, space: Any, observation: tuple[int, ...] | int) -> tuple[str, ...]:
    if isinstance(space, spaces.Discrete) or (
        isinstance(space, spaces.Box) and space.shape == observation
    ):
        return ()
    if isinstance(observation, int):
        return (f"{recipe.name}: observations become one of {observation:,} states",)
    note = f"{recipe.name}: observations are flattened to {observation[0]:,} numbers"
    if can_be_indexed(space):
        states = view_of(space, True, recipe.name).observation
        note += f"; --set env.index=true makes them one of {states:,} states, for tables"
    return (note,)


# How to run it.


def way_to_run(environment: GymEnvironment, envs: int) -> tuple[str, str]:
    """serial, processes or vector, and why in one line."""
    recipe, run = environment.recipe, environment.run
    has_class = recipe.spec.vector_entry_point is not None
    if run == "vector" and not has_class:
        raise UserError(f"{recipe.name} has no batched class of its own; use another env.run")
    if run == "processes" and not importable(recipe):
        raise UserError(
            f"{recipe.name} cannot run in processes: it is defined in the main program;"
            " put its class into a module"
        )
    if run == "vector" or (run == "auto" and has_class and envs >= VECTOR_PAYS):
        return "vector", f"{_copies(envs)} in its own batched class"
    if run == "processes":
        count = processes_for(envs)
        return run, f"{_copies(envs)} in {count} process{'es' * (count > 1)}"
    if run == "serial":
        return run, f"{_copies(envs)} one after another"
    return _faster_way(recipe, envs)


def _faster_way(recipe: Recipe, envs: int) -> tuple[str, str]:
    """One after another, unless processes are clearly faster by what was measured once."""
    serial, count = f"{_copies(envs)} one after another", processes_for(envs)
    if envs == 1 or count == 1 or not importable(recipe):
        return "serial", serial
    step = step_seconds(recipe)
    share = -(-envs // count) / envs
    if (1.0 - share) * envs * step < WORTH_MEASURING:
        return "serial", f"{serial} ({_time(step)} a step)"
    talk = talking_seconds(count)
    if share * envs * step + talk < CLEARLY * envs * step:
        return (
            "processes",
            f"{envs} copies in {count} processes ({_time(step)} a step, {_time(talk)} for talking)",
        )
    return (
        "serial",
        f"{serial} ({_time(step)} a step; {count} processes would spend {_time(talk)} on talking)",
    )


def _copies(count: int) -> str:
    return f"{count} {'copy' if count == 1 else 'copies'}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:,.1f} ms"


def processes_for(envs: int) -> int:
    """As many workers as this process may use cores, and no more than there are copies."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, envs))


# What is measured once and kept, so that the choice is the same ever after.


def step_seconds(recipe: Recipe) -> float:
    """The time of one step of one copy, resets included."""
    known = json.dumps(recipe.options, sort_keys=True, default=repr)
    return _once(f"step {recipe.name} {known} {gymnasium.__version__}", lambda: _timed(recipe))


def _timed(recipe: Recipe, seconds: float = 0.05, most: int = 2000) -> float:
    env = recipe.open()
    chooser = np.random.default_rng(0)
    steps, start = 0, int(env.action_space.start)
    try:
        env.reset(seed=0)
        began = time.perf_counter()
        while steps < most and time.perf_counter() - began < seconds:
            *_, terminated, truncated, _ = env.step(
                start + int(chooser.integers(env.action_space.n))
            )
            if terminated or truncated:
                env.reset()
            steps += 1
        return (time.perf_counter() - began) / steps
    except Exception as error:
        raise failure(recipe.name, "a step", error) from error
    finally:
        env.close()


def talking_seconds(count: int) -> float:
    """The time of telling `count` processes to step and hearing that they did."""
    return _once(f"talk {count}", lambda: _talked(count))


def _talked(count: int, times: int = 300) -> float:
    spec = gymnasium.envs.registration.EnvSpec(
        "qlearn/Nothing-v0", entry_point="qlearn.envs.gym.foreign:Nothing"
    )
    workers = Workers(Recipe(spec.id, spec, {}, 0), count, 1, "<f4", count)
    try:
        workers.begin()
        spent = []
        for _ in range(times):
            began = time.perf_counter()
            workers.step()
            spent.append(time.perf_counter() - began)
        return statistics.median(spent)
    finally:
        workers.close()


class Nothing(gymnasium.Env):
    """An environment whose steps take no time."""

    observation_space = spaces.Box(0.0, 1.0, (1,))
    action_space = spaces.Discrete(1)
    seen = np.zeros(1, np.float32)

    def reset(self, *, seed=None, options=None):
        return self.seen, {}

    def step(self, action):
        return self.seen, 0.0, False, False, {}


def _once(what: str, measure: Callable[[], float]) -> float:
    """A figure kept in the cache folder, measured where it is not there yet."""
    file = cache.folder() / "gymnasium.json"
    kept = _kept(file)
    if what not in kept:
        kept = {**_kept(file), what: measure()}
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        draft.replace(file)
    return kept[what]


def _kept(file: Path) -> dict[str, float]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {key: float(value) for key, value in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # not there yet, or damaged: measured anew
