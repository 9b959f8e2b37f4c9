"""Tells every mistake in an environment in words, with the line to mend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs import registry
from qlearn.envs.checks import declared, playing, reading, watching
from qlearn.envs.checks.problem import ERROR, WARNING, Problem, distinct, from_error
from qlearn.envs.checks.quick import functions, known, undivided
from qlearn.envs.spec import FUNCTIONS, Environment
from qlearn.envs.userfile import load_object
from qlearn.errors import UserError
from qlearn.rng import integers

GAMES, STEPS, SECONDS = 8, 150, 2.0
FOREIGN_COPIES, FOREIGN_STEPS = 2, 100

__all__ = ["Problem", "check"]


def check(target: str, options: Mapping[str, Any] | None = None) -> list[Problem]:
    """Every problem with the environment a target names; none means it runs everywhere."""
    path, separator, name = target.rpartition(":")
    if separator and path.endswith(".py") and not target.startswith("gym:"):
        return _of_file(target, Path(path), name, dict(options or {}))
    return _of_named(target, dict(options or {}))


def _of_file(target: str, path: Path, name: str, options: dict[str, Any]) -> list[Problem]:
    try:
        with watching.silence():
            cls = load_object(path, name)
        if not isinstance(cls, type):
            return [Problem(str(path), 0, f"'{name}' is no class")]
        own = known(cls, options)
        found = declared.problems(cls, own)
        if not found:
            return _of_environment(registry.find(target, options))
    except UserError as error:
        return [from_error(error, str(path))]
    # What does not stand cannot be played, but it can be read.
    own_functions = {key: getattr(cls, key) for key in FUNCTIONS if hasattr(cls, key)}
    return found + distinct(reading.read(own_functions, declared.fields(cls, own)).problems)


def _of_named(target: str, options: dict[str, Any]) -> list[Problem]:
    """A built-in, a map, a Gymnasium environment: what can be wrong is the options and the map."""
    try:
        environment = registry.find(target, options)
        notes = [from_error(UserError(note), target, 0, WARNING) for note in environment.notes]
        if not environment.compiled:
            return notes + _of_foreign(environment, target)
    except UserError as error:
        return [from_error(error, target)]
    return notes + _of_environment(environment)


def _of_environment(environment: Environment) -> list[Problem]:
    environment = undivided(environment)
    text = reading.read(functions(environment), environment.state, environment.world_values)
    found = text.problems + playing.problems(
        environment, text.files, GAMES, STEPS, SECONDS, twice=not text.hidden
    )
    if not any(problem.severity == ERROR for problem in found):
        found += playing.drawing_problems(environment)
    written_by_user = bool(text.files)
    if written_by_user and not any(problem.severity == ERROR for problem in found):
        from qlearn.envs.checks import compiling

        found += compiling.problems(environment, text.files)
    return distinct(found)


def _of_foreign(environment: Any, target: str) -> list[Problem]:
    """Gymnasium's own classes: made, played for a few steps, looked at from outside."""
    found: list[Problem] = []
    with watching.silence(), environment.batch(FOREIGN_COPIES, playing.SEED) as batch:
        observations, _ = batch.reset()
        stream = random_streams.stream(playing.SEED, 0, random_streams.PLAYER)
        for step in range(FOREIGN_STEPS):
            if not np.isfinite(observations).all():
                found.append(Problem(target, 0, f"gives NaN or infinity to see (step {step})"))
                break
            actions = [integers(stream, environment.actions) for _ in range(FOREIGN_COPIES)]
            observations, rewards, *_ = batch.step(actions)
            if not np.isfinite(rewards).all():
                found.append(Problem(target, 0, f"gives a reward of NaN or infinity (step {step})"))
                break
    return found
