"""Trains: hands the learner its steps chunk by chunk, and does between chunks what must be done.

Between chunks live metrics, greedy evaluations, checkpoints and Ctrl-C. What is logged depends on
step counts alone, never on the clock, so that a run can be reproduced line by line; what the
clock decides (how long a chunk is, when a checkpoint is due) changes no number.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.algorithms import registry
from qlearn.algorithms.evaluation import Evaluation
from qlearn.envs.batch import raised_inside
from qlearn.envs.registry import find
from qlearn.envs.spec import coerce
from qlearn.errors import UserError
from qlearn.runs import checkpoint
from qlearn.runs.folder import RunFolder, find_run
from qlearn.runs.run import Run

CHUNK_SECONDS = 0.05
LOG_LINES = 200  # about how many lines of metrics a run writes
EVALUATION_SEED = 1_000_000_007  # greedy evaluations while training, the same for every run
UNTIL_EPISODES, UNTIL_IN_A_ROW, UNTIL_STEPS = 20, 3, 1000


@dataclass(frozen=True)
class RunConfig:
    """Settings of the run itself, beside the algorithm's."""

    eval_every: int = 0
    """Environment steps between greedy evaluations; 0: at the end, and often with --until."""
    eval_episodes: int = 100
    """Episodes of the evaluation at the end."""
    eval_max_steps: int = 10_000
    """Where a greedy episode that never ends is cut off."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints."""

    def check(self) -> None:
        lowest = {"eval_every": 0, "eval_episodes": 1, "eval_max_steps": 1, "checkpoint_seconds": 0}
        for key, least in lowest.items():
            if getattr(self, key) < least:
                raise UserError(f"{key} must be at least {least}, not {getattr(self, key):g}")


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: the state is saved, the run can go on later."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"interrupted; qlearn train --resume {run.path.name} goes on")
        self.run = run


