"""PQN in PyTorch, top to bottom. Read this one first; `fused.py` is the same in one compiled loop.

Gallici et al., "Simplifying deep temporal difference learning" (2024): Q-learning with a network,
without replay and without a target network. Many copies of the environment play a rollout of some
steps by the epsilon-greedy policy; each transition gets a target that looks along the rollout
(a lambda return); the network learns the rollout in a few epochs of minibatches; the next rollout
is played by the new network. LayerNorm keeps this from diverging.

Both engines draw the same random numbers and keep the same state, so that a checkpoint of one
goes on in the other. Their sums are made in other orders: the last bits differ.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any, NamedTuple

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.network.books import (
    ACTED,
    EPISODES,
    ERROR,
    GAP,
    LEARNED,
    LOSS,
    NORM,
    ROUNDS,
    SEEN,
    STEPS,
    TERMINAL,
    UPDATES,
    VALUE,
)
from qlearn.algorithms.network.fused import architecture_of, initial_parameters, put_named
from qlearn.algorithms.network.greedy import Player
from qlearn.algorithms.network.seeing import LEAST_SPREAD, first_scale
from qlearn.algorithms.network.torch_learner import TorchLearner
from qlearn.algorithms.pqn.config import PqnConfig
from qlearn.algorithms.pqn.fused import shuffle
from qlearn.algorithms.pqn.learner import plan_of
from qlearn.kernels.build import build
from qlearn.nets.module import Network, nn, put_flat, torch
from qlearn.rng import chance, integers
from qlearn.schedules import value_at

# ------------------------------------------------------- chance: compiled, being slow otherwise


def explore(actions, players, epsilons, choices):
    """Epsilon-greedy: replaces each copy's greedy action with its chance; its own stream decides."""
    for i in range(len(actions)):
        if chance(players[i], epsilons[i]):
            actions[i] = integers(players[i], choices)


# ----------------------------------------------------------------------------- the learner


