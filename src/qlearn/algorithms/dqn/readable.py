"""DQN in PyTorch, top to bottom. Read this one first; `fused.py` is the same in one compiled loop.

Mnih et al., "Human-level control through deep reinforcement learning" (2015): Q-learning with a
network that learns from transitions it remembers, drawn again and again, towards targets of a
second network that follows it slowly. What differs between the variants is here, and nothing else:

    single      target = r + discount * max_a Q_target(s', a)
    double      target = r + discount * Q_target(s', argmax_a Q(s', a))
    n steps     r = r_1 + discount r_2 + ... + discount^(n-1) r_n, and discount^n for what follows
    dueling     Q(s, a) = V(s) + A(s, a) - mean_a A(s, a)
    prioritized a transition is drawn with probability |error|^alpha / sum, and weighs
                (size * probability)^-beta
    soft target Q_target += tau * (Q - Q_target) after each update; hard: tau = 1, every so often

Both engines draw the same random numbers and keep the same state, so that a checkpoint of one
goes on in the other. Their sums are made in other orders: the last bits differ. Convolutions and
users' own modules learn here alone; on a GPU `graphed.py` does what stands here.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.dqn.config import KNOBS, DqnConfig
from qlearn.algorithms.dqn.fused import Plan, explore
from qlearn.algorithms.dqn.learner import owe, owed, plan_of
from qlearn.algorithms.network.books import (
    ACTED,
    EPISODES,
    GAP,
    ROUNDS,
    SEEN,
    STEPS,
    TERMINAL,
    UPDATES,
    VALUE,
)
from qlearn.algorithms.network.fused import put_named
from qlearn.algorithms.network.optimisers import make_optimiser, set_lr, set_steps
from qlearn.algorithms.network.seeing import notice, pool_scale, settle_scale
from qlearn.algorithms.network.torch_learner import TorchLearner
from qlearn.kernels.build import build
from qlearn.nets.adam import OPTIMISERS
from qlearn.nets.module import nn, torch
from qlearn.replay.buffer import Batch, ReplayBuffer
from qlearn.replay.state import FRAMES
from qlearn.rng import chance
from qlearn.schedules import value_at

# ------------------------------------------------------- chance: compiled, being slow otherwise


def explore_all(actions, greedy, players, moods, roaming, epsilon, restless, persist, choices):
    """Epsilon-greedy: each copy's greedy action or, with its chance, a random one."""
    for i in range(len(actions)):
        own = max(epsilon, restless) if moods[i] else epsilon
        actions[i] = explore(players[i], greedy[i], own, roaming, actions, i, persist, choices)


def change_moods(moods, roaming, players, ended, explorers):
    """Whether the next episode of those that ended is one that never settles."""
    for i in range(len(moods)):
        if ended[i]:
            moods[i] = chance(players[i], explorers)
            roaming[i] = False


def notice_all(seen, valid, books, count):
    """Takes what the copies saw into the running mean and spread."""
    for i in range(len(valid)):
        if valid[i]:
            count = notice(seen[i], books, count)
    return count


# ----------------------------------------------------------------------------- the learner


