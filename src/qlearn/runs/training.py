"""`qlearn.train`: from what was asked to a run in training, new or gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from qlearn import presets
from qlearn.algorithms import registry
from qlearn.auto.choice import choose
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.memory import together
from qlearn.rng import seed_in
from qlearn.runs import checkpoint, process
from qlearn.runs.config import take_from
from qlearn.runs.driver import Interrupted, Training, peak_memory_mb
from qlearn.runs.files import Damaged
from qlearn.runs.folder import RunFolder, find_run, with_view
from qlearn.runs.knobs import live_of
from qlearn.runs.learner import resumed
from qlearn.runs.loggers import loggers, named
from qlearn.runs.run import Run
from qlearn.runs.watchers import Watcher
from qlearn.schedules import Schedule

__all__ = ["Interrupted", "peak_memory_mb", "train"]

DEVICES = ("auto", "cpu", "cuda")
STEPS_AN_EPISODE = 10_000  # where the episodes end the run: so many steps each, at most


@dataclass(frozen=True)
class Asked:
    """What a resumed run may be asked beside its folder."""

    algo: str = "auto"
    engine: str = "auto"
    device: str = "auto"
    steps: int | None = None
    episodes: int | None = None
    seed: int | None = None
    threads: int | None = None
    log: tuple[str, ...] = ()
    watchers: Sequence[Watcher] = ()
    say: Callable[[str], None] = lambda _: None


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
                raise UserError(_keeps(key))
        return _resume(find_run(resume), asked, started)
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
    _offer(settings, algo, {"device": device, "threads": threads, "init": init})
    choice = choose(environment, algo, engine, settings)
    engine, config = choice.engine, choice.config
    all_watchers = _watchers(asked)
    if choice.note:
        say(choice.note)
    for note in getattr(config, "announced", lambda _: ())(environment):
        say(note)
    if seconds is not None:
        config = _budget_of(seconds, algo, engine, environment, config, seed, say)
    learner = registry.make_learner(algo, engine, environment, config, seed)
    for note in [*learner.notes, *_without_effect(learner, algo, engine, asked, init)]:
        say(note)
    record = {
        "env": environment.target or env,
        "env_name": environment.name,
        "env_options": with_view(environment, options),
        "algo": algo,
        "engine": engine,
        **_where(learner),
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


def _resume(folder: RunFolder, asked: Asked, started: float) -> Run:
    """Goes on where the run stopped; from its start where it never came to a checkpoint."""
    record, say = folder.whole(), asked.say
    for key in ("algo", "seed"):
        if getattr(asked, key) not in (None, "auto", record[key]):
            raise UserError(f"{_keeps(key)} ({record[key]})")
    config = dict(record["config"])
    last = folder.path / "checkpoints" / "last"
    finished = folder.status == "done" and not _enlarge(config, asked)
    if finished and (checkpoint.is_whole(last) or not checkpoint.exists(last)):
        _say_all(folder.notes, say)
        say(f"{folder.path.name} is finished; a larger --steps or --episodes would go on")
        return Run(folder)
    if folder.status == "running":
        raise UserError(f"{folder.path.name} is still being trained by process {record['pid']}")
    _enlarge(config, asked)
    _offer(config, record["algo"], {"device": asked.device, "threads": asked.threads})
    asked = replace(asked, log=named([*_logs(record), *asked.log]))
    watchers = _watchers(asked)
    environment = find(record["env"], record["env_options"])
    engine = record["engine"] if asked.engine == "auto" else asked.engine
    algo, engine = registry.choose(environment, record["algo"], engine)
    settings = registry.configure(algo, config)
    with together():  # for a moment there is what was saved, and what it goes into
        saved = _saved(last, say)
        learner = registry.make_learner(
            algo, engine, environment, settings if saved is None else resumed(settings),
            record["seed"],
        )  # fmt: skip
    for note in _without_effect(learner, algo, engine, asked, None):
        say(note)
    taken_up = _taken_up(record, saved)
    folder.lock()
    try:
        training = Training(folder, learner, started, watchers, say)
        begins = saved is None
        if saved is not None:
            restore(training, last, saved, engine)
            saved = None  # a replay a second time, as long as the training lasts
    except BaseException:
        folder.close()
        raise
    anew = getattr(learner, "anew", "")
    if taken_up:
        taken_up[-1]["anew"] = bool(anew)
    moved, budget = _moved(record, learner, engine), record["config"]
    folder.update(
        status="running",
        engine=engine,
        config=asdict(settings),
        moves=[*record.get("moves", ()), *moved],
        taken_up=taken_up,
        **process.itself(),
        log=asked.log,
        live=live_of(learner, training.settings),
        **_where(learner),
    )
    _say_all(folder.notes, say)
    if begins:
        say(f"{folder.path.name} has no checkpoint yet; starting again from its configuration")
        training.begin_again()
    elif training.solved or learner.finished:
        what = "is solved" if training.solved else "has used up a budget"
        say(f"{folder.path.name} {what}; there is nothing left to train")
    else:
        say(f"{folder.path.name} goes on at step {learner.env_steps:,}")
        for note in [*map(_about, moved), *_about_budget(learner, budget)]:
            say(note)
        if anew:
            say(f"what was learned goes on exactly; {environment.name} {anew} and begins new games")
    return training.run()


def _say_all(notes: Sequence[str], say: Callable[[str], None]) -> None:
    for note in notes:
        say(note)


def _saved(last: Path, say: Callable[[str], None]) -> tuple[Any, Any] | None:
    """The last checkpoint, or the one before it where that is damaged; None before there is any."""
    if not checkpoint.exists(last):
        return None
    try:
        return checkpoint.load(last)
    except Damaged as error:
        found = checkpoint.load_whole_before(last)
        if found is None:
            raise
        older, arrays, about = found
        say(f"{error}; going on from {older.name}, the one before it ({checkpoint.step_of(about)})")
        return arrays, about


def _taken_up(record: dict[str, Any], saved: tuple[Any, Any] | None) -> list[dict[str, Any]]:
    """Every step at which the run was resumed, and the budgets that it had until then."""
    if saved is None:
        return []
    step = saved[1]["env_steps"]
    known = record.get("taken_up", [])
    budgets = next((each for each in known if each["env_steps"] >= step), record["config"])
    now = {"env_steps": step, "steps": budgets["steps"], "episodes": budgets["episodes"]}
    return [*(each for each in known if each["env_steps"] < step), now]


def restore(training: Training, last: Path, saved: tuple[Any, Any], engine: str) -> None:
    try:
        training.restore(*saved)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        before = training.folder.record["engine"]
        if engine != before:
            raise UserError(
                f"what the {before} engine has saved does not fit the {engine} engine; without"
                " --engine it goes on"
            ) from None
        raise UserError(f"{last} does not fit its run.json: {error}") from None


def _moved(record: dict[str, Any], learner: Any, engine: str) -> list[dict[str, Any]]:
    """The step, if any, from which it is trained in another place than so far."""
    before = [record["engine"], record.get("device", "cpu")]
    after = [engine, _where(learner)["device"]]
    return [] if before == after else [{"at": learner.env_steps, "from": before, "to": after}]


def _about(move: dict[str, Any]) -> str:
    before, after = (f"{engine} ({device})" for engine, device in (move["from"], move["to"]))
    return (
        f"from here on it is trained on {after} instead of {before}: by the same rule, but its bits"
        " may differ from those of a run that stays"
    )


def _about_budget(learner: Any, before: dict[str, Any]) -> list[str]:
    """Schedules that are as long as the budget, where that has grown."""
    if not hasattr(learner, "planned"):
        return []
    budget = {key: before[key] for key in ("steps", "episodes")}
    old = learner.planned(replace(learner.config, **budget))
    longer = [
        key
        for key, value in learner.plan._asdict().items()
        if isinstance(value, Schedule) and value != getattr(old, key)
    ]
    if not longer:
        return []
    return [
        f"the budget is larger now, and {', '.join(longer)} by shares of it: from here on as if it"
        " had always been, while what is learned already followed the smaller one"
    ]


def _keeps(key: str) -> str:
    return f"a resumed run keeps its own settings, {key} too; steps and episodes may grow"


def _enlarge(config: dict[str, Any], asked: Asked) -> bool:
    """The budgets as they are asked for now; whether one of them grows."""
    before = dict(config)
    by_episodes = config["steps"] == config["episodes"] * STEPS_AN_EPISODE
    for key in ("steps", "episodes"):
        config[key] = getattr(asked, key) or config[key]
    if by_episodes and asked.steps is None:
        config["steps"] = config["episodes"] * STEPS_AN_EPISODE
    return any(config[key] > before[key] for key in ("steps", "episodes"))


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


def _offer(settings: dict[str, Any], algo: str, given: dict[str, Any]) -> None:
    """Options that only some algorithms have a setting for."""
    known = {field.name for field in fields(registry.config_class(algo))}
    for key, value in given.items():
        if value not in (None, "auto", 0) and key in known:
            settings[key] = value


def _where(learner: Any) -> dict[str, Any]:
    return {
        "device": getattr(learner, "device", "cpu"),
        "threads": getattr(learner, "threads", 1),
    }


def _without_effect(
    learner: Any, algo: str, engine: str, asked: Asked, init: str | None
) -> list[str]:
    """What was asked for and does not happen."""
    notes, where, name = [], _where(learner), f"{algo} on {engine}"
    if asked.threads not in (None, 0, where["threads"]):
        used = where["threads"]
        many = "one thread" if used == 1 else f"{used} threads"
        notes.append(f"{name} uses {many} here, not the {asked.threads} of --threads")
    if asked.device not in ("auto", where["device"]):
        runs_on = {"cpu": "processor", "cuda": "GPU"}.get(where["device"], where["device"])
        notes.append(f"{name} runs on the {runs_on}; --device {asked.device} changes nothing")
    if init is not None and not hasattr(learner.config, "init"):
        notes.append(
            f"{name} draws no first weights: every run begins alike; --init changes nothing"
        )
    return notes


def _logs(record: dict[str, Any]) -> Sequence[str]:
    """What a run was logged to; before there were several, it said so of one."""
    return record.get("log", ["tensorboard"] if record.get("tensorboard") else [])


def _watchers(asked: Asked) -> list[Watcher]:
    if not asked.log:
        return list(asked.watchers)
    return [*asked.watchers, *loggers(asked.log)]


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
