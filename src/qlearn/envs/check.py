"""Tells every mistake in an environment in words, with the line to mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs import registry
from qlearn.envs.checks import declared, playing, reading, watching
from qlearn.envs.checks.problem import ERROR, WARNING, Problem, distinct, from_error
from qlearn.envs.spec import FUNCTIONS, Environment
from qlearn.envs.userfile import load_object
from qlearn.errors import UserError
from qlearn.rng import integers

GAMES, STEPS, SECONDS = 8, 150, 2.0
FOREIGN_COPIES, FOREIGN_STEPS = 2, 100
# What a probe may take of every start.
PROBE_GAMES, PROBE_STEPS, PROBE_SECONDS = 3, 100, 0.2

__all__ = ["Problem", "check", "insist", "probe"]


def check(target: str, options: Mapping[str, Any] | None = None) -> list[Problem]:
    """Every problem with the environment a target names; none means it runs everywhere."""
    path, separator, name = target.rpartition(":")
    if separator and path.endswith(".py") and not target.startswith("gym:"):
        return _of_file(target, Path(path), name, dict(options or {}))
    return _of_named(target, dict(options or {}))


def insist(cls: type, options: Mapping[str, Any]) -> None:
    """The first mistake in what a class declares as a UserError with its line."""
    for problem in declared.problems(cls, _known(cls, options)):
        raise UserError(str(problem))


def probe(environment: Environment) -> None:
    """The quick look before a user's file is compiled: the first mistake as a UserError."""
    if vars(environment).get("_probed"):
        return
    whole, environment = environment, _undivided(environment)
    text = reading.read(_functions(environment), environment.state, environment.world_values)
    found = text.problems + playing.problems(
        environment, text.files, PROBE_GAMES, PROBE_STEPS, PROBE_SECONDS
    )
    for problem in distinct(found):
        if problem.severity == ERROR:
            raise UserError(str(problem))
    vars(whole)["_probed"] = True


def _of_file(target: str, path: Path, name: str, options: dict[str, Any]) -> list[Problem]:
    try:
        with watching.silence():
            cls = load_object(path, name)
        if not isinstance(cls, type):
            return [Problem(str(path), 0, f"'{name}' is no class")]
        own = _known(cls, options)
        found = declared.problems(cls, own)
        if not found:
            return _of_environment(registry.find(target, options))
    except UserError as error:
        return [from_error(error, str(path))]
    # What does not stand cannot be played, but it can be read.
    functions = {key: getattr(cls, key) for key in FUNCTIONS if hasattr(cls, key)}
    return found + distinct(reading.read(functions, declared.fields(cls, own)).problems)


def _known(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the class itself declares; others are not the file's mistake."""
    known = getattr(cls, "options", {})
    known = known if isinstance(known, Mapping) else {}
    return {key: value for key, value in options.items() if key in known}


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
    environment = _undivided(environment)
    functions = _functions(environment)
    text = reading.read(functions, environment.state, environment.world_values)
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


def _undivided(environment: Environment) -> Environment:
    """As the user wrote it, where `env.buckets` makes states of what is observed."""
    if environment.through is None:
        return environment
    seen = environment.state["bucket_view"].shape
    return replace(environment, observation=seen, through=None)


def _functions(environment: Environment) -> dict[str, Callable]:
    own = {} if environment.reward is None else {"reward": environment.reward}
    return environment.functions | own