class TorchDqn(TorchLearner):
    """DQN, step by step from Python."""

    algo = "dqn"
    knobs = KNOBS

    def __init__(self, environment: Any, config: DqnConfig, seed: int) -> None:
        config.check(self.engine)
        self.environment, self.config, self.seed = environment, config, seed
        self.envs = config.envs
        self.plan = plan_of(environment, config)  # the schedules, and the discount
        self.begin_networks(seed, config.dueling)
        self.target = copy.deepcopy(self.network)
        self.compile_values(config.batch)
        self.optimiser = make_optimiser(config.optimiser, list(self.network.parameters()))

        self.scale_books = np.zeros((2, self.scale.shape[1]))
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        self.moods = np.zeros(config.envs, np.bool_)
        self.roaming = np.zeros(config.envs, np.bool_)
        self.counts = np.zeros(6, np.int64)
        self.sums = np.zeros(8)
        self.credit = np.zeros(1)  # updates that are owed since their rate last changed
        self.seconds = {"act": 0.0, "env": 0.0, "learn": 0.0}
        self.replay = ReplayBuffer(
            config.replay,
            environment.observation_shape,
            envs=config.envs,
            n_step=config.n_step,
            discount=self.plan.discount,
            prioritized=config.prioritized,
            alpha=config.alpha,
            stream=self.stream,
        )
        self.kernels = build(
            "chances of dqn", (explore_all, change_moods, notice_all, settle_scale), {}
        )
        self.begin_games(seed)
        self.actions = np.zeros(config.envs, np.int64)
        self._prepare()
        everyone = np.ones(config.envs, np.bool_)
        self.kernels.change_moods(*self._mood_arguments(everyone))

    def _prepare(self) -> None:
        kernels, valid = self.kernels, np.ones(self.envs, np.bool_)
        kernels.prepare("explore_all", *self._explore_arguments(self.actions, 0.5))
        kernels.prepare("change_moods", *self._mood_arguments(valid))
        kernels.prepare("notice_all", self.seen(), valid, self.scale_books, 0)
        kernels.prepare("settle_scale", self.scale, self.scale_books, 1)
        self.compile_seconds += (
            kernels.compile_seconds
            + self.player.compile_seconds
            + self.replay.compile_seconds
            + getattr(self.batch, "compile_seconds", 0.0)
        )

    def planned(self, config: DqnConfig) -> Plan:
        config.check(self.engine)
        return plan_of(self.environment, config)

    def take(self, config: DqnConfig, plan: Plan) -> None:
        self.resize(config.batch)
        owe(self.credit, self.env_steps, self.plan, plan)
        self.replay.discount = plan.discount
        super().take(config, plan)

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done; the returns of the episodes that ended."""
        most = self.config.episodes or 2**62
        ended = [np.zeros(0)]
        with self.at_work():
            while self.env_steps < steps and self.episodes < most:
                steps_before, episodes_before = self.env_steps, self.episodes
                ended.append(self.play())
                begun = time.perf_counter()
                if self.due(steps_before, episodes_before):
                    self.learn()
                self.seconds["learn"] += time.perf_counter() - begun
        returns = np.concatenate(ended)
        self.check_network(returns)
        return returns

    # ------------------------------------------------------------------ acting

    def seen(self) -> np.ndarray:
        return np.array(self.batch.observations, np.float32)  # the games write over theirs

    def _explore_arguments(self, greedy: np.ndarray, epsilon: float) -> tuple:
        return (
            self.actions, greedy, self.players, self.moods, self.roaming, float(epsilon),
            self.config.restless, self.config.persist, self.plan.actions,
        )  # fmt: skip

    def _mood_arguments(self, ended: np.ndarray) -> tuple:
        return self.moods, self.roaming, self.players, ended, self.config.explorers

    def play(self) -> np.ndarray:
        """One step of every copy, remembered."""
        games, clock = self.batch, time.perf_counter
        begun = clock()
        seen = self.seen()
        values = self.values_of(seen)
        epsilon = value_at(self.plan.epsilon, self.env_steps, self.episodes)
        greedy = values.argmax(axis=1)
        self.kernels.explore_all(*self._explore_arguments(greedy, epsilon))
        self.note(values)
        chosen = clock()
        games.step(self.actions)
        stepped = clock()
        ended = (games.terminated | games.truncated) & games.valid
        after = np.where(ended[:, None], games.final_observations, games.observations)
        self.replay.add(
            seen,
            self.actions,
            games.rewards * self.config.reward_scale,
            after.astype(np.float32),
            games.terminated,
            games.truncated & ~games.terminated,
            games.valid,
        )
        if self.plan.scale_inputs:
            self.counts[SEEN] = self.kernels.notice_all(
                seen, np.ascontiguousarray(games.valid), self.scale_books, self.counts[SEEN]
            )
        self.counts[STEPS] += games.valid.sum()
        self.counts[EPISODES] += ended.sum()
        self.sums[TERMINAL] += games.terminated[games.valid].sum()
        self.kernels.change_moods(*self._mood_arguments(ended))
        self.seconds["act"] += chosen - begun + clock() - stepped
        self.seconds["env"] += stepped - chosen
        return games.last_return[ended]

    def values_of(self, seen: np.ndarray) -> np.ndarray:
        return self.judge(self.network, seen, self.scale)

    def note(self, values: np.ndarray) -> None:
        """How much is expected, and how clear the best action is."""
        ranked = np.sort(values, axis=1)
        self.sums[VALUE] += ranked[:, -1].sum(dtype=np.float64)
        gaps = ranked[:, -1] - ranked[:, -min(2, ranked.shape[1])]
        self.sums[GAP] += gaps.sum(dtype=np.float64)
        self.sums[ACTED] += self.envs
        self.counts[ROUNDS] += 1

    # ---------------------------------------------------------------- learning

    def due(self, steps_before: int, episodes_before: int) -> bool:
        """Whether it is time to learn, after a step of all copies."""
        if self.env_steps <= self.plan.start:
            return False
        if self.plan.every == 0:
            return self.episodes > episodes_before
        return self.env_steps // self.plan.every > steps_before // self.plan.every

    def learn(self) -> None:
        """As many updates as the transitions so far are worth."""
        if self.plan.scale_inputs:
            self.settle()
        set_lr(self.optimiser, value_at(self.plan.lr, self.env_steps, self.episodes))
        self.replay.beta = value_at(self.plan.beta, self.env_steps, self.episodes)
        worth = (self.env_steps - self.plan.start) * self.plan.updates + self.credit[0]
        while self.updates < worth:
            if not len(self.replay):
                break
            drawn = self.replay.sample(self.config.batch)
            errors = self.update(drawn)
            if self.config.prioritized:
                self.replay.prioritize(drawn.slots, errors)
        self.settle_figures()

    def settle(self) -> None:
        """The scale of the inputs by what was seen so far."""
        count = int(self.counts[SEEN])
        self.kernels.settle_scale(self.scale, self.scale_books, count)
        if self.picture:
            pool_scale(self.scale, self.scale_books, count, self.picture)

    @torch.no_grad()
    def td_targets(
        self, following: torch.Tensor, rewards: torch.Tensor, discounts: torch.Tensor
    ) -> torch.Tensor:
        judged = self.values(self.target, following)
        if self.config.double:
            choices = self.values(self.network, following).argmax(dim=1)
            values = judged.gather(1, choices[:, None])[:, 0]
        else:
            values = judged.amax(dim=1)
        return rewards + discounts * values

    def update(self, drawn: Batch) -> np.ndarray:
        """One batch, and the networks that follow."""
        errors = self.step_on(
            torch.from_numpy(self.encode(drawn.observations)),
            torch.from_numpy(self.encode(drawn.next_observations)),
            torch.from_numpy(drawn.actions.astype(np.int64)),
            *map(torch.from_numpy, (drawn.rewards, drawn.discounts, drawn.weights)),
        )
        self.counts[UPDATES] += 1
        self.move_others()
        return errors.numpy()

    def step_on(
        self,
        observations: torch.Tensor,
        following: torch.Tensor,
        actions: torch.Tensor,
        rewards: torch.Tensor,
        discounts: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """Targets, the weighted loss, its gradient, a step; the errors there were."""
        targets = self.td_targets(following, rewards, discounts)
        with self.learning():
            chosen = self.learning_values(self.network, observations).gather(1, actions[:, None])
        values = chosen[:, 0]
        loss = (weights * self.losses(values, targets)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)
        self.optimiser.step()
        errors = (values - targets).detach()
        self.note_update(loss, errors, norm)
        return errors

    def losses(self, values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.config.loss == "huber":
            return nn.functional.huber_loss(values, targets, reduction="none")
        return 0.5 * (values - targets) ** 2

    def move_others(self) -> None:
        """The average of the parameters, and the target network, after an update."""
        self.follow(self.average, self.average_share())
        if self.updates % self.config.target_every == 0:
            self.follow(self.target, self.config.tau)

    # ------------------------------------------------------------------- books

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        state = self.replay.state_views()
        return state["replay.rewards"], state[FRAMES]

    @property
    def rows(self) -> int:
        return self.config.batch

    # ------------------------------------------------------------- checkpoints

    def _networks(self) -> dict[str, Mapping[str, torch.Tensor]]:
        found: dict[str, Mapping[str, torch.Tensor]] = {
            "params": self.network.state_dict(),
            "average": self.average.state_dict(),
            "target": self.target.state_dict(),
        }
        if self.config.optimiser in OPTIMISERS:
            found["first_moment"] = self.moments(self.optimiser, "exp_avg")
            found["second_moment"] = self.moments(self.optimiser, "exp_avg_sq")
        return found

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "scale": self.scale,
            "scale_books": self.scale_books,
            "figures": self.sums,
            "players": self.players,
            "moods": self.moods,
            "roaming": self.roaming,
            "actions": self.actions,
            "stream": self.stream,
            "counts": self.counts,
        }

    def _optimiser_parts(self) -> Iterator[tuple[str, torch.Tensor]]:
        """What an optimiser of the user's choice remembers, by its own names."""
        if self.config.optimiser in OPTIMISERS:
            return
        for k, parameter in enumerate(self.network.parameters()):
            for key, part in sorted(self.optimiser.state[parameter].items()):
                if isinstance(part, torch.Tensor):
                    yield f"optimiser.{k}.{key}", part

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, as named arrays: those of the fused engine."""
        return self.state_views() | self.replay.get_state()

    def state_views(self) -> dict[str, np.ndarray]:
        """The same without a copy of the replay: that changes with the next step."""
        return (
            self.networks_state()
            | {name: array.copy() for name, array in self.own_arrays().items()}
            | {name: part.numpy().copy() for name, part in self._optimiser_parts()}
            | self.replay.state_views()
            | owed(self.credit.copy())
            | self.games_state()
        )

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        put_named(self.own_arrays(), state)
        self.replay.set_state(state)
        self.credit[:] = state.get("credit", 0.0)
        self.put_networks(state)
        set_steps(self.optimiser, self.updates)
        for name, part in self._optimiser_parts():
            part.copy_(torch.from_numpy(state[name].reshape(part.shape)))
        self.put_games(state, {*self.own_arrays(), *self.replay.state_views(), "credit"})
