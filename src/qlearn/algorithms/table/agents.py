"""Many agents, each with a table and a seed of its own, on all cores.

Agent i is bit for bit the agent that the numba engine trains with seed `seeds[i]`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.table import tabulated
from qlearn.algorithms.table.config import TableConfig
from qlearn.algorithms.table.plan import check_size, plan_of, states_of
from qlearn.algorithms.table.sequential import NumbaLearner
from qlearn.envs.spec import Environment
from qlearn.schedules import counts_episodes

AGENTS_A_TASK = 32


class Agents:
    """Independent agents; `tables` is (agents, states, actions)."""

    def __init__(
        self,
        environment: Environment,
        config: TableConfig,
        seeds: Sequence[int],
        threads: int | None = None,
    ) -> None:
        config.check()
        self.environment, self.config = environment, config
        self.seeds = [random_streams.checked_seed(seed) for seed in seeds]
        self.threads = threads or os.cpu_count() or 1
        self.plan = plan_of(environment, config)
        self.env_steps = 0
        states = states_of(environment)
        check_size(len(self.seeds) * states * environment.actions)
        self.tabulated = tabulated.fits(environment, self.plan)
        self.compile_seconds = 0.0
        by_episodes = counts_episodes(self.plan.lr) or counts_episodes(self.plan.epsilon)
        if self.tabulated is None or config.episodes or by_episodes:
            self._learners: list[NumbaLearner] | None = [
                NumbaLearner(environment, config, seed) for seed in self.seeds
            ]
            return
        self._learners = None
        self._tables = np.full(
            (len(self.seeds), states * environment.actions), float(config.initial)
        )
        self._players = np.concatenate(
            [random_streams.streams(seed, 1, random_streams.PLAYER) for seed in self.seeds]
        )
        _, self._whole, _ = tabulated.working_arrays(len(self.seeds))
        self._whole[:, tabulated.PLACE] = self.tabulated.start
        self.kernels = tabulated.kernels(environment)
        self.kernels.prepare("learn_together", *self._arguments(self._words(), 0, 0, 0))
        self.compile_seconds = self.kernels.compile_seconds

    @property
    def tables(self) -> np.ndarray:
        if self._learners is not None:
            return np.stack([learner.values() for learner in self._learners])
        return self._tables.reshape(len(self.seeds), -1, self.environment.actions)

    @property
    def updates(self) -> int:
        """Of all agents together."""
        if self._learners is not None:
            return sum(learner.updates for learner in self._learners)
        return self.env_steps * len(self.seeds)

    def advance(self, steps: int) -> None:
        """Every agent learns until it has done `steps` steps."""
        parts = range(0, len(self.seeds), AGENTS_A_TASK)
        with ThreadPoolExecutor(self.threads) as pool:
            if self._learners is not None:
                list(pool.map(lambda learner: learner.advance(steps), self._learners))
            else:
                list(pool.map(lambda low: self._advance(low, steps), parts))
        self.env_steps = max(self.env_steps, steps)

    def _advance(self, low: int, steps: int) -> None:
        high = min(low + AGENTS_A_TASK, len(self.seeds))
        self.kernels.learn_together(*self._arguments(self._words(), low, high, steps))

    def _words(self) -> np.ndarray:
        return tabulated.working_arrays(tabulated.TOGETHER)[0]

    def _arguments(self, words: np.ndarray, low: int, high: int, steps: int) -> tuple:
        return (
            self._tables, words, self._whole, self._players, self.tabulated,
            self.plan, self.env_steps, steps, low, high,
        )  # fmt: skip


def train_agents(
    environment: Environment,
    config: TableConfig,
    seeds: Sequence[int],
    threads: int | None = None,
) -> Agents:
    """Trains an agent for every seed to the end of the budget."""
    agents = Agents(environment, config, seeds, threads)
    agents.advance(config.steps)
    return agents
