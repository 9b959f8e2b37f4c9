"""A finite decision problem as the tables of a circuit: outcomes, thresholds, reward words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.algorithms.table.exact import Optimum, solve
from qlearn.envs.model import Model, model_of
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.hardware.word import Word

MOST_STATES = 4096
MOST_ACTIONS = 16
MOST_OUTCOMES = 16
MOST_STARTS = 1024
START_ENTRIES = 64  # how many a list of unequal starts may have, unless there are more starts
CERTAIN = 1 << 16  # chances are counted in 65536ths, half a random word
# Where nobody says. A constant alpha never stops forgetting, which chance makes the worse.
ALPHA, ALPHA_BY_CHANCE, EPSILON = 0.5, 1 / 16, 0.1


@dataclass(frozen=True, eq=False)
class Problem:
    """What a circuit learns. Arrays are (states, actions, outcomes) unless said."""

    name: str
    target: str
    options: dict[str, Any]
    word: Word
    to: np.ndarray  # int64, the state reached
    threshold: np.ndarray  # int64, cumulative chances in 65536ths; the last is 65536
    reward: np.ndarray  # int64, words
    ended: np.ndarray  # bool
    starts: np.ndarray  # int64, states with repetitions, all drawn equally often
    model: Model  # the same with real chances and rewards
    discount: float  # what the environment asks for; alpha and epsilon as well
    alpha: float
    epsilon: float
    max_steps: int  # the time limit that the circuit does not have; 0: there is none
    action_names: tuple[str, ...]
    initial: np.ndarray | None = None  # int64 (states, actions), words

    @property
    def states(self) -> int:
        return self.to.shape[0]

    @property
    def actions(self) -> int:
        return self.to.shape[1]

    @property
    def outcomes(self) -> int:
        return self.to.shape[2]

    @property
    def chance(self) -> np.ndarray:
        """The outcomes' chances in the circuit, exactly."""
        return np.diff(self.threshold, axis=2, prepend=0) / CERTAIN

    @property
    def start(self) -> np.ndarray:
        """The chances (states,) of an episode's start in the circuit, exactly."""
        drawn = self.starts[np.arange(CERTAIN) * len(self.starts) // CERTAIN]
        return np.bincount(drawn, minlength=self.states) / CERTAIN

    @property
    def chance_difference(self) -> float:
        """The largest difference between a chance in the circuit and the model's."""
        return float(np.abs(self.chance - self.model.chance).max())

    @property
    def start_difference(self) -> float:
        return float(np.abs(self.start - self.model.start).max())


def problem_of(target: str, word: Word, options: Mapping[str, Any] | None = None) -> Problem:
    """The problem of an environment, or of a trained table's run with what that has learned."""
    if is_run(target):
        return _of_run(target, word, options or {})
    environment = find(target, dict(options or {}))
    return _of_environment(environment, word, target, dict(options or {}), {})


def is_run(target: str) -> bool:
    """Whether a target names a run rather than an environment."""
    from qlearn.runs.folder import runs_folder

    return target == "last" or any(
        (place / "run.json").is_file() for place in (Path(target), runs_folder() / target)
    )


def _of_run(name: str, word: Word, options: Mapping[str, Any]) -> Problem:
    from qlearn.runs.run import load

    run = load(name)
    record = run.folder.whole()
    if record["algo"] != "table":
        raise UserError(
            f"{name} learned by {record['algo']}; a circuit takes what --algo table learned"
        )
    if options:
        raise UserError(f"{name} is a run, whose environment has its options: leave --set env. out")
    learner = run.learner()
    config = record["config"]
    settings = {key: config[key] for key in ("lr", "discount", "epsilon") if key in config}
    options = dict(record["env_options"])
    values = learner.values()
    return _of_environment(learner.environment, word, record["env"], options, settings, values)


def _of_environment(
    environment: Any,
    word: Word,
    target: str,
    options: dict[str, Any],
    settings: Mapping[str, Any],
    values: np.ndarray | None = None,
) -> Problem:
    if getattr(environment, "reward", None) is not None:
        raise UserError("a circuit has the environment's own rewards; leave env.reward=FILE.py out")
    model = model_of(environment) if environment.compiled else None
    if model is None:
        raise UserError(
            f"{environment.name} publishes no model of finitely many states, which a circuit needs;"
            " grid, a map FILE.txt and Gymnasium's FrozenLake, Taxi and CliffWalking have one"
        )
    usual = environment.settings.get("table", {}) if model.deterministic else {}
    chosen = {**usual, **settings}
    discount = chosen.get("discount")
    return tabulated(
        model,
        word,
        name=environment.name,
        target=target,
        options=options,
        discount=environment.discount if discount is None else float(discount),
        alpha=_number(chosen.get("lr"), ALPHA if model.deterministic else ALPHA_BY_CHANCE),
        epsilon=_number(chosen.get("epsilon"), EPSILON),
        max_steps=environment.max_steps,
        action_names=environment.action_names,
        values=values,
    )


def _number(setting: Any, otherwise: float) -> float:
    """A setting that is a number; the circuit has no schedules, its host may write its registers."""
    try:
        return float(setting)
    except (TypeError, ValueError):
        return otherwise


def tabulated(
    model: Model,
    word: Word,
    *,
    name: str,
    target: str = "",
    options: dict[str, Any] | None = None,
    discount: float = 0.9,
    alpha: float = 0.5,
    epsilon: float = 0.1,
    max_steps: int = 0,
    action_names: tuple[str, ...] = (),
    values: np.ndarray | None = None,
) -> Problem:
    """A model as whole numbers; one that no circuit can hold is refused."""
    _check_size(name, *model.to.shape)
    to = np.ascontiguousarray(model.to, np.int64)
    return Problem(
        name=name,
        target=target or name,
        options=options or {},
        word=word,
        to=to,
        threshold=thresholds(model.chance),
        reward=words(model.reward, word),
        ended=np.ascontiguousarray(model.ended, np.bool_),
        starts=start_list(name, model.start),
        model=model,
        discount=discount,
        alpha=alpha,
        epsilon=epsilon,
        max_steps=max_steps,
        action_names=action_names,
        initial=None if values is None else words(values, word),
    )


def _check_size(name: str, states: int, actions: int, outcomes: int) -> None:
    for what, number, most in (
        ("states", states, MOST_STATES),
        ("actions", actions, MOST_ACTIONS),
        ("outcomes of one action", outcomes, MOST_OUTCOMES),
    ):
        if not 1 <= number <= most:
            raise UserError(f"{name} has {number:,} {what}; a circuit is made for 1 to {most:,}")


def words(values: np.ndarray, word: Word) -> np.ndarray:
    """Real values as words, each the nearest."""
    flat = [word.of(value) for value in np.asarray(values, np.float64).ravel().tolist()]
    return np.array(flat, np.int64).reshape(np.shape(values))


def thresholds(chance: np.ndarray) -> np.ndarray:
    """Chances summed up over outcomes, in 65536ths."""
    sums = np.floor(np.cumsum(chance, axis=2) * CERTAIN + 0.5).astype(np.int64)
    sums[:, :, -1] = CERTAIN
    return sums


def start_list(name: str, start: np.ndarray) -> np.ndarray:
    """States, some repeated, so that drawing any entry alike comes near the chances of starting."""
    states = np.flatnonzero(start > 0.0)
    if not 1 <= states.size <= MOST_STARTS:
        raise UserError(
            f"{name} starts in {states.size:,} states; a circuit's list has 1 to {MOST_STARTS:,}"
        )
    chance = start[states]
    lengths = range(states.size, max(states.size, START_ENTRIES) + 1)
    lists = (apportioned(chance, length) for length in lengths)
    best = min(lists, key=lambda times: np.abs(times / times.sum() - chance).max().round(12))
    return np.repeat(states, best)


def apportioned(chance: np.ndarray, entries: int) -> np.ndarray:
    """How often each stands in a list so long, by the largest remainders."""
    exact = chance * entries
    times = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(times - exact, kind="stable")
    times[order[: entries - times.sum()]] += 1
    return times


def optimum_of(problem: Problem, gamma: float) -> Optimum | None:
    """The exact optimum, where there is one: without discount values may be unbounded."""
    try:
        return solve(problem.model, gamma)
    except UserError:
        return None
