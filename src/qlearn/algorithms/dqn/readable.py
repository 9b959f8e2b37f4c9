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
goes on in the other. Their sums are made in other orders: the last bits differ.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.dqn.config import DqnConfig
from qlearn.algorithms.dqn.fused import explore
from qlearn.algorithms.dqn.learner import plan_of
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
from qlearn.algorithms.network.seeing import first_scale, notice, settle_scale
from qlearn.algorithms.network.torch_learner import TorchLearner
from qlearn.errors import UserError, closest
from qlearn.kernels.build import build
from qlearn.nets.adam import OPTIMISERS
from qlearn.nets.module import Network, flat_of, nn, put_flat, torch
from qlearn.replay.buffer import Batch, ReplayBuffer
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

    def __init__(self, environment: Any, config: DqnConfig, seed: int) -> None:
        config.check(self.engine)
        self.environment, self.config, self.seed = environment, config, seed
        self.envs, self.threads = config.envs, config.threads
        self.plan = plan_of(environment, config)  # the schedules, and the discount
        self.architecture = architecture_of(environment, config, config.dueling)

        self.network = Network(self.architecture)
        initial = initial_parameters(self.architecture, config.init, seed)
        put_flat(self.architecture, initial, self.network.parameters())
        self.target = copy.deepcopy(self.network)
        self.average = copy.deepcopy(self.network)  # of the parameters: what plays
        self.optimiser = make_optimiser(config.optimiser, list(self.network.parameters()))

        self.scale = first_scale(environment)  # of each input: its middle, one over its spread
        self.scale_books = np.zeros((2, self.scale.shape[1]))
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        self.moods = np.zeros(config.envs, np.bool_)
        self.roaming = np.zeros(config.envs, np.bool_)
        self.counts = np.zeros(6, np.int64)
        self.sums = np.zeros(8)
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
        self.player = Player(environment, self.architecture)  # greedy episodes, compiled
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
        self.compile_seconds = (
            kernels.compile_seconds
            + self.player.compile_seconds
            + self.replay.compile_seconds
            + getattr(self.batch, "compile_seconds", 0.0)
        )

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done; the returns of the episodes that ended."""
        torch.set_num_threads(self.threads)
        most = self.config.episodes or 2**62
        ended = [np.zeros(0)]
        while self.env_steps < steps and self.episodes < most:
            steps_before, episodes_before = self.env_steps, self.episodes
            ended.append(self.play())
            begun = time.perf_counter()
            if self.due(steps_before, episodes_before):
                self.learn()
            self.seconds["learn"] += time.perf_counter() - begun
        self.check_numbers(flat_of(self.architecture, self.network.parameters()))
        return np.concatenate(ended)

    # ------------------------------------------------------------------ acting

    def seen(self) -> np.ndarray:
        return np.array(self.batch.observations, np.float32)  # the games write over theirs

    def encode(self, observations: np.ndarray) -> torch.Tensor:
        """What the network takes: numbers centred and divided by their spread, states one-hot."""
        if self.environment.discrete:
            states = torch.from_numpy(observations[:, 0].astype(np.int64))
            return nn.functional.one_hot(states, self.scale.shape[1]).float()
        return torch.from_numpy((observations - self.scale[0]) * self.scale[1])

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
        with torch.no_grad():
            values = self.network(self.encode(seen)).numpy()
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
            self.kernels.settle_scale(self.scale, self.scale_books, int(self.counts[SEEN]))
        for group in self.optimiser.param_groups:
            group["lr"] = value_at(self.plan.lr, self.env_steps, self.episodes)
        self.replay.beta = value_at(self.plan.beta, self.env_steps, self.episodes)
        while self.updates < (self.env_steps - self.plan.start) * self.plan.updates:
            if not len(self.replay):
                return
            drawn = self.replay.sample(self.config.batch)
            errors = self.update(drawn)
            if self.config.prioritized:
                self.replay.prioritize(drawn.slots, errors)

    @torch.no_grad()
    def td_targets(self, drawn: Batch) -> torch.Tensor:
        following = self.encode(drawn.next_observations)
        judged = self.target(following)
        if self.config.double:
            choices = self.network(following).argmax(dim=1)
            values = judged.gather(1, choices[:, None])[:, 0]
        else:
            values = judged.amax(dim=1)
        return torch.from_numpy(drawn.rewards) + torch.from_numpy(drawn.discounts) * values

    def update(self, drawn: Batch) -> np.ndarray:
        """One batch: targets, the weighted loss, its gradient, a step, the target network."""
        targets = self.td_targets(drawn)
        actions = torch.from_numpy(drawn.actions.astype(np.int64))
        values = self.network(self.encode(drawn.observations)).gather(1, actions[:, None])[:, 0]
        losses = self.losses(values, targets)
        loss = (torch.from_numpy(drawn.weights) * losses).mean()
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)
        self.optimiser.step()
        self.counts[UPDATES] += 1
        self.follow()
        errors = (values - targets).detach().numpy()
        self.sums[LOSS] += loss.item() * len(errors)
        self.sums[ERROR] += np.abs(errors).sum(dtype=np.float64)
        self.sums[NORM] += norm.item()
        self.sums[LEARNED] += 1.0
        return errors

    def losses(self, values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.config.loss == "huber":
            return nn.functional.huber_loss(values, targets, reduction="none")
        return 0.5 * (values - targets) ** 2

    @torch.no_grad()
    def follow(self) -> None:
        """The average of the parameters, and the target network, after an update."""
        # Young averages follow quickly, or they would remember the untrained network.
        past = min(self.config.average, self.updates / (self.updates + 10.0))
        for old, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            old.mul_(past).add_(new, alpha=1.0 - past)
        if self.updates % self.config.target_every == 0:
            pairs = zip(self.target.parameters(), self.network.parameters(), strict=True)
            for old, new in pairs:
                old.add_(new - old, alpha=self.config.tau)

    # ------------------------------------------------------------------- books

    @property
    def rows(self) -> int:
        return self.config.batch

    # ------------------------------------------------------------- checkpoints

    def _networks(self) -> dict[str, list[torch.Tensor]]:
        found: dict[str, list[torch.Tensor]] = {
            "params": list(self.network.parameters()),
            "average": list(self.average.parameters()),
            "target": list(self.target.parameters()),
        }
        if self.config.optimiser in OPTIMISERS:
            for name, key in (("first_moment", "exp_avg"), ("second_moment", "exp_avg_sq")):
                found[name] = [self.optimiser.state[p][key] for p in self.network.parameters()]
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

    def policy_state(self) -> dict[str, np.ndarray]:
        """What it takes to play, without the replay."""
        networks = self._networks()
        return {
            **{name: flat_of(self.architecture, networks[name]) for name in ("params", "average")},
            "scale": self.scale.copy(),
        }

    def set_policy(self, state: dict[str, np.ndarray]) -> None:
        put_named({"scale": self.scale}, state)
        for name in ("params", "average"):
            self.put_network(name, state)

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, as named arrays: those of the fused engine."""
        return (
            self.flat_networks()
            | {name: array.copy() for name, array in self._arrays().items()}
            | {name: part.numpy().copy() for name, part in self._optimiser_parts()}
            | self.replay.get_state()
            | self.games_state()
        )

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        put_named(self._arrays(), state)
        self.replay.set_state(state)
        for name in self._networks():
            self.put_network(name, state)
        for parameter in self.network.parameters():
            step = self.optimiser.state[parameter].get("step")
            if isinstance(step, torch.Tensor):
                step.fill_(self.updates)
        for name, part in self._optimiser_parts():
            part.copy_(torch.from_numpy(state[name].reshape(part.shape)))
        self.put_games(state, {*self._arrays(), *self._networks(), *self.replay.get_state()})


def make_optimiser(name: str, parameters: list[torch.Tensor]) -> Any:
    """adam and radam as the fused engine has them; any other of torch.optim as it is."""
    known = {cls.lower(): getattr(torch.optim, cls) for cls in torch.optim.__all__}
    known = {key: cls for key, cls in known.items() if isinstance(cls, type)}
    if name.lower() not in known:
        raise UserError(f"torch.optim has no optimiser '{name}'{closest(name.lower(), known)}")
    try:
        optimiser = known[name.lower()](parameters, lr=1e-3)
        _warm(optimiser, parameters)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"torch.optim's {name} does not fit a network: {error}") from None
    return optimiser


def _warm(optimiser: Any, parameters: list[torch.Tensor]) -> None:
    """Has the optimiser make its state, so that checkpoints always have it; moves nothing."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in parameters]
    optimiser.step()
    with torch.no_grad():
        for parameter, old in zip(parameters, before, strict=True):
            parameter.copy_(old)
            for part in optimiser.state[parameter].values():
                if isinstance(part, torch.Tensor):
                    part.zero_()
