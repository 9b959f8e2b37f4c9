"""One agent, one step after the other: the dict reference and its compiled twin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.evaluation import Evaluation
from qlearn.algorithms.live import Live
from qlearn.algorithms.table import greedy, rule, tabulated
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
from qlearn.envs import loop
from qlearn.envs.plain import PlainCopy
from qlearn.envs.spec import Environment
from qlearn.kernels.bind import bound
from qlearn.kernels.build import build

LOG_LENGTH = 4096  # episodes that end between two looks from Python


class SequentialLearner(Live):
    """What both engines share: the plan, the counters, the state to save."""

    algo = "table"
    engine = ""
    knobs = KNOBS
    envs = 1
    notes: tuple[str, ...] = ()

    def __init__(self, environment: Environment, config: TableConfig, seed: int) -> None:
        config.check()
        self.states = states_of(environment)
        self.environment, self.config, self.seed = environment, config, seed
        self.plan = plan_of(environment, config)
        self.action = -1
        self.counts = np.zeros(4, np.int64)
        self.log = np.zeros(LOG_LENGTH)
        self.compile_seconds = 0.0
        double = config.rule == "double"
        by_visits = self.plan.lr.kind == rule.VISITS
        self.shapes = {
            "table": (self.states, environment.actions),
            "twin": (self.states if double else 0, environment.actions),
            "visits": (self.states if by_visits else 0, environment.actions),
        }
        check_size(sum(rows * columns for rows, columns in self.shapes.values()))
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def _learn(self, steps: int, episodes: int) -> int:
        raise NotImplementedError

    def planned(self, config: TableConfig) -> rule.Plan:
        return replanned(self.environment, config, self.plan)

    @property
    def env_steps(self) -> int:
        return int(self.counts[rule.STEPS])

    @property
    def updates(self) -> int:
        return int(self.counts[rule.UPDATES])

    @property
    def episodes(self) -> int:
        return int(self.counts[rule.EPISODES])

    def advance(self, steps: int, episodes: int = 0) -> np.ndarray:
        """Learns until `steps` steps, or `episodes` episodes if not 0, are done in all.

        Gives the returns of the episodes that ended.
        """
        most_episodes = min(self.config.episodes or 2**62, episodes or 2**62)
        ended = []
        while self.env_steps < steps and self.episodes < most_episodes:
            self.counts[rule.LOGGED] = 0
            self.action = self._learn(steps, most_episodes)
            ended.append(self.log[: self.counts[rule.LOGGED]].copy())
        self.counts[rule.LOGGED] = 0  # or what is saved would depend on how the chunks fell
        return np.concatenate(ended) if ended else np.zeros(0)

    @property
    def finished(self) -> bool:
        enough = self.config.episodes and self.episodes >= self.config.episodes
        return bool(enough or self.env_steps >= self.config.steps)

    @cached_property
    def evaluator(self) -> greedy.Evaluator:
        """Made when first asked: the dict engine then learns without a compiler in memory."""
        made = greedy.Evaluator(self.environment)
        self.compile_seconds += made.compile_seconds
        return made

    def evaluate(self, episodes: int, seed: int, most_steps: int) -> Evaluation:
        """Greedy episodes, without exploration and without learning."""
        return self.evaluator(self.values(), episodes, seed, most_steps)

    def policy(self) -> Callable[[np.ndarray], int]:
        """The greedy action for what is observed."""
        return greedy.policy_of(self.values())

    def values(self) -> np.ndarray:
        raise NotImplementedError

    def check(self) -> None:
        check_values(self.environment, self.values(), self.env_steps)

    def figures(self) -> dict[str, Any]:
        """What goes into the metrics beside the returns."""
        return rule.figures(self.plan, self.env_steps, self.episodes)


class DictLearner(SequentialLearner):
    """The readable reference: Q in a dict, run by the interpreter."""

    engine = "dict"

    def _begin(self) -> None:
        environment = self.environment
        self._rule = bound(rule.learn, environment.bind)
        self._start = bound(loop.begin, environment.bind)
        self.world = environment.practised.world()
        initial = float(self.config.initial)
        self.table: dict = defaultdict(lambda: initial)
        self.twin: dict = defaultdict(lambda: initial)
        self.visits: dict = defaultdict(int)
        self.copy = PlainCopy(environment, self.seed, 0)
        self.player = random_streams.stream(self.seed, 0, random_streams.PLAYER)
        self.observation, self.final = [0], [0]
        self._start(self.copy, self.observation, self.world)

    def _learn(self, steps: int, episodes: int) -> int:
        counts, log = self.counts.tolist(), self.log.tolist()
        action = self._rule(
            self.copy, self.observation, self.final, self.player, self.table, self.twin,
            self.visits, self.plan, counts, log, self.action, steps, episodes, self.world,
        )  # fmt: skip
        self.counts[:], self.log[:] = counts, log
        return action

    def values(self) -> np.ndarray:
        """The table (states, actions); double Q-learning's is the mean of its two."""
        arrays = self.get_state()
        double = self.config.rule == "double"
        return (arrays["table"] + arrays["twin"]) / 2 if double else arrays["table"]

    def get_state(self) -> dict[str, np.ndarray]:
        """The same arrays as the compiled twin's: each can go on where the other stopped."""
        state = {
            name: np.full(shape, 0 if name == "visits" else float(self.config.initial))
            for name, shape in self.shapes.items()
        }
        state["visits"] = state["visits"].astype(np.int64)
        for name, array in state.items():
            for place, value in getattr(self, name).items():
                if array.size:
                    array[place] = value
        record = np.zeros(1, self.environment.copy_dtype)
        self.copy.to_record(record[0])
        return state | {
            "copies": record.view(np.uint8),
            "players": np.array([self.player]),
            "observations": np.array([self.observation]),
            "counts": self.counts,
            "action": np.array([self.action]),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        check_shapes(state, self.shapes)
        for name in self.shapes:
            target = getattr(self, name)
            target.clear()
            target.update((place, value.item()) for place, value in np.ndenumerate(state[name]))
        self.copy.from_record(state["copies"].view(self.environment.copy_dtype)[0])
        self.player[:] = state["players"][0].tolist()
        self.observation[:] = state["observations"][0].tolist()
        self.counts[:] = state["counts"]
        self.action = int(state["action"][0])


class NumbaLearner(SequentialLearner):
    """The same text compiled, on arrays; bit for bit the same numbers."""

    engine = "numba"

    def _begin(self) -> None:
        environment = self.environment
        self.kernels = build(
            f"table learning on {environment.name}",
            (learn_one, loop.begin_batch),
            environment.bind,
            lines=environment.definitions,
        )
        self.world = environment.practised.world(self.kernels.module.World)
        self.table = np.full(self.shapes["table"], float(self.config.initial))
        self.twin = np.full(self.shapes["twin"], float(self.config.initial))
        self.visits = np.zeros(self.shapes["visits"], np.int64)
        self.copies = np.zeros(1, environment.copy_dtype)
        self.copies["rng"] = random_streams.streams(self.seed, 1)
        self.players = random_streams.streams(self.seed, 1, random_streams.PLAYER)
        self.observations = np.zeros((1, 1), np.int64)
        self.finals = np.zeros((1, 1), np.int64)
        begin = (self.copies, self.observations, 0, 1, self.world)
        self.kernels.prepare("begin_batch", *begin)
        self.kernels.begin_batch(*begin)
        self.tabulated = tabulated.fits(environment, self.plan)
        if self.tabulated is None:
            self.kernels.prepare("learn_one", *self._arguments(0, 0))
        else:
            self.fast = tabulated.kernels(environment)
            self.words, self.whole, self.real = tabulated.working_arrays(1)
            self.fast.prepare("learn_alone", *self._fast_arguments(0, 0))
            self.compile_seconds += self.fast.compile_seconds
        self.compile_seconds += self.kernels.compile_seconds
        assert self.evaluator  # compiled now, before the first step

    def take(self, config: TableConfig, plan: rule.Plan) -> None:
        super().take(config, plan)
        if self.tabulated is not None:
            self.tabulated = tabulated.discounted(self.tabulated, plan)

    def _arguments(self, steps: int, episodes: int) -> tuple:
        return (
            self.copies, self.observations, self.finals, self.players, self.table, self.twin,
            self.visits, self.plan, self.counts, self.log, self.action, steps, episodes, self.world,
        )  # fmt: skip

    def _fast_arguments(self, steps: int, episodes: int) -> tuple:
        return (
            self.table.reshape(1, -1), self.words, self.whole, self.real, self.players,
            self.tabulated, self.plan, self.env_steps, steps, episodes, self.log,
        )  # fmt: skip

    def _learn(self, steps: int, episodes: int) -> int:
        if self.tabulated is None:
            return self.kernels.learn_one(*self._arguments(steps, episodes))
        self._lend()
        done, logged = self.fast.learn_alone(*self._fast_arguments(steps, episodes))
        self._take_back(done, logged)
        return -1

    def _lend(self) -> None:
        """The agent as the fast twin carries it."""
        copy, whole = self.copies[0], self.whole[0]
        place = int(self.observations[0, 0])
        whole[tabulated.PLACE] = place
        whole[tabulated.GREEDY] = np.argmax(self.table[place])
        whole[tabulated.ELAPSED] = copy.elapsed
        whole[tabulated.EPISODES] = self.episodes
        self.real[0] = copy.shaped_return, copy.elapsed, copy.last_return, copy.last_length

    def _take_back(self, done: int, logged: int) -> None:
        """The agent as the readable text would have left it."""
        copy, whole = self.copies[0], self.whole[0]
        episodes = int(whole[tabulated.EPISODES])
        copy.episodes += episodes - self.episodes
        copy.elapsed = self.real[0, tabulated.LENGTH]
        copy.shaped_return = copy.plain_return = self.real[0, tabulated.RETURN]
        copy.last_return = copy.last_score = self.real[0, tabulated.LAST_RETURN]
        copy.last_length = self.real[0, tabulated.LAST_LENGTH]
        place = int(whole[tabulated.PLACE])
        copy.state[self.environment.state_number] = self.observations[0, 0] = place
        self.counts[:] = done, done, episodes, logged

    def values(self) -> np.ndarray:
        """The table (states, actions); double Q-learning's is the mean of its two."""
        return (self.table + self.twin) / 2 if self.config.rule == "double" else self.table

    def get_state(self) -> dict[str, np.ndarray]:
        return {
            "table": self.table,
            "twin": self.twin,
            "visits": self.visits,
            "copies": self.copies.view(np.uint8),
            "players": self.players,
            "observations": self.observations,
            "counts": self.counts,
            "action": np.array([self.action]),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        check_shapes(state, self.shapes)
        for name in ("table", "twin", "visits", "players", "observations", "counts"):
            getattr(self, name)[...] = state[name]
        self.copies.view(np.uint8)[...] = state["copies"]
        self.action = int(state["action"][0])


def learn_one(
    copies, observations, finals, players, table, twin, visits, plan, counts, log,
    action, steps, episodes, world,
):  # fmt: skip
    return rule.learn(
        copies[0], observations[0], finals[0], players[0], table, twin, visits, plan, counts, log,
        action, steps, episodes, world,
    )  # fmt: skip
