"""What is asked for a training beside its settings, and what of it takes no effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from qlearn.algorithms import registry
from qlearn.runs.loggers import loggers
from qlearn.runs.watchers import Watcher

STEPS_AN_EPISODE = 10_000  # where the episodes end the run: so many steps each, at most


@dataclass(frozen=True)
class Asked:
    """What a new run and a resumed one may both be asked."""

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


def watchers_of(asked: Asked) -> list[Watcher]:
    if not asked.log:
        return list(asked.watchers)
    return [*asked.watchers, *loggers(asked.log)]


def offer(settings: dict[str, Any], algo: str, given: dict[str, Any]) -> None:
    """Options that only some algorithms have a setting for."""
    known = {field.name for field in fields(registry.config_class(algo))}
    for key, value in given.items():
        if value not in (None, "auto", 0) and key in known:
            settings[key] = value


def place_of(learner: Any) -> dict[str, Any]:
    return {
        "device": getattr(learner, "device", "cpu"),
        "threads": getattr(learner, "threads", 1),
    }


def without_effect(
    learner: Any, algo: str, engine: str, asked: Asked, init: str | None
) -> list[str]:
    """What was asked for and does not happen."""
    notes, where, name = [], place_of(learner), f"{algo} on {engine}"
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
