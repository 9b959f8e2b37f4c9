"""TARGETs as they are named, as contenders; and what is asked for that none of them would heed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlearn.algorithms import registry
from qlearn.compare import circuit
from qlearn.compare.contenders import Contender, EngineContender, ScriptContender
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs.folder import find_run, runs_folder

DEFAULT_EPISODES = 10_000
STEPS_AN_EPISODE = 10_000  # where a budget in episodes is cut off, as in training


@dataclass(frozen=True)
class Asked:
    """What `compare` was asked for, besides targets, as far as contenders are made of it."""

    engines: Sequence[str] = ()
    algo: str = "auto"
    steps: int | None = None
    episodes: int | None = None
    seed: int | None = None
    metric: str | None = None
    headless: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def contenders(targets: Sequence[str], asked: Asked) -> list[Contender]:
    """A contender for each target and engine; nothing is started yet."""
    _refuse_the_unheeded(targets, asked)
    made: list[Contender] = []
    warm = not any(map(_is_script, targets))  # a script is never warm, nor are those beside it
    for target in targets:
        made += [_script(target, asked)] if _is_script(target) else _trainings(target, asked, warm)
    if len({contender.name for contender in made}) < len(made):
        raise UserError("the same contender stands twice; name each target and engine once")
    return made


def _refuse_the_unheeded(targets: Sequence[str], asked: Asked) -> None:
    """An option that changes nothing would be believed to have changed something."""
    scripts = [target for target in targets if _is_script(target)]
    named = {"--metric": asked.metric is not None, "--headless": asked.headless}
    if not scripts:
        for option in _given(named):
            raise UserError(
                f"{option} is for scripts, and no target is one (FILE.py);"
                " a training's metric is the score of its greedy policy"
            )
    changed = {"--algo": asked.algo != "auto", "--set": bool(asked.settings)}
    named = {
        "--engines": bool(asked.engines),
        "--steps": asked.steps is not None,
        "--episodes": asked.episodes is not None,
        "--seed": asked.seed is not None,
    }
    if len(scripts) == len(targets):
        for option in _given(named | changed):
            raise UserError(
                f"{option} is for trainings of qlearn, and {scripts[0].split()[0]} is a script:"
                ' it takes its own arguments, as in "FILE.py --episodes 500"'
            )
    for target in targets:
        if target not in scripts and _is_run(target):
            for option in _given(changed):
                env = find_run(target).record["env"]
                raise UserError(
                    f"{option} does not apply to {target}, a run, which is trained again as it was;"
                    f" name its environment instead: qlearn compare {env} {option} ..."
                )


def _given(named: Mapping[str, bool]) -> list[str]:
    return [option for option, given in named.items() if given]


def _is_script(target: str) -> bool:
    return bool(target.split()) and target.split()[0].endswith(".py")


def _script(target: str, asked: Asked) -> ScriptContender:
    """`"FILE.py arguments"` as a contender."""
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise UserError(f"cannot split {target!r} into words: {error}") from None
    path = Path(words[0])
    if not path.is_file():
        raise UserError(f"cannot read {path}: no such file")
    return ScriptContender(target, words, _pattern(asked.metric), asked.headless)


def _pattern(metric: str | None) -> re.Pattern[str] | None:
    try:
        return None if metric is None else re.compile(metric)
    except re.error as error:
        raise UserError(f"--metric {metric!r} is no regular expression: {error}") from None


def _trainings(target: str, asked: Asked, warm: bool) -> list[Contender]:
    job = _job_of_run(target) if _is_run(target) else _job_of_environment(target, asked)
    budget = {"steps": asked.steps, "episodes": asked.episodes}
    job["settings"] |= {key: amount for key, amount in budget.items() if amount is not None}
    if asked.episodes is not None and asked.steps is None:
        job["settings"]["steps"] = asked.episodes * STEPS_AN_EPISODE
    engines = list(asked.engines) or [job["engine"]]
    timed = [engine for engine in engines if engine != circuit.ENGINE]
    for engine in timed:  # every name is looked at before the first is started
        environment = find(job["env"], job["env_options"])
        registry.choose(environment, job["algo"], engine, job["settings"])
    names = [f"{target} {engine}" if asked.engines else target for engine in engines]
    return [
        circuit.CircuitContender(target, job)
        if engine == circuit.ENGINE
        else EngineContender(name, job | {"engine": engine}, warm)
        for name, engine in zip(names, engines, strict=True)
    ]


def _is_run(target: str) -> bool:
    return (
        target == "last"
        or (Path(target) / "run.json").is_file()
        or (runs_folder() / target / "run.json").is_file()
    )


def _job_of_run(target: str) -> dict[str, Any]:
    record = find_run(target).record
    return {
        "env": record["env"],
        "env_options": record["env_options"],
        "algo": record["algo"],
        "engine": record["engine"],
        "settings": dict(record["config"]),
    }


def _job_of_environment(target: str, asked: Asked) -> dict[str, Any]:
    of_env = {key for key in asked.settings if key.startswith(("env.", "env_"))}
    own = {key: value for key, value in asked.settings.items() if key not in of_env}
    if asked.steps is None and asked.episodes is None and not {"steps", "episodes"} & own.keys():
        own |= {"episodes": DEFAULT_EPISODES, "steps": DEFAULT_EPISODES * STEPS_AN_EPISODE}
    return {
        "env": target,
        "env_options": {key[4:]: asked.settings[key] for key in of_env},
        "algo": asked.algo,
        "engine": "auto",
        "settings": own,
    }