def train(
    env: str | None = None,
    *,
    algo: str = "auto",
    engine: str = "auto",
    steps: int | None = None,
    episodes: int | None = None,
    seconds: float | None = None,
    until: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> Run:
    """Trains on an environment (see CONTRACT: ENV) and gives the finished run.

    Further settings are those of `--set`: `lr=0.1`, `epsilon="1->0.05@0.3"`, and environment
    options as `env_size=8` or `**{"env.size": 8}`.
    """
    say = say or (lambda _: None)
    if resume is not None:
        for key, amount in {"seconds": seconds, "until": until, "out": out, **settings}.items():
            if amount is not None:
                raise UserError(
                    f"a resumed run keeps its own settings, {key} too; steps and episodes may grow"
                )
        return _resume(find_run(resume), steps, episodes, progress, say)
    if env is None:
        raise UserError("which environment? qlearn train cartpole; qlearn envs lists them")
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UserError(f"a seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
    for budget, amount in (("steps", steps), ("episodes", episodes)):
        if amount is not None:
            settings[budget] = amount
            if amount < 1:
                raise UserError(f"{budget} must be at least 1, not {amount}")
    options = {}
    for key in [key for key in settings if key.startswith(("env.", "env_"))]:
        options[key[4:]] = settings.pop(key)
    environment = find(env, options)
    for note in environment.notes:
        say(note)
    algo, engine = registry.choose(environment, algo, engine)
    run_settings = {
        key: coerce(settings.pop(key), default, key)
        for key, default in asdict(RunConfig()).items()
        if key in settings
    }
    run_config = RunConfig(**run_settings)
    run_config.check()
    if episodes is not None and steps is None and "steps" not in settings:
        settings["steps"] = episodes * 10_000  # the episodes end the run
    config = registry.configure(algo, settings, environment, engine)
    started = time.perf_counter()
    if seconds is not None:
        config = _budget_of(seconds, algo, engine, environment, config, seed, say)
    learner = registry.make_learner(algo, engine, environment, config, seed)
    for note in learner.notes:
        say(note)
    record = {
        "env": environment.target or env,
        "env_name": environment.name,
        "env_options": options,
        "algo": algo,
        "engine": engine,
        "device": getattr(learner, "device", "cpu"),
        "threads": 1,
        "seed": seed,
        "until": until,
        "config": asdict(config),
        "run_config": asdict(run_config),
    }
    folder = RunFolder.create(
        Path(out) if out else None, f"{_slug(environment.name)}-{algo}-s{seed}", record
    )
    return _Training(folder, learner, progress, started).run()


def _resume(
    folder: RunFolder,
    steps: int | None,
    episodes: int | None,
    progress: Callable | None,
    say: Callable[[str], None],
) -> Run:
    """Goes on where the run stopped; from its start where it never came to a checkpoint."""
    record = folder.whole()
    config = dict(record["config"])
    larger = False
    for key, amount in (("steps", steps), ("episodes", episodes)):
        if amount is not None:
            larger = larger or amount > config[key]
            config[key] = amount
    if folder.status == "done" and not larger:
        say(f"{folder.path.name} is finished; a larger --steps or --episodes would go on")
        return Run(folder)
    if folder.status == "running":
        raise UserError(f"{folder.path.name} is still being trained by process {record['pid']}")
    started = time.perf_counter()
    environment = find(record["env"], record["env_options"])
    settings = registry.configure(record["algo"], config)
    learner = registry.make_learner(
        record["algo"], record["engine"], environment, settings, record["seed"]
    )
    training = _Training(folder, learner, progress, started)
    last = folder.path / "checkpoints" / "last"
    saved = checkpoint.load(last) if checkpoint.exists(last) else None
    if saved is not None:
        try:
            training.restore(*saved)
        except (KeyError, ValueError) as error:
            raise UserError(f"{last} does not fit its run.json: {error}") from None
    folder.update(status="running", config=asdict(settings), pid=_own_pid())
    if saved is not None:
        if not environment.compiled:
            say(
                f"what was learned goes on exactly; {environment.name} cannot be saved and begins"
                " new games"
            )
    else:
        say(f"{folder.path.name} has no checkpoint yet; starting again from its configuration")
        (folder.path / "metrics.jsonl").unlink(missing_ok=True)
    return training.run()


class _Training:
    """One training in progress."""

    def __init__(
        self,
        folder: RunFolder,
        learner: Any,
        progress: Callable[[dict[str, Any]], None] | None,
        started: float,
    ) -> None:
        self.folder, self.learner, self.progress = folder, learner, progress
        self.started = started
        self.settings = RunConfig(**folder.record["run_config"])
        self.until = folder.record.get("until")
        self.stages: dict[str, list[float]] = {}
        self.train_seconds = 0.0
        self.returns: list[np.ndarray] = []
        self.in_a_row = 0
        self.solved: tuple[float, int] | None = None
        self.best: tuple[float, dict[str, Any]] | None = None
        self.next_log = self.next_eval = 0
        budget = learner.config.steps
        self.log_every = max(1, budget // LOG_LINES)
        self.eval_every = self.settings.eval_every
        if self.until is not None:
            self.eval_every = max(UNTIL_STEPS, self.eval_every or budget // 50)
        self.next_log, self.next_eval = self.log_every, self.eval_every
        self.stop = threading.Event()

    def run(self) -> Run:
        """Trains to the end of the budget, or to `--until`."""
        try:
            return self._run()
        except Interrupted:
            raise
        except BaseException as error:
            self.folder.close()
            with contextlib.suppress(UserError):  # such as a full disk
                status = "failed" if isinstance(error, Exception) else "interrupted"
                self.folder.update(status=status)
            raise

    def _run(self) -> Run:
        folder, learner = self.folder, self.learner
        chunk = 1000
        last_save = time.perf_counter()
        with _Signals(self.stop):
            while not learner.finished and self.solved is None:
                begun = time.perf_counter()
                border = min(self._next_border(), learner.env_steps + chunk)
                done = learner.env_steps
                self.returns.append(self._timed("learn", self._advance, border))
                took = time.perf_counter() - begun
                self.train_seconds += took
                if took < CHUNK_SECONDS / 2 and learner.env_steps - done >= chunk:
                    chunk *= 2
                elif took > 2 * CHUNK_SECONDS:
                    chunk = max(100, chunk // 2)
                self._look()
                if self.stop.is_set():
                    self._save()
                    folder.update(status="interrupted")
                    folder.close()
                    raise Interrupted(Run(folder))
                if time.perf_counter() - last_save > self.settings.checkpoint_seconds:
                    self._save()
                    last_save = time.perf_counter()
            return self._finish()

    def _advance(self, steps: int) -> np.ndarray:
        try:
            return self.learner.advance(steps)
        except Exception as error:
            self.folder.update(status="failed")
            raise raised_inside(self.learner.environment, error) from error

    def _next_border(self) -> int:
        borders = [self.next_log, self.learner.config.steps]
        if self.eval_every:
            borders.append(self.next_eval)
        return min(borders)

    def _look(self) -> None:
        """What is due at this step: a line of metrics, an evaluation."""
        learner = self.learner
        if learner.env_steps >= self.next_log or learner.finished:
            self.next_log = learner.env_steps + self.log_every
            self._timed("log", self._log)
        if self.eval_every and learner.env_steps >= self.next_eval:
            self.next_eval = learner.env_steps + self.eval_every
            begun = time.perf_counter()
            self._judge(self._evaluate(UNTIL_EPISODES))
            self.train_seconds += time.perf_counter() - begun

    def _log(self) -> None:
        returns = np.concatenate(self.returns) if self.returns else np.zeros(0)
        self.returns = []
        learner = self.learner
        row: dict[str, Any] = {
            "env_steps": learner.env_steps,
            "updates": learner.updates,
            "episodes": learner.episodes,
            "return": float(returns.mean()) if returns.size else None,
            **learner.figures(),
            "machine": {"seconds": round(self.train_seconds, 6)},
        }
        self.folder.log(row)
        if self.progress is not None:
            self.progress(row | {"budget": learner.config.steps})

    def _evaluate(self, episodes: int) -> Evaluation:
        return self._timed(
            "eval", self.learner.evaluate, episodes, EVALUATION_SEED, self.settings.eval_max_steps
        )

    def _judge(self, evaluation: Evaluation) -> None:
        """Files an evaluation: the best network is kept, `--until` is watched."""
        learner = self.learner
        self.folder.log({"env_steps": learner.env_steps, "eval": evaluation.report()})
        if self.best is None or evaluation.mean > self.best[0]:
            self.best = (evaluation.mean, evaluation.report())
            self._timed("checkpoint", self._write, "best")
        if self.until is not None:
            self.in_a_row = self.in_a_row + 1 if evaluation.mean >= self.until else 0
            if self.in_a_row == UNTIL_IN_A_ROW:
                self.solved = (self.train_seconds, learner.env_steps)

    def _finish(self) -> Run:
        learner, folder = self.learner, self.folder
        evaluation = self._evaluate(self.settings.eval_episodes)
        if self.best is None or evaluation.mean >= self.best[0]:
            self.best = (evaluation.mean, evaluation.report())
            self._timed("checkpoint", self._write, "best")
        self._save()
        whole = sum(seconds for seconds, _ in self.stages.values())
        record = folder.record
        report = {
            "run": str(folder.path),
            "env": record["env_name"],
            "algo": record["algo"],
            "engine": record["engine"],
            "device": record["device"],
            "threads": record["threads"],
            "seed": record["seed"],
            "env_steps": learner.env_steps,
            "updates": learner.updates,
            "episodes": learner.episodes,
            "compile_seconds": learner.compile_seconds,
            "train_seconds": self.train_seconds,
            "total_seconds": time.perf_counter() - self.started,
            "steps_per_second": learner.env_steps / self.train_seconds
            if self.train_seconds
            else 0.0,
            "solved_at_seconds": self.solved[0] if self.solved else None,
            "solved_at_steps": self.solved[1] if self.solved else None,
            "eval": evaluation.report(),
            "best_eval": self.best[1],
            "stages": [
                {
                    "name": name,
                    "seconds": seconds,
                    "share": seconds / whole if whole else 0.0,
                    "calls": int(calls),
                }
                for name, (seconds, calls) in self.stages.items()
            ],
            "peak_memory_mb": peak_memory_mb(),
        }
        folder.update(status="done", result=report)
        folder.close()
        return Run(folder)

    def _timed(self, stage: str, work: Callable, *arguments: Any) -> Any:
        begun = time.perf_counter()
        result = work(*arguments)
        sums = self.stages.setdefault(stage, [0.0, 0])
        sums[0] += time.perf_counter() - begun
        sums[1] += 1
        return result

    def _save(self) -> None:
        self._timed("checkpoint", self._write, "last")

    def _write(self, name: str) -> None:
        home = self.folder.path if name == "best" else self.folder.path / "checkpoints"
        about = {
            "env_steps": self.learner.env_steps,
            "train_seconds": self.train_seconds,
            "next_log": self.next_log,
            "next_eval": self.next_eval,
            "in_a_row": self.in_a_row,
            "best": list(self.best) if self.best else None,
            "metrics_bytes": self._metrics_bytes(),
        }
        state = dict(self.learner.get_state())
        state["returns"] = np.concatenate(self.returns) if self.returns else np.zeros(0)
        checkpoint.save(home / name, state, about)

    def _metrics_bytes(self) -> int:
        path = self.folder.path / "metrics.jsonl"
        return path.stat().st_size if path.exists() else 0

    def restore(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        """Everything as it was at the checkpoint; lines logged after it are written again."""
        self.returns = [arrays.pop("returns")]
        self.learner.set_state(arrays)
        self.train_seconds = about["train_seconds"]
        self.next_log, self.next_eval = about["next_log"], about["next_eval"]
        self.in_a_row = about["in_a_row"]
        self.best = tuple(about["best"]) if about["best"] else None
        path = self.folder.path / "metrics.jsonl"
        if path.exists():
            with open(path, "r+b") as file:
                file.truncate(about["metrics_bytes"])


class _Signals:
    """Ctrl-C and SIGTERM end the training at the next chunk border instead of anywhere."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, lambda *_: self.stop.set())

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


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
    from dataclasses import replace

    if not seconds > 0.0:
        raise UserError(f"seconds must be above 0, not {seconds:g}")
    trial = registry.make_learner(
        algo, engine, environment, replace(config, steps=2**62, episodes=0), seed
    )
    chunk, begun = 256, time.perf_counter()
    took = 0.0
    while took < min(0.2, 0.1 * seconds):
        trial.advance(trial.env_steps + chunk)
        took = time.perf_counter() - begun
        chunk *= 2
    steps = max(1, int(seconds * trial.env_steps / took))
    say(f"{seconds:g} seconds are about {steps:,} steps here")
    return replace(config, steps=steps)


def peak_memory_mb() -> float:
    """The largest resident memory this process has had."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _own_pid() -> int:
    import os

    return os.getpid()


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name).strip("-").lower()
