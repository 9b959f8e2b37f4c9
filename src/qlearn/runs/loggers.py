"""`--log`: the lines of metrics.jsonl handed on to what people already keep their runs in."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from qlearn.errors import UserError, closest
from qlearn.runs.watchers import Watched, Watcher

EVAL = ("mean", "std", "min", "max")
NO_FIGURES = ("env_steps", "event", "machine")
PROJECT = "qlearn"


class Logger(Watcher):
    """Gets the numbers of every row with the step they belong to; a subclass says where they go."""

    def scalars(self, steps: int, values: dict[str, float]) -> None:
        raise NotImplementedError

    def logged(self, training: Watched, row: dict[str, Any]) -> None:
        values = {key: row[key] for key in row if key not in NO_FIGURES}
        for stage in training.stages.report():
            values[f"stages/{stage['name']}"] = stage["share"]
        values["steps_per_second"] = training.steps_per_second
        self.scalars(row["env_steps"], numbers(values))

    def judged(self, training: Watched, row: dict[str, Any]) -> None:
        values = {f"eval/{key}": row["eval"][key] for key in EVAL}
        self.scalars(row["env_steps"], numbers(values | {"eval/best": training.best_mean}))


def numbers(values: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}


def about(training: Watched) -> dict[str, Any]:
    """The configuration, as those show it."""
    record = training.folder.record
    kept = ("env_name", "algo", "engine", "device", "threads", "seed")
    return {key: record[key] for key in kept} | record["config"]


class Tracker(Logger):
    """Weights & Biases, and Trackio, which speaks the same words."""

    def __init__(self, module: str) -> None:
        self.name = module
        self._module = installed(module)

    def begins(self, training: Watched) -> None:
        folder = training.folder.path
        more = {"dir": str(folder), "id": folder.name} if self.name == "wandb" else {}
        self._module.init(
            project=PROJECT, name=folder.name, config=about(training), resume="allow", **more
        )

    def scalars(self, steps: int, values: dict[str, float]) -> None:
        self._module.log(values, step=steps)

    def ends(self, training: Watched) -> None:
        self._module.finish()


class MLflow(Logger):
    name = "mlflow"

    def __init__(self) -> None:
        self._mlflow = installed("mlflow")

    def begins(self, training: Watched) -> None:
        self._mlflow.set_experiment(PROJECT)
        self._mlflow.start_run(run_name=training.folder.path.name)
        self._mlflow.log_params(about(training))

    def scalars(self, steps: int, values: dict[str, float]) -> None:
        self._mlflow.log_metrics(values, step=steps)

    def ends(self, training: Watched) -> None:
        self._mlflow.end_run()


def installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"{module} is not installed: pip install {module}") from None


def tensorboard() -> Watcher:
    from qlearn.runs.events import EventFile

    return EventFile()


LOGGERS = {
    "tensorboard": tensorboard,
    "trackio": lambda: Tracker("trackio"),
    "wandb": lambda: Tracker("wandb"),
    "mlflow": MLflow,
}


def named(text: str | Sequence[str]) -> tuple[str, ...]:
    """`wandb,mlflow` as names that are known, each once."""
    names = [name.strip() for name in text.split(",")] if isinstance(text, str) else list(text)
    for name in filter(None, names):
        if name not in LOGGERS:
            raise UserError(f"log: there is no '{name}'{closest(str(name), LOGGERS)}")
    return tuple(dict.fromkeys(filter(None, names)))


def loggers(names: Sequence[str]) -> list[Watcher]:
    return [LOGGERS[name]() for name in names]
