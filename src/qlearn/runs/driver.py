"""Trains: hands the learner its steps chunk by chunk, and does between chunks what must be done.

Between chunks live metrics, greedy evaluations, checkpoints, steering and Ctrl-C. What is logged
depends on steps and episodes alone, never on the clock, so that a run can be reproduced line by
line; what the clock decides (how long a chunk is, when a checkpoint is due) changes no number. What
somebody steers is a line of its own, with the step at which it was done.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.algorithms.evaluation import Evaluation
from qlearn.envs.raised import raised_inside
from qlearn.errors import Diverged, EnvironmentFault, UserError
from qlearn.memory import memory_mb, peak_memory_mb
from qlearn.runs import checkpoint
from qlearn.runs.alarms import EXPLODING, Alarms
from qlearn.runs.best import Best
from qlearn.runs.borders import Border
from qlearn.runs.config import RunConfig, every, take_from
from qlearn.runs.files import SEAL, Growing, checksum_of
from qlearn.runs.folder import RunFolder
from qlearn.runs.learner import Learner
from qlearn.runs.restoring import about
from qlearn.runs.returns import Returns
from qlearn.runs.run import Run
from qlearn.runs.signals import Signals
from qlearn.runs.stages import LEARN, Clock, Stages
from qlearn.runs.steering import Steering
from qlearn.runs.watchers import Watcher, Watchers

FIRST_CHUNK, CHUNK_SECONDS = 100, 0.05  # steps, then as many as take about so long
LOOK_SECONDS = 0.05  # between two looks at who steers, while it is paused
LOG_LINES = 200  # about how many lines of metrics a run writes
EVALUATION_SEED = 1_000_000_007  # greedy evaluations while training, the same for every run
UNTIL_EPISODES, UNTIL_IN_A_ROW, UNTIL_STEPS = 20, 3, 1000
UNTIL_EVALUATIONS = 50  # with --until, at least about so many
UNTIL_SHARE = 0.01  # of the steps so far lies between two of them, at least
EPISODE_LOOKS = 1000  # steps between looks at the episodes of a learner that stops at none
MOST_SAVING = 0.02  # of the time
RUN_KNOBS = ("eval_every", "checkpoint_seconds")


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: the state is saved, the run can go on later."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"interrupted; qlearn train --resume {run.path.name} goes on")
        self.run = run


class Training:
    """One training in progress."""

    def __init__(
        self,
        folder: RunFolder,
        learner: Learner,
        started: float,
        watchers: Sequence[Watcher] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self.learner, self.started, self.say = folder, learner, started, say
        self.watchers = Watchers(watchers, say)
        self.settings = RunConfig(**folder.record["run_config"])
        self.until = folder.record.get("until")
        self.stages, self.clock = Stages(learner), Clock(learner)
        self.returns = Returns()
        self.in_a_row = 0
        self.solved: tuple[float, int] | None = None
        self.best: Best | None = None
        self.steps_before = 0
        self.stop_at: int | None = None  # the step to save and leave at, whatever the budget
        self.log_border = self._log_border()
        self.eval_border = self._eval_border()
        self._stops_at_episodes = "episodes" in inspect.signature(learner.advance).parameters
        self._stop = threading.Event()
        self._chunk = FIRST_CHUNK
        self.steering, self.alarms = Steering(self), Alarms()
        self.logged_before = (0.0, 0)  # seconds and steps
        self._told: set[str] = set()
        self.metrics = Growing(self.folder.path / "metrics.jsonl")

    def _log_border(self) -> Border:
        config = self.learner.config
        return Border(
            max(1, config.steps // LOG_LINES),
            max(1, config.episodes // LOG_LINES) if config.episodes else 0,
        )

    def _eval_border(self) -> Border:
        steps, episodes = every(self.settings.eval_every)
        if self.until is None:
            return Border(steps, episodes)
        if not steps and not episodes:
            config = self.learner.config
            steps = getattr(config, "until_every", 0) or config.steps // UNTIL_EVALUATIONS
            steps = max(UNTIL_STEPS, steps)
            episodes = config.episodes // UNTIL_EVALUATIONS
        return Border(steps, episodes, UNTIL_STEPS, UNTIL_SHARE)

    @property
    def env_steps(self) -> int:
        return self.learner.env_steps

    @property
    def train_seconds(self) -> float:
        return self.clock.seconds

    @property
    def steps_per_second(self) -> float:
        seconds = self.clock.seconds
        return self.env_steps / seconds if seconds else 0.0

    @property
    def best_mean(self) -> float:
        return self.best.mean if self.best else float("nan")

    @property
    def share(self) -> float:
        """How much of the budget is used up: of the steps or of the episodes."""
        config = self.learner.config
        by_episodes = self.learner.episodes / config.episodes if config.episodes else 0.0
        return min(1.0, max(self.env_steps / config.steps, by_episodes))

    def run(self) -> Run:
        """Trains to the end of the budget, or to `--until`."""
        try:
            return self._run()
        except Interrupted:
            raise
        except Exception as error:
            raise self._failed(raised_inside(self.learner.environment, error)) from error
        except BaseException:
            self._end_as("interrupted")
            raise
        finally:
            self.watchers.tell("ends", self)

    def _failed(self, error: Exception) -> Exception:
        """Files the run as failed, and adds to the one line what there is to go on from."""
        if isinstance(error, EnvironmentFault):  # the learner stands where a step of it began
            self._if_the_disk_lets(self._save)
        self._end_as("failed")
        if type(error) not in (UserError, EnvironmentFault, Diverged):
            return error
        return type(error)(f"{error}; {self._what_is_kept(isinstance(error, Diverged))}")

    def _what_is_kept(self, diverged: bool) -> str:
        name = self.folder.path.name
        try:
            _, saved = checkpoint.load(self.folder.path / "checkpoints" / "last", frames=False)
        except UserError:
            return f"{name} had come to no checkpoint yet"
        first = f"qlearn set {name} lr=... and " if diverged else ""
        step = checkpoint.step_of(saved)
        return f"{step} is kept: {first}qlearn train --resume {name} goes on from there"

    def _end_as(self, status: str) -> None:
        self.folder.close()
        with contextlib.suppress(UserError):  # such as a full disk
            self.folder.update(status=status)

    def _run(self) -> Run:
        self.watchers.tell("begins", self)
        with Signals(self._stop):
            self.clock.start()
            saved, took = time.perf_counter(), 0.0
            while not self.learner.finished and self.solved is None:
                self.steering.look()
                if self.steering.paused:
                    self._wait()
                if self._stop.is_set():
                    self._interrupt()
                if self.stop_at is not None and self.env_steps >= self.stop_at:
                    break
                self._train_a_chunk()
                self._look()
                now = time.perf_counter()
                if self.watchers.wants(now):
                    self.stages.timed("view", self.watchers.tell, "looks", self)
                if self._stop.is_set():
                    self._interrupt()
                interval = save_interval(self.settings.checkpoint_seconds, took)
                if now - saved > interval and not self.alarms.doubt:
                    self._if_the_disk_lets(self._save)
                    saved = time.perf_counter()
                    took = saved - now
                elif self.best is not None and self.best.waited(now):
                    self._if_the_disk_lets(self._write_best)
            self.clock.stop()
            return self._finish() if self.stop_at is None else self._rest()

    def _rest(self) -> Run:
        self._save()
        self._end_as("interrupted")
        return Run(self.folder)

    def _wait(self) -> None:
        """Paused: the clock stands, and who steers is still heard."""
        self.clock.stop()
        while self.steering.paused and not self._stop.wait(LOOK_SECONDS):
            self.steering.look()
            if self.watchers.wants(time.perf_counter()):
                self.watchers.tell("looks", self)
        self.clock.start()

    def _if_the_disk_lets(self, work: Callable[[], Any]) -> None:
        """A disk that fails costs what it should have kept, not the training: it is said once."""
        try:
            work()
        except (UserError, OSError) as error:
            self.say_once("disk", f"{error}; the training goes on")

    def say_once(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self.say(text)

    def _train_a_chunk(self) -> None:
        done, begun = self.env_steps, time.perf_counter()
        returns = self.stages.timed(LEARN, self._advance, done + self._chunk)
        took = time.perf_counter() - begun
        if not np.isfinite(returns).all():
            raise Diverged(
                f"{self.learner.environment.name}: by step {self.env_steps:,} a reward was no number"
            )
        self.returns.add(returns)
        if took < CHUNK_SECONDS / 2 and self.env_steps - done >= self._chunk:
            self._chunk *= 2
        elif took > 2 * CHUNK_SECONDS:
            self._chunk = max(1, self._chunk // 2)

    def _advance(self, steps: int) -> np.ndarray:
        """To `steps` steps, or to the next border before them."""
        learner, played = self.learner, self.learner.episodes
        borders = (self.log_border, self.eval_border)
        by_steps = [border.next_steps(played) for border in borders]
        by_episodes = [border.episodes for border in borders if border.episodes > played]
        turn = self.steering.ahead.next_step
        known = [steps, learner.config.steps, *by_steps, turn, self.stop_at]
        steps = min(filter(None, known))
        if not by_episodes:
            return learner.advance(steps)
        if self._stops_at_episodes:
            return learner.advance(steps, min(by_episodes))  # type: ignore[call-arg]
        look = learner.env_steps - learner.env_steps % EPISODE_LOOKS + EPISODE_LOOKS
        return learner.advance(min(steps, look))

    def _look(self) -> None:
        """What is due now: an evaluation, a line of metrics."""
        at = self.env_steps, self.learner.episodes
        if self.eval_border.due(*at):
            self.eval_border.passed(*at)
            self._judge(self._evaluate(UNTIL_EPISODES))
        if self.log_border.due(*at) or self.learner.finished or self.solved is not None:
            self.log_border.passed(*at)
            self.stages.timed("log", self._log)

    def _log(self) -> None:
        row: dict[str, Any] = {
            "env_steps": self.env_steps,
            "updates": self.learner.updates,
            "episodes": self.learner.episodes,
            "return": self.returns.mean(),
            **self.learner.figures(),
            "machine": self._machine(),
        }
        self.returns.forget()
        self._write(row)
        self.watchers.tell("logged", self, row)

    def _machine(self) -> dict[str, Any]:
        """What a row says that would be another on another machine."""
        seconds, (before, steps) = self.train_seconds, self.logged_before
        took = seconds - before
        self.logged_before = seconds, self.env_steps
        return {
            "seconds": round(seconds, 6),
            "steps_per_second": round((self.env_steps - steps) / took, 3) if took > 0.0 else None,
            "memory_mb": round(memory_mb(), 1),
            "stages": {name: round(sums[0], 6) for name, sums in self.stages.sums().items()},
        }

    def _write(self, row: dict[str, Any]) -> None:
        """A line of metrics.jsonl, and after it what it warns of."""
        self.folder.log(row)
        if self.folder.fault:
            self.say_once("log", f"{self.folder.fault}; the training goes on without its metrics")
        for kind, text in self.alarms.saw(row):
            why = self._with_cause(text) if kind == EXPLODING else text
            self.tell("warning", kind=kind, why=why)
            self.say_once(kind, f"{why} (step {self.env_steps:,})")
        if self.alarms.lost and "event" not in row:
            name, why = self.learner.environment.name, self._with_cause(self.alarms.lost)
            raise Diverged(f"{name}: {why} (step {self.env_steps:,})")

    def _with_cause(self, text: str) -> str:
        suspect = getattr(self.learner, "suspect", None)
        return f"{text}; {suspect()}" if suspect else text

    def tell(self, event: str, **more: Any) -> None:
        """What somebody did to this training, or should know of it, as a line of metrics.jsonl."""
        row = {
            "env_steps": self.env_steps,
            "updates": self.learner.updates,
            "episodes": self.learner.episodes,
            "event": event,
            **more,
            "machine": {"seconds": round(self.train_seconds, 6), "time": time.time()},
        }
        row["machine"][SEAL] = checksum_of(row)
        self._write(row)

    def _evaluate(self, episodes: int) -> Evaluation:
        most_steps = self.settings.eval_max_steps
        return self.stages.timed(
            "eval", self.learner.evaluate, episodes, EVALUATION_SEED, most_steps
        )

    def _judge(self, evaluation: Evaluation) -> None:
        """Files an evaluation: the best network is kept, `--until` is watched."""
        self._keep_if_best(evaluation)
        self._file(evaluation)
        if self.until is not None:
            self.in_a_row = self.in_a_row + 1 if evaluation.mean >= self.until else 0
            if self.in_a_row == UNTIL_IN_A_ROW:
                self.solved = (self.train_seconds, self.env_steps)

    def judge_now(self) -> float:
        """An evaluation that was asked for: `--until` counts its own alone."""
        evaluation = self._evaluate(UNTIL_EPISODES)
        self._keep_if_best(evaluation)
        self._file(evaluation)
        return evaluation.mean

    def _keep_if_best(self, evaluation: Evaluation) -> None:
        if self.best is None or evaluation.mean > self.best.mean:
            self._if_the_disk_lets(lambda: self._keep_best(evaluation))

    def _file(self, evaluation: Evaluation) -> None:
        row = {
            "env_steps": self.env_steps,
            "episodes": self.learner.episodes,
            "eval": evaluation.report(),
            "machine": {"seconds": round(self.train_seconds, 6)},
        }
        self.stages.timed("log", self._write, row)
        self.stages.timed("log", self.watchers.tell, "judged", self, row)

    def _keep_best(self, evaluation: Evaluation) -> None:
        written = self.best.written if self.best else time.perf_counter()
        self.best = Best(evaluation.mean, evaluation.report(), written)
        self._check()
        policy = getattr(self.learner, "policy_state", self._state)()
        self.best.hold(policy, about(self))
        if self.best.too_large:
            self._write_best()

    def _finish(self) -> Run:
        folder = self.folder
        evaluation = self._evaluate(self.settings.eval_episodes)
        if self.best is None or evaluation.mean >= self.best.mean:
            self._keep_best(evaluation)
        self._save()
        self._file(evaluation)
        report = self._report(evaluation)
        folder.update(status="done", result=report)
        folder.close()
        return Run(folder)

    def _report(self, evaluation: Evaluation) -> dict[str, Any]:
        learner, record = self.learner, self.folder.record
        assert self.best is not None
        return {
            "run": str(self.folder.path),
            "env": record["env_name"],
            **{key: record[key] for key in ("algo", "engine", "device", "threads", "seed")},
            "env_steps": learner.env_steps,
            "updates": learner.updates,
            "episodes": learner.episodes,
            "compile_seconds": learner.compile_seconds,
            "train_seconds": self.train_seconds,
            "total_seconds": time.perf_counter() - self.started,
            "steps_per_second": self.steps_per_second,
            "solved_at_seconds": self.solved[0] if self.solved else None,
            "solved_at_steps": self.solved[1] if self.solved else None,
            "eval": evaluation.report(),
            "best_eval": self.best.report,
            "stages": self.stages.report(),
            "peak_memory_mb": peak_memory_mb(),
        }

    def turn(self, key: str, value: Any) -> None:
        """Turns a knob, the run's or the learner's; a `UserError` says why it cannot be."""
        own = asdict(self.settings)
        if key in RUN_KNOBS:
            self.settings = take_from(own | {key: value})
            if key == "eval_every":
                self.eval_border = self._eval_border()
                self.eval_border.passed(self.env_steps, self.learner.episodes)
            return
        retune = getattr(self.learner, "retune", None)
        if retune is None:
            raise UserError(f"{key} cannot change while this learner learns")
        retune({key: value})

    def save(self) -> Path:
        """A checkpoint now; its file."""
        self._save()
        return self.folder.path / "checkpoints" / "last.safetensors"

    def _interrupt(self) -> None:
        self._save()
        self.leave()

    def leave(self) -> None:
        """Ends here; what was saved can go on."""
        self.folder.update(status="interrupted")
        self.folder.close()
        raise Interrupted(Run(self.folder))

    def _check(self) -> None:
        """What is no number is never kept in the place of what was good."""
        getattr(self.learner, "check", lambda: None)()

    def _save(self) -> None:
        self._check()
        self._write_best()
        place = self.folder.path / "checkpoints" / "last"

        def save() -> None:
            self.folder.settle()
            checkpoint.save(place, self._state(), about(self), self.settings.keep)
            self.steering.ahead.saved()

        self.stages.timed("checkpoint", save)

    def _write_best(self) -> None:
        if self.best is not None and self.best.held is not None:
            self.stages.timed("checkpoint", self.best.write, self.folder.path / "best")

    def _state(self) -> dict[str, np.ndarray]:
        state = getattr(self.learner, "state_views", self.learner.get_state)()
        return {**state, "returns": self.returns.newest}


def save_interval(wanted: float, took: float) -> float:
    """Seconds to the next checkpoint where the last one took so many: an interval that was set is
    kept, the usual one grows where saving would take too much of the time."""
    return max(wanted, took / MOST_SAVING) if wanted == RunConfig.checkpoint_seconds else wanted
