"""Many copies share one table, a step of all at a time, in array operations.

The rule for duplicates: where m copies meet the same (state, action) in one step, the entry moves
as far as m single updates towards the mean of their targets would take it,

    Q += (1 - (1 - lr)**m) * (mean(targets) - Q),

with all targets taken from the table before the step. No update is lost, and the order of the
copies does not matter. (The popular recipe `Q[s, a] += lr * error` keeps one of the m and loses
the others; adding all m errors instead overshoots as soon as m * lr exceeds 1.) With m = 1 it is
the ordinary update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn.algorithms.evaluation import Evaluation
from qlearn.algorithms.live import Live
from qlearn.algorithms.table import greedy, rule
from qlearn.algorithms.table.arrays import CupyArrays, NumpyArrays, TorchArrays
from qlearn.algorithms.table.config import TableConfig
from qlearn.algorithms.table.plan import (
    KNOBS,
    check_shapes,
    check_size,
    check_values,
    plan_of,
    replanned,
    states_of,
)
from qlearn.envs.registry import batch
from qlearn.envs.spec import Environment
from qlearn.schedules import value_at


def update(
    arrays: NumpyArrays,
    table: Any,
    visits: Any,
    keys: Any,
    td_targets: Any,
    plan: rule.Plan,
    t: int,
    episodes: int,
) -> None:
    """Moves the entries `keys` (state * actions + action) of a flat table towards their targets."""
    entries, groups, counts = arrays.groups(keys)
    means = arrays.sums(groups, td_targets, len(entries)) / counts
    if plan.lr.kind == rule.VISITS:
        # All duplicates of a step count as visits after it: they share one learning rate.
        lr = plan.lr.start / (1.0 + visits[entries]) ** plan.lr.shape
        lr = arrays.where(lr < plan.lr.end, lr * 0.0 + plan.lr.end, lr)
        visits[entries] += counts
    else:
        lr = value_at(plan.lr, t, episodes)
    values = table[entries]
    values = values + (1.0 - (1.0 - lr) ** counts) * (means - values)
    if plan.decimals >= 0:
        values = arrays.round(values, plan.decimals)
    table[entries] = values


class BatchedLearner(Live):
    """`--envs` copies on one table; environments are stepped by their own batch."""

    algo = "table"
    knobs = KNOBS

    def __init__(
        self, environment: Environment, config: TableConfig, seed: int, arrays: NumpyArrays
    ) -> None:
        config.check()
        self.environment, self.config, self.seed, self.arrays = environment, config, seed, arrays
        self.engine, self.device = arrays.engine, arrays.device
        self.states, self.actions = states_of(environment), environment.actions
        self.plan = plan_of(environment, config)
        self.envs = config.envs
        check_size(self.states * self.actions * (3 if config.rule == "double" else 2))
        entries = (self.states * self.actions,)
        self.table = arrays.full(entries, config.initial)
        self.twin = arrays.full(entries if config.rule == "double" else (0,), config.initial)
        by_visits = self.plan.lr.kind == rule.VISITS
        self.visits = arrays.full(entries if by_visits else (0,), 0.0)
        played = environment.practised if environment.compiled else environment
        self.batch = batch(played, self.envs, seed)
        self.evaluator = greedy.Evaluator(environment)
        self.compile_seconds = self.evaluator.compile_seconds
        self.compile_seconds += getattr(self.batch, "compile_seconds", 0.0)
        self.notes = getattr(self.batch, "notes", ())  # how foreign environments are run
        self.env_steps = self.updates = self.episodes = 0
        self.state = self._see(self.batch.reset()[0])
        self.action: Any = None

    @property
    def anew(self) -> str:
        return self.batch.anew

    def planned(self, config: TableConfig) -> rule.Plan:
        return replanned(self.environment, config, self.plan)

    def _see(self, observations: np.ndarray) -> Any:
        return self.arrays.put(observations[:, 0].copy())

    @property
    def finished(self) -> bool:
        enough = self.config.episodes and self.episodes >= self.config.episodes
        return bool(enough or self.env_steps >= self.config.steps)

    def advance(self, steps: int, episodes: int = 0) -> np.ndarray:
        """Steps all copies until `steps` steps, or `episodes` episodes if not 0, are done in all.

        Gives the returns of the episodes that ended.
        """
        ended = []
        most = min(self.config.episodes or 2**62, episodes or 2**62)
        while self.env_steps < steps and self.episodes < most:
            returns = self._step()
            if returns.size:
                ended.append(returns)
        return np.concatenate(ended) if ended else np.zeros(0)

    def _rows(self, table: Any, states: Any) -> Any:
        return table.reshape(self.states, self.actions)[states]

    def _choose(self, states: Any, epsilon: float) -> Any:
        arrays = self.arrays
        rows = self._rows(self.table, states)
        if self.plan.rule == rule.DOUBLE:
            rows = rows + self._rows(self.twin, states)
        explores = arrays.uniform(self.envs) < epsilon
        return arrays.where(explores, arrays.integers(self.envs, self.actions), arrays.argmax(rows))

    def _step(self) -> np.ndarray:
        arrays, plan, t = self.arrays, self.plan, self.env_steps
        epsilon = value_at(plan.epsilon, t, self.episodes)
        actions = self.action if self.action is not None else self._choose(self.state, epsilon)
        observations, rewards, terminated, truncated, info = self.batch.step(arrays.host(actions))
        ended = terminated | truncated
        seen = observations[:, 0].copy()
        seen[ended] = info["final_observations"][ended, 0]
        after = arrays.put(seen)
        going_on = arrays.put(~terminated)
        keys = self.state * self.actions + actions
        rewards_here = arrays.put(rewards.astype(np.float64))
        self.action = None

        learned, other = self.table, self.twin
        if plan.rule == rule.DOUBLE and float(arrays.host(arrays.uniform(1))[0]) < 0.5:
            learned, other = self.twin, self.table
        rows = self._rows(learned, after)
        if plan.rule == rule.Q_LEARNING:
            values = arrays.highest(rows)
        elif plan.rule == rule.EXPECTED_SARSA:
            values = (1.0 - epsilon) * arrays.highest(rows) + epsilon * arrays.mean(rows)
        elif plan.rule == rule.SARSA:
            chosen = self._choose(after, epsilon)
            values = rows[arrays.arange(self.envs), chosen]
        else:
            values = self._rows(other, after)[arrays.arange(self.envs), arrays.argmax(rows)]
        td_targets = rewards_here + plan.discount * values * going_on

        valid = info["valid"]
        if not valid.all():  # a step that only reset an environment teaches nothing
            keep = arrays.put(np.flatnonzero(valid))
            keys, td_targets = keys[keep], td_targets[keep]
        if valid.any():
            update(arrays, learned, self.visits, keys, td_targets, plan, t, self.episodes)
        self.state = self._see(observations)
        if plan.rule == rule.SARSA:
            self.action = arrays.where(arrays.put(ended), self._choose(self.state, epsilon), chosen)
        learned_from = int(valid.sum())
        self.env_steps += learned_from
        self.updates += learned_from
        self.episodes += int(ended.sum())
        return np.array(self.batch.last_return[ended], np.float64)

    def values(self) -> np.ndarray:
        """The table (states, actions); double Q-learning's is the mean of its two."""
        table = self.table
        if self.plan.rule == rule.DOUBLE:
            table = (self.table + self.twin) / 2
        return self.arrays.host(table).reshape(self.states, self.actions)

    def policy(self) -> Callable[[np.ndarray], int]:
        return greedy.policy_of(self.values())

    def evaluate(self, episodes: int, seed: int, most_steps: int) -> Evaluation:
        return self.evaluator(self.values(), episodes, seed, most_steps)

    def check(self) -> None:
        check_values(self.environment, self.values(), self.env_steps)

    def figures(self) -> dict[str, Any]:
        return rule.figures(self.plan, self.env_steps, self.episodes)

    def get_state(self) -> dict[str, np.ndarray]:
        arrays = self.arrays
        state = {
            name: arrays.host(getattr(self, name)) for name in ("table", "twin", "visits", "state")
        }
        state["action"] = np.zeros(0, np.int64) if self.action is None else arrays.host(self.action)
        state["random"] = arrays.get_state()
        state["counts"] = np.array([self.env_steps, self.updates, self.episodes])
        return state | {f"batch.{key}": value for key, value in self.batch.get_state().items()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        names = ("table", "twin", "visits")
        check_shapes(state, {name: tuple(getattr(self, name).shape) for name in names})
        for name in names:
            getattr(self, name)[...] = self.arrays.put(state[name])
        self.state = self.arrays.put(state["state"])
        self.action = self.arrays.put(state["action"]) if state["action"].size else None
        self.arrays.set_state(state["random"])
        self.env_steps, self.updates, self.episodes = (int(n) for n in state["counts"])
        self.batch.set_state(
            {key[6:]: value for key, value in state.items() if key.startswith("batch.")}
        )
        if self.anew:
            self.state, self.action = self._see(self.batch.observations), None


def numpy_learner(environment: Environment, config: TableConfig, seed: int) -> BatchedLearner:
    return BatchedLearner(environment, config, seed, NumpyArrays(seed))


def cupy_learner(environment: Environment, config: TableConfig, seed: int) -> BatchedLearner:
    return BatchedLearner(environment, config, seed, CupyArrays(seed))


def torch_learner(environment: Environment, config: TableConfig, seed: int) -> BatchedLearner:
    device = "cuda" if config.device == "cuda" else "cpu"
    return BatchedLearner(environment, config, seed, TorchArrays(seed, device))
