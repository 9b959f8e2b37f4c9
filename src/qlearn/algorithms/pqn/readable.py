"""PQN in PyTorch, top to bottom. Read this one first; `fused.py` is the same in one compiled loop.

Gallici et al., "Simplifying deep temporal difference learning" (2024): Q-learning with a network,
without replay and without a target network. Many copies of the environment play a rollout of some
steps by the epsilon-greedy policy; each transition gets a target that looks along the rollout
(a lambda return); the network learns the rollout in a few epochs of minibatches; the next rollout
is played by the new network. LayerNorm keeps this from diverging.

Both engines draw the same random numbers and keep the same state, so that a checkpoint of one
goes on in the other. Their sums are made in other orders: the last bits differ. Convolutions and
users' own modules learn here alone; on a GPU `graphed.py` does what stands here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from qlearn import rng as random_streams
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
from qlearn.algorithms.network.seeing import LEAST_SPREAD, pool_scale
from qlearn.algorithms.network.torch_learner import TorchLearner
from qlearn.algorithms.pqn.config import KNOBS, PqnConfig
from qlearn.algorithms.pqn.fused import Plan, shuffle, stray
from qlearn.algorithms.pqn.learner import plan_of, refuse_rollouts_beyond_memory
from qlearn.kernels.build import build
from qlearn.nets.module import nn, torch
from qlearn.rng import chance
from qlearn.schedules import value_at

# ------------------------------------------------------- chance: compiled, being slow otherwise


def explore(actions, values, players, epsilons, choices, margin, daring):
    """Epsilon-greedy: replaces each copy's best action with its chance; its own stream decides."""
    for i in range(len(actions)):
        if chance(players[i], epsilons[i]):
            actions[i] = stray(values, i * choices, actions[i], choices, margin, daring, players[i])


# ----------------------------------------------------------------------------- the learner


class Rollout(NamedTuple):
    """What was seen, done and earned: arrays (steps, copies)."""

    inputs: np.ndarray  # one step more, and the width of the input
    actions: np.ndarray
    strays: np.ndarray  # whether the action was another than the best; one step more
    rewards: np.ndarray  # scaled
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray  # False for a step that was no transition
    values: np.ndarray  # of the best action, when it was chosen; one step more
    last_values: np.ndarray  # of the last states of episodes that were cut off
    gaps: np.ndarray  # between the best action and the next
    targets: np.ndarray
    ended: np.ndarray  # the return of each episode that ended at this step


def empty_rollout(steps: int, envs: int, width: int) -> Rollout:
    def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
        return np.zeros(shape, dtype)

    return Rollout(
        inputs=zeros(steps + 1, envs, width),
        actions=zeros(steps, envs, dtype=np.int64),
        strays=zeros(steps + 1, envs, dtype=np.bool_),
        rewards=zeros(steps, envs),
        terminated=zeros(steps, envs, dtype=np.bool_),
        truncated=zeros(steps, envs, dtype=np.bool_),
        valid=zeros(steps, envs, dtype=np.bool_),
        values=zeros(steps + 1, envs),
        last_values=zeros(steps, envs),
        gaps=zeros(steps + 1, envs),
        targets=zeros(steps, envs),
        ended=zeros(steps, envs, dtype=np.float64),
    )


