"""A finished or stopped run, as Python and the commands see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.algorithms import registry
from qlearn.algorithms.evaluation import Evaluation
from qlearn.algorithms.network.own import name_of
from qlearn.envs.raised import raised_inside
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs import checkpoint, knobs, requests
from qlearn.runs.files import Damaged
from qlearn.runs.folder import RunFolder, find_run
from qlearn.runs.learner import resumed

MOST_STEPS = 10_000  # where an episode that never ends is cut off, unless asked otherwise


class Run:
    """`qlearn.train(...)` gives one; `qlearn.load("last")` finds one again."""

    def __init__(self, folder: RunFolder, network: Any = None) -> None:
        self.folder, self.network = folder, network
        self._learners: dict[tuple[bool, int | None], Any] = {}
        self._policy: Any = None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.status})"

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def status(self) -> str:
        return self.folder.status

    @property
    def report(self) -> dict[str, Any]:
        """The JSON object of `qlearn train`; empty while the run is not finished."""
        return self.folder.record.get("result", {})

    def learner(self, best: bool = False, limit: int | None = None) -> Any:
        """The learner as it was saved last, or at its best evaluation.

        With a `limit`, its environment ends no episode before so many steps for want of time.
        """
        if (best, limit) not in self._learners:
            record = self.folder.whole()
            place = self.path / "best" if best else self.path / "checkpoints" / "last"
            if not checkpoint.exists(place):
                raise UserError(f"{self.path.name} has no {place.name} checkpoint yet")
            arrays, _ = _load(place, self.path.name)
            arrays.pop("returns", None)
            given = {} if self.network is None else {"network": name_of(self.network)}
            learner = registry.make_learner(
                record["algo"],
                record["engine"],
                _unlimited(find(record["env"], record["env_options"]), limit),
                resumed(registry.configure(record["algo"], record["config"] | given)),
                record["seed"],
            )
            try:
                getattr(learner, "set_policy", learner.set_state)(arrays)
            except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
                raise UserError(f"{place} does not fit its run.json: {error}") from None
            self._learners[best, limit] = learner
        return self._learners[best, limit]

    def evaluate(
        self,
        episodes: int = 100,
        *,
        best: bool = False,
        seed: int = 0,
        max_steps: int | None = None,
    ) -> Evaluation:
        """Greedy episodes on games that the training has not seen.

        With `max_steps` they may last that long, whatever time limit the environment has.
        """
        if episodes < 1:
            raise UserError(f"episodes must be at least 1, not {episodes}")
        if max_steps is not None and max_steps < 1:
            raise UserError(f"max_steps must be at least 1, not {max_steps}")
        cut_off = MOST_STEPS if max_steps is None else max_steps
        learner = self.learner(best, max_steps)
        try:
            return learner.evaluate(episodes, seed, cut_off)
        except Exception as error:
            raise raised_inside(learner.environment, error) from error

    def act(self, observation: Any) -> int:
        """The greedy action for what is observed."""
        if self._policy is None:
            self._policy = self.learner().policy()
        return int(self._policy(np.atleast_1d(np.asarray(observation))))

    def set(self, **changes: Any) -> int | None:
        """Turns knobs of a run that is being trained; the step from which they hold.

        None where nobody trains it: they hold from the next --resume. What cannot be is a
        `UserError`, the trainer's own line, and stays as it was.
        """
        if not changes:
            raise UserError("which knob? run.set(epsilon=0.05)")
        return knobs.turn(self.folder, changes)

    def save(self) -> Path:
        """Has the trainer write a checkpoint now; its file. The last one where nobody trains."""
        if RunFolder.open(self.path).status == "running":
            return Path(requests.ask(self.folder, requests.SAVE)["checkpoint"])
        if not checkpoint.exists(self.path / "checkpoints" / "last"):
            raise UserError(f"{self.path.name} is not being trained, and has no checkpoint")
        return self.path / "checkpoints" / "last.safetensors"


def _load(place: Path, name: str) -> tuple[checkpoint.Arrays, dict[str, Any]]:
    """What plays, of a checkpoint; where it is damaged, what can be done instead is said."""
    try:
        return checkpoint.load(place, frames=False)
    except Damaged as error:
        raise Damaged(f"{error}{_instead(place, name)}") from None


def _instead(place: Path, name: str) -> str:
    if place.name == "best":
        return "; without --best the last one plays"
    found = checkpoint.load_whole_before(place, frames=False)
    if found is None:
        return ""
    older, _, about = found
    return (
        f"; {older.name}, the one before it ({checkpoint.step_of(about)}), is whole:"
        f" qlearn train --resume {name} goes on from it"
    )


def _unlimited(environment: Any, limit: int | None) -> Any:
    """The environment with a later time limit; Gymnasium's own keep theirs."""
    if limit is None or not environment.compiled or not 0 < environment.max_steps < limit:
        return environment
    return replace(environment, max_steps=limit)


def load(name: str | Path, network: Any = None) -> Run:
    """RUN: a folder, a name under the runs folder, or `last`.

    `network` is what makes the run's own network again, where no file does.
    """
    return Run(find_run(name), network)
