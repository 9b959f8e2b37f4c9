"""`qlearn.train`: from what was asked to a run in training, new or gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qlearn import presets
from qlearn.algorithms import registry
from qlearn.auto.choice import choose
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.rng import seed_in
from qlearn.runs import checkpoint
from qlearn.runs.asked import STEPS_AN_EPISODE, Asked, offer, place_of, watchers_of, without_effect
from qlearn.runs.config import take_from
from qlearn.runs.driver import Interrupted, Training
from qlearn.runs.folder import RunFolder, find_run, with_view
from qlearn.runs.knobs import live_of
from qlearn.runs.loggers import named
from qlearn.runs.resume import keeps, resume_run
from qlearn.runs.run import Run
from qlearn.runs.watchers import Watcher

__all__ = ["Interrupted", "train"]

DEVICES = ("auto", "cpu", "cuda")


def train(
    env: str | None = None,
    *,
    algo: str = "auto",
    engine: str = "auto",
    device: str = "auto",
    steps: int | None = None,
    episodes: int | None = None,
    seconds: float | None = None,
    until: float | None = None,
    seed: int | None = None,
    threads: int | None = None,
    init: int | str | Path | None = None,
    tensorboard: bool = False,
    log: str | Sequence[str] = (),
    out: str | Path | None = None,
    preset: str | None = None,
    resume: str | Path | None = None,
    watchers: Sequence[Watcher] = (),
    say: Callable[[str], None] | None = None,
    started: float | None = None,
    **settings: Any,
) -> Run:
    """Trains on an environment (see CONTRACT: ENV) and gives the finished run.

    Further settings are those of `--set`: `lr=0.1`, `epsilon="1->0.05@0.3"`, and environment
    options as `env_size=8` or `**{"env.size": 8}`. `started` is when, by `time.perf_counter()`,
    what total_seconds counts began: a command's process, or else this call.
    """
    started = time.perf_counter() if started is None else started
    say = say or (lambda _: None)
    _check(device, steps, episodes, threads)
    log = named([*named(log), *(["tensorboard"] if tensorboard else [])])
    asked = Asked(algo, engine, device, steps, episodes, seed, threads, log, watchers, say)
    if resume is not None:
        own = {"seconds": seconds, "until": until, "init": init, "out": out, "preset": preset}
        own |= settings
        for key, amount in own.items():
            if amount is not None:
                raise UserError(keeps(key))
        return resume_run(find_run(resume), asked, started)
    if preset is not None:
        env, algo, settings = presets.apply(preset, env, algo, settings)
    if env is None:
        raise UserError("which environment? qlearn train cartpole; qlearn envs lists them")
    seed = 0 if seed is None else seed
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UserError(f"a seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
    options = {}
    for key in [key for key in settings if key.startswith(("env.", "env_"))]:
        options[key[4:]] = settings.pop(key)
    environment = find(env, options)
    for note in environment.notes:
        say(note)
    algo = registry.algorithm(environment, algo)
    run_config = take_from(settings)
    init = _start_of(init)
    _budgets(settings, steps, episodes)
    offer(settings, algo, {"device": device, "threads": threads, "init": init})
    choice = choose(environment, algo, engine, settings)
    engine, config = choice.engine, choice.config
    all_watchers = watchers_of(asked)
    if choice.note:
        say(choice.note)
    for note in getattr(config, "announced", lambda _: ())(environment):
        say(note)
    if seconds is not None:
        config = _budget_of(seconds, algo, engine, environment, config, seed, say)
    learner = registry.make_learner(algo, engine, environment, config, seed)
    for note in [*learner.notes, *without_effect(learner, algo, engine, asked, init)]:
        say(note)
    record = {
        "env": environment.target or env,
        "env_name": environment.name,
        "env_options": with_view(environment, options),
        "algo": algo,
        "engine": engine,
        **place_of(learner),
        "seed": seed,
        "init": init,
        "until": until,
        "log": log,
        "config": asdict(config),
        "run_config": asdict(run_config),
        "live": live_of(learner, run_config),
    }
    folder = RunFolder.create(
        Path(out) if out else None, f"{_slug(environment.name)}-{algo}-s{seed}", record
    )
    return Training(folder, learner, started, all_watchers, say).run()


def _check(device: str, steps: int | None, episodes: int | None, threads: int | None) -> None:
    if device not in DEVICES:
        raise UserError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    least = {"steps": 1, "episodes": 1, "threads": 0}
    for name, amount in (("steps", steps), ("episodes", episodes), ("threads", threads)):
        if amount is not None and amount < least[name]:
            raise UserError(f"{name} must be at least {least[name]}, not {amount}")


def _budgets(settings: dict[str, Any], steps: int | None, episodes: int | None) -> None:
    if steps is not None:
        settings["steps"] = steps
    if episodes is not None:
        settings["episodes"] = episodes
        settings.setdefault("steps", episodes * STEPS_AN_EPISODE)


def _start_of(init: int | str | Path | None) -> str | None:
    """A seed as it is, a file by its whole path: the run may go on in another folder."""
    if init is None:
        return None
    text = str(init).strip()
    if seed_in(text) is not None:
        return text
    path = Path(text).expanduser().absolute()
    if not path.exists() and path.with_name(f"{path.name}.safetensors").is_file():
        path = path.with_name(f"{path.name}.safetensors")
    if not path.exists():
        raise UserError(f"--init: '{init}' is no seed, and there is no file {path}")
    if path.is_file():
        checkpoint.check_arrays(path)
    return str(path)


def _budget_of(
    seconds: float,
    algo: str,
    engine: str,
    environment: Any,
    config: Any,
    seed: int,
    say: Callable[[str], None],
) -> Any:
    """`--seconds` as a number of steps, measured once on a learner that is thrown away."""
    if not seconds > 0.0:
        raise UserError(f"seconds must be above 0, not {seconds:g}")
    trial = registry.make_learner(
        algo, engine, environment, replace(config, steps=2**62, episodes=0), seed
    )
    trial.advance(getattr(config, "start", 0))  # before it learns, a step costs next to nothing
    begun = time.perf_counter()
    while getattr(trial, "settling", False) and time.perf_counter() - begun < 0.1 * seconds:
        trial.advance(trial.env_steps + 1)
    free, begun = trial.env_steps, time.perf_counter()
    chunk, took = 256, 0.0
    while took < min(0.2, 0.1 * seconds):
        trial.advance(trial.env_steps + chunk)
        took = time.perf_counter() - begun
        chunk *= 2
    steps = max(1, int(seconds * (trial.env_steps - free) / took))
    say(f"{seconds:g} seconds are about {steps:,} steps here")
    return replace(config, steps=steps)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name).strip("-").lower()