class TorchPqn(TorchLearner):
    """PQN, step by step from Python."""

    algo = "pqn"
    knobs = KNOBS

    def __init__(self, environment: Any, config: PqnConfig, seed: int) -> None:
        config.check()
        self.environment, self.config, self.seed = environment, config, seed
        self.envs = config.envs
        self.plan = plan_of(environment, config)  # the schedules, and the discount
        self.begin_networks(seed)
        refuse_rollouts_beyond_memory(self.scale.shape[1], self.plan)
        self.compile_values(config.minibatch)
        self.optimiser = make_optimiser(config.optimiser, list(self.network.parameters()))

        self.scale_books = np.zeros((2, self.scale.shape[1]))  # its mean, squared distances from it
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        self.rollout = empty_rollout(config.rollout, config.envs, self.scale.shape[1])
        self.order = np.arange(config.rollout * config.envs)
        self.counts = np.zeros(6, np.int64)
        self.sums = np.zeros(8)
        self.seconds = {"act": 0.0, "env": 0.0, "learn": 0.0}

        self.kernels = build("chances of pqn", (explore, shuffle), {})  # shuffle: Fisher and Yates
        nothing = np.zeros((config.envs, self.plan.actions), np.float32)
        now = self.rollout.actions[0], nothing, self.epsilons()
        self.kernels.prepare("explore", *self.chances_of(*now))
        self.kernels.prepare("shuffle", self.order, self.stream)
        self.begin_games(seed)
        self.compile_seconds += (
            self.kernels.compile_seconds
            + self.player.compile_seconds
            + getattr(self.batch, "compile_seconds", 0.0)
        )

    def planned(self, config: PqnConfig) -> Plan:
        config.check()
        return plan_of(self.environment, config)

    def take(self, config: PqnConfig, plan: Plan) -> None:
        self.resize(config.minibatch)
        super().take(config, plan)

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done, in whole rollouts; the returns that ended."""
        most = self.config.episodes or 2**62
        ended = [np.zeros(0)]
        with self.at_work():
            while self.env_steps < steps and self.episodes < most:
                self.play()
                begun = time.perf_counter()
                self.look(self.config.rollout)
                self.lambda_returns()
                self.learn()
                ended.append(self.account())
                if self.plan.scale_inputs:
                    self.rescale()
                self.seconds["learn"] += time.perf_counter() - begun
        returns = np.concatenate(ended)
        self.check_network(returns)
        return returns

    # ------------------------------------------------------------------ acting

    def values_of(self, inputs: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(inputs.astype(np.float32, copy=False))
        with self.without_gradient():
            return self.values(self.network, rows).numpy()

    def look(self, k: int) -> np.ndarray:
        """Action values at step k of the rollout; the best one, and how clear it is, are kept."""
        values = self.values_of(self.rollout.inputs[k])
        ranked = np.sort(values, axis=1)
        self.rollout.values[k] = ranked[:, -1]
        self.rollout.gaps[k] = ranked[:, -1] - ranked[:, -min(2, values.shape[1])]
        return values

    def epsilons(self) -> np.ndarray:
        """Each copy's chance of a random action; the first ones never settle."""
        epsilon = value_at(self.plan.epsilon, self.env_steps, self.episodes)
        epsilons = np.full(self.envs, epsilon, np.float64)
        restless = epsilons[: self.plan.explorers]
        np.maximum(restless, self.config.restless, out=restless)
        return epsilons

    def chances_of(self, actions: np.ndarray, values: np.ndarray, epsilons: np.ndarray) -> tuple:
        """What `explore` is given."""
        plan = self.plan
        return (
            actions, values.ravel(), self.players, epsilons, plan.actions, plan.margin, plan.daring,
        )  # fmt: skip

    def play(self) -> None:
        """One rollout of every copy."""
        now, games, clock = self.rollout, self.batch, time.perf_counter
        epsilons = self.epsilons()
        now.inputs[0] = self.encode(games.observations)
        for k in range(self.config.rollout):
            begun = clock()
            values = self.look(k)
            best = values.argmax(axis=1)
            now.actions[k] = best
            self.kernels.explore(*self.chances_of(now.actions[k], values, epsilons))
            now.strays[k] = now.actions[k] != best
            chosen = clock()
            games.step(now.actions[k])
            stepped = clock()

            now.inputs[k + 1] = self.encode(games.observations)
            now.rewards[k] = games.rewards * self.config.reward_scale
            now.valid[k] = games.valid
            now.terminated[k] = games.terminated
            now.truncated[k] = games.truncated & ~games.terminated
            cut = now.truncated[k]
            if cut.any():  # cut off, not over: their last states are still worth something
                finals = self.encode(games.final_observations[cut])
                now.last_values[k, cut] = self.values_of(finals).max(axis=1)
            now.ended[k] = games.last_return
            self.seconds["act"] += chosen - begun + clock() - stepped
            self.seconds["env"] += stepped - chosen

    # ---------------------------------------------------------------- learning

    def lambda_returns(self) -> None:
        """R = r + discount ((1 - lambda) V' + lambda R'), backwards through time.

        Cut, R = r + discount V' where the next action was a random one, and not the best: what
        comes of it says nothing about the best.
        """
        now, lambda_ = self.rollout, self.config.lambda_
        following = now.values[-1].astype(np.float64)
        for k in reversed(range(self.config.rollout)):
            if self.config.cut:
                following = np.where(now.strays[k + 1], now.values[k + 1], following)
            ahead = (1.0 - lambda_) * now.values[k + 1] + lambda_ * following
            ahead[now.truncated[k]] = now.last_values[k][now.truncated[k]]
            ahead[now.terminated[k]] = 0.0
            following = now.rewards[k] + self.discount * ahead
            now.targets[k] = following

    def learn(self) -> None:
        """A few epochs of minibatches."""
        set_lr(self.optimiser, value_at(self.plan.lr, self.env_steps, self.episodes))
        now = self.rollout
        inputs = torch.from_numpy(now.inputs[:-1].reshape(len(self.order), -1))
        actions, targets, valid = (
            torch.from_numpy(part.reshape(-1)) for part in (now.actions, now.targets, now.valid)
        )
        with self.learning():
            for _ in range(self.config.epochs):
                self.kernels.shuffle(self.order, self.stream)
                for rows in torch.from_numpy(self.order).split(self.config.minibatch):
                    self.update(inputs[rows], actions[rows], targets[rows], valid[rows])
                    self.counts[UPDATES] += 1
                    self.follow(self.average, self.average_share())
        self.settle_figures()

    def update(
        self,
        inputs: torch.Tensor,
        actions: torch.Tensor,
        targets: torch.Tensor,
        valid: torch.Tensor,
    ) -> None:
        """One minibatch: half the mean squared error, its gradient, a step."""
        values = self.learning_values(self.network, inputs).gather(1, actions[:, None])[:, 0]
        errors = torch.where(valid, values - targets, 0.0)
        loss = 0.5 * (errors**2).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)
        self.optimiser.step()
        self.note_update(loss, errors, norm)

    # ------------------------------------------------------------------- books

    def account(self) -> np.ndarray:
        """Counts a rollout; the returns of the episodes that ended in it, time by time."""
        now = self.rollout
        ended = now.terminated | now.truncated
        self.counts[STEPS] += now.valid.sum()
        self.counts[EPISODES] += ended.sum()
        self.counts[ROUNDS] += self.config.rollout
        self.sums[GAP] += now.gaps[:-1][now.valid].sum(dtype=np.float64)
        self.sums[VALUE] += now.values[:-1][now.valid].sum(dtype=np.float64)
        self.sums[TERMINAL] += now.terminated[now.valid].sum()
        self.sums[ACTED] += now.valid.sum()
        return now.ended[ended]

    def rescale(self) -> None:
        """Takes the rollout's inputs into their running mean and spread (Chan et al., 1979).

        What is stored is encoded already: its mean and spread say how far the scale was off.
        """
        inputs = self.rollout.inputs[:-1].reshape(len(self.order), -1).astype(np.float64)
        size = 1.0 / self.scale[1].astype(np.float64)
        squares = ((inputs - inputs.mean(axis=0)) ** 2).sum(axis=0) * size**2
        mean = inputs.mean(axis=0) * size + self.scale[0]

        count, rows = int(self.counts[SEEN]), len(inputs)
        total = count + rows
        away = mean - self.scale_books[0]
        self.scale_books[1] += squares + away**2 * count * rows / total
        self.scale_books[0] += away * rows / total
        self.counts[SEEN] = total
        spread = np.sqrt(self.scale_books[1] / total)
        self.scale[0] = self.scale_books[0]
        self.scale[1] = 1.0 / np.where(spread > LEAST_SPREAD, spread, 1.0)
        if self.picture:
            pool_scale(self.scale, self.scale_books, total, self.picture)

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        return self.rollout.rewards, self.rollout.inputs

    @property
    def rows(self) -> int:
        return self.config.minibatch

    # ------------------------------------------------------------- checkpoints

    def _networks(self) -> dict[str, Mapping[str, torch.Tensor]]:
        return {
            "params": self.network.state_dict(),
            "average": self.average.state_dict(),
            "first_moment": self.moments(self.optimiser, "exp_avg"),
            "second_moment": self.moments(self.optimiser, "exp_avg_sq"),
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "scale": self.scale,
            "scale_books": self.scale_books,
            "figures": self.sums,
            "players": self.players,
            "stream": self.stream,
            "order": self.order,
            "counts": self.counts,
        }

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next rollout depends on, as named arrays: those of the fused engine."""
        return (
            self.networks_state()
            | {name: array.copy() for name, array in self.own_arrays().items()}
            | self.games_state()
        )

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        put_named(self.own_arrays(), state)
        self.put_networks(state)
        set_steps(self.optimiser, self.updates)
        self.put_games(state, self.own_arrays())
