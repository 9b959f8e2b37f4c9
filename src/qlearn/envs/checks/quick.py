"""The quick looks before anything is compiled: the first mistake, as one clear line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qlearn.envs.checks import declared, playing, reading
from qlearn.envs.checks.problem import ERROR, distinct
from qlearn.envs.spec import Environment
from qlearn.errors import UserError

# What a probe may take of every start.
PROBE_GAMES, PROBE_STEPS, PROBE_SECONDS = 3, 100, 0.2


def insist(cls: type, options: Mapping[str, Any]) -> None:
    """The first mistake in what a class declares as a UserError with its line."""
    for problem in declared.problems(cls, known(cls, options)):
        raise UserError(str(problem))


def probe(environment: Environment) -> None:
    """The quick look before a user's file is compiled: the first mistake as a UserError."""
    if vars(environment).get("_probed"):
        return
    whole, environment = environment, undivided(environment)
    text = reading.read(functions(environment), environment.state, environment.world_values)
    found = text.problems + playing.problems(
        environment, text.files, PROBE_GAMES, PROBE_STEPS, PROBE_SECONDS
    )
    for problem in distinct(found):
        if problem.severity == ERROR:
            raise UserError(str(problem))
    vars(whole)["_probed"] = True


def known(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the class itself declares; others are not the file's mistake."""
    known = getattr(cls, "options", {})
    known = known if isinstance(known, Mapping) else {}
    return {key: value for key, value in options.items() if key in known}


def undivided(environment: Environment) -> Environment:
    """As the user wrote it, where `env.buckets` makes states of what is observed."""
    if environment.through is None:
        return environment
    seen = environment.state["bucket_view"].shape
    return replace(environment, observation=seen, through=None)


def functions(environment: Environment) -> dict[str, Callable]:
    own = {} if environment.reward is None else {"reward": environment.reward}
    return environment.functions | own