class Rollout(NamedTuple):
    """What was seen, done and earned: arrays (steps, copies)."""

    inputs: np.ndarray  # one step more, and the width of the input
    actions: np.ndarray
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

    def __init__(self, environment: Any, config: PqnConfig, seed: int) -> None:
        config.check()
        self.environment, self.config, self.seed = environment, config, seed
        self.envs, self.threads = config.envs, config.threads
        self.plan = plan_of(environment, config)  # the schedules, and the discount
        self.architecture = architecture_of(environment, config)

        self.network = Network(self.architecture)
        put_flat(
            self.architecture,
            initial_parameters(self.architecture, config.init, seed),
            self._tensors(),
        )
        self.average = copy.deepcopy(self.network)  # of the parameters: what plays
        optimiser = {"adam": torch.optim.Adam, "radam": torch.optim.RAdam}[config.optimiser]
        self.optimiser = optimiser(self.network.parameters(), eps=1e-8)
        for tensor in self._tensors():  # as its first step would, so that checkpoints have it
            self.optimiser.state[tensor] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(tensor),
                "exp_avg_sq": torch.zeros_like(tensor),
            }

        self.scale = first_scale(environment)  # of each input: its middle, one over its spread
        self.scale_books = np.zeros((2, self.scale.shape[1]))  # its mean, squared distances from it
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        self.rollout = empty_rollout(config.rollout, config.envs, self.scale.shape[1])
        self.order = np.arange(config.rollout * config.envs)
        self.counts = np.zeros(6, np.int64)
        self.sums = np.zeros(8)
        self.seconds = {"act": 0.0, "env": 0.0, "learn": 0.0}

        self.kernels = build("chances of pqn", (explore, shuffle), {})  # shuffle: Fisher and Yates
        self.kernels.prepare("explore", self.rollout.actions[0], self.players, self.epsilons(), 2)
        self.kernels.prepare("shuffle", self.order, self.stream)
        self.player = Player(environment, self.architecture)  # greedy episodes, compiled
        self.begin_games(seed)
        self.compile_seconds = (
            self.kernels.compile_seconds
            + self.player.compile_seconds
            + getattr(self.batch, "compile_seconds", 0.0)
        )

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done, in whole rollouts; the returns that ended."""
        torch.set_num_threads(self.threads)
        most = self.config.episodes or 2**62
        ended = [np.zeros(0)]
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
        return np.concatenate(ended)

    # ------------------------------------------------------------------ acting

    def encode(self, observations: np.ndarray) -> np.ndarray:
        """What the network takes: numbers centred and divided by their spread, states one-hot."""
        if self.environment.discrete:
            states = torch.from_numpy(observations[:, 0].astype(np.int64))
            return nn.functional.one_hot(states, self.scale.shape[1]).numpy()
        return (observations - self.scale[0]) * self.scale[1]

    @torch.no_grad()
    def values_of(self, inputs: np.ndarray) -> np.ndarray:
        return self.network(torch.from_numpy(inputs.astype(np.float32, copy=False))).numpy()

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

    def play(self) -> None:
        """One rollout of every copy."""
        now, games, clock = self.rollout, self.batch, time.perf_counter
        epsilons = self.epsilons()
        now.inputs[0] = self.encode(games.observations)
        for k in range(self.config.rollout):
            begun = clock()
            now.actions[k] = self.look(k).argmax(axis=1)
            self.kernels.explore(now.actions[k], self.players, epsilons, self.plan.actions)
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
        """R = r + discount ((1 - lambda) V' + lambda R'), backwards through time."""
        now, lambda_ = self.rollout, self.config.lambda_
        following = now.values[-1].astype(np.float64)
        for k in reversed(range(self.config.rollout)):
            ahead = (1.0 - lambda_) * now.values[k + 1] + lambda_ * following
            ahead[now.truncated[k]] = now.last_values[k][now.truncated[k]]
            ahead[now.terminated[k]] = 0.0
            following = now.rewards[k] + self.plan.discount * ahead
            now.targets[k] = following

    def learn(self) -> None:
        """A few epochs of minibatches."""
        lr = value_at(self.plan.lr, self.env_steps, self.episodes)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        now = self.rollout
        inputs = torch.from_numpy(now.inputs[:-1].reshape(len(self.order), -1))
        actions, targets, valid = (
            torch.from_numpy(part.reshape(-1)) for part in (now.actions, now.targets, now.valid)
        )
        for _ in range(self.config.epochs):
            self.kernels.shuffle(self.order, self.stream)
            for rows in torch.from_numpy(self.order).split(self.config.minibatch):
                self.update(inputs[rows], actions[rows], targets[rows], valid[rows])

    def update(
        self,
        inputs: torch.Tensor,
        actions: torch.Tensor,
        targets: torch.Tensor,
        valid: torch.Tensor,
    ) -> None:
        """One minibatch: half the mean squared error, its gradient, a step, the average."""
        values = self.network(inputs).gather(1, actions[:, None])[:, 0]
        errors = torch.where(valid, values - targets, 0.0)
        loss = 0.5 * (errors**2).mean()
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)
        self.optimiser.step()

        self.counts[UPDATES] += 1
        # Young averages follow quickly, or they would remember the untrained network.
        past = min(self.config.average, self.updates / (self.updates + 10.0))
        with torch.no_grad():
            for old, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                old.mul_(past).add_(new, alpha=1.0 - past)

        self.sums[LOSS] += loss.item() * len(errors)
        self.sums[ERROR] += errors.abs().sum().item()
        self.sums[NORM] += norm.item()
        self.sums[LEARNED] += 1.0

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

    @property
    def rows(self) -> int:
        return self.config.minibatch

    # ------------------------------------------------------------- checkpoints

    def _tensors(self) -> list[torch.Tensor]:
        return list(self.network.parameters())

    def _moments(self, name: str) -> list[torch.Tensor]:
        return [self.optimiser.state[tensor][name] for tensor in self._tensors()]

    def _networks(self) -> dict[str, list[torch.Tensor]]:
        return {
            "params": self._tensors(),
            "average": list(self.average.parameters()),
            "first_moment": self._moments("exp_avg"),
            "second_moment": self._moments("exp_avg_sq"),
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

    @property
    def _prefix(self) -> str:
        return "" if self.environment.compiled else "batch."

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next rollout depends on, as named arrays: those of the fused engine."""
        return (
            self.flat_networks()
            | {name: array.copy() for name, array in self._arrays().items()}
            | self.games_state()
        )

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        put_named(self._arrays(), state)
        for name in self._networks():
            self.put_network(name, state)
        for step in self._moments("step"):
            step.fill_(self.updates)
        self.put_games(state, {*self._arrays(), *self._networks()})
