"""`qlearn train --resume`: a run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qlearn.algorithms import registry
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.memory import together
from qlearn.runs import checkpoint, process, restoring
from qlearn.runs.asked import STEPS_AN_EPISODE, Asked, offer, place_of, watchers_of, without_effect
from qlearn.runs.driver import Training
from qlearn.runs.files import Damaged
from qlearn.runs.folder import RunFolder
from qlearn.runs.knobs import live_of
from qlearn.runs.learner import Learner, resumed
from qlearn.runs.loggers import named
from qlearn.runs.run import Run
from qlearn.schedules import Schedule

Saved = tuple[dict[str, Any], dict[str, Any]]  # arrays, and what is about them


def resume_run(folder: RunFolder, asked: Asked, started: float) -> Run:
    """Goes on where the run stopped; from its start where it never came to a checkpoint."""
    record, say = folder.whole(), asked.say
    _expect_its_own(record, asked)
    before, last = record["config"], folder.path / "checkpoints" / "last"
    config = dict(before)
    grows = _enlarge(config, asked)
    if folder.status == "done" and not grows and _is_kept(last):
        _say_all(folder.notes, say)
        say(f"{folder.path.name} is finished; a larger --steps or --episodes would go on")
        return Run(folder)
    if folder.status == "running":
        raise UserError(f"{folder.path.name} is still being trained by process {record['pid']}")
    offer(config, record["algo"], {"device": asked.device, "threads": asked.threads})
    asked = replace(asked, log=named([*_logs(record), *asked.log]))
    asked = replace(asked, watchers=watchers_of(asked))
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
    _say_all(without_effect(learner, algo, engine, asked, None), say)
    taken_up, begins = _taken_up(record, saved), saved is None
    training = _standing(folder, learner, asked, started, saved, engine)
    del saved  # a replay a second time, as long as the training lasts
    if taken_up:
        taken_up[-1]["anew"] = bool(getattr(learner, "anew", ""))
    moved = _moved(record, learner, engine)
    folder.update(
        status="running",
        engine=engine,
        config=asdict(settings),
        moves=[*record.get("moves", ()), *moved],
        taken_up=taken_up,
        **process.itself(),
        log=asked.log,
        live=live_of(learner, training.settings),
        **place_of(learner),
    )
    _say_all(folder.notes, say)
    if begins:
        say(f"{folder.path.name} has no checkpoint yet; starting again from its configuration")
        restoring.begin_again(training)
    else:
        _say_all(_where_it_stands(training, moved, before), say)
    return training.run()


def _expect_its_own(record: dict[str, Any], asked: Asked) -> None:
    for key in ("algo", "seed"):
        if getattr(asked, key) not in (None, "auto", record[key]):
            raise UserError(f"{keeps(key)} ({record[key]})")


def _is_kept(last: Path) -> bool:
    """What a finished run has learned; a checkpoint that somebody removed is not missed."""
    return checkpoint.is_whole(last) or not checkpoint.exists(last)


def _standing(
    folder: RunFolder, learner: Learner, asked: Asked, started: float, saved: Saved | None,
    engine: str,
) -> Training:  # fmt: skip
    """The training where it stopped; from here on its folder is this process's."""
    folder.lock()
    try:
        training = Training(folder, learner, started, asked.watchers, asked.say)
        if saved is not None:
            restore(training, saved, engine)
        return training
    except BaseException:
        folder.close()
        raise


def _where_it_stands(
    training: Training, moved: list[dict[str, Any]], budget: dict[str, Any]
) -> Iterator[str]:
    learner, name = training.learner, training.folder.path.name
    if training.solved or learner.finished:
        what = "is solved" if training.solved else "has used up a budget"
        yield f"{name} {what}; there is nothing left to train"
        return
    yield f"{name} goes on at step {learner.env_steps:,}"
    yield from map(_about, moved)
    yield from _about_budget(learner, budget)
    if anew := getattr(learner, "anew", ""):
        game = learner.environment.name
        yield f"what was learned goes on exactly; {game} {anew} and begins new games"


def _say_all(notes: Iterable[str], say: Callable[[str], None]) -> None:
    for note in notes:
        say(note)


def _saved(last: Path, say: Callable[[str], None]) -> Saved | None:
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


def _taken_up(record: dict[str, Any], saved: Saved | None) -> list[dict[str, Any]]:
    """Every step at which the run was resumed, and the budgets that it had until then."""
    if saved is None:
        return []
    step = saved[1]["env_steps"]
    known = record.get("taken_up", [])
    budgets = next((each for each in known if each["env_steps"] >= step), record["config"])
    now = {"env_steps": step, "steps": budgets["steps"], "episodes": budgets["episodes"]}
    return [*(each for each in known if each["env_steps"] < step), now]


def restore(training: Training, saved: Saved, engine: str) -> None:
    """One line where what was saved is of another kind."""
    last = training.folder.path / "checkpoints" / "last"
    try:
        restoring.restore(training, *saved)
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
    after = [engine, place_of(learner)["device"]]
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


def keeps(key: str) -> str:
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


def _logs(record: dict[str, Any]) -> Sequence[str]:
    """What a run was logged to; before there were several, it said so of one."""
    return record.get("log", ["tensorboard"] if record.get("tensorboard") else [])
