"""PQN on the fused engine, for environments that compile and for those that step from Python."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.greedy import Player, bindings
from qlearn.algorithms.network.team import Team, barrier
from qlearn.algorithms.pqn import fused
from qlearn.algorithms.pqn.books import STAGES, Books
from qlearn.algorithms.pqn.config import PqnConfig
from qlearn.envs import loop
from qlearn.envs.registry import batch
from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.nets import mlp
from qlearn.nets.adam import Moments, moments_of
from qlearn.nets.layout import Architecture
from qlearn.schedules import bounds, parse, value_at

LOG_ROLLOUTS = 8  # how many rollouts' ended episodes the log has room for


def plan_of(environment: Any, config: PqnConfig) -> fused.Plan:
    lr, epsilon = (
        parse(getattr(config, name), config.steps, name, config.episodes)
        for name in ("lr", "epsilon")
    )
    for name, schedule in (("lr", lr), ("epsilon", epsilon)):
        low, high = bounds(schedule)
        if low < 0.0 or high > 1.0:
            raise UserError(f"{name} must be between 0 and 1, not {low if low < 0.0 else high:g}")
    return fused.Plan(
        lr=lr,
        epsilon=epsilon,
        discount=environment.discount if config.discount is None else float(config.discount),
        explorers=round(config.explorers * config.envs),
        restless=config.restless,
        lambda_=config.lambda_,
        reward_scale=config.reward_scale,
        envs=config.envs,
        rollout=config.rollout,
        epochs=config.epochs,
        minibatch=config.minibatch,
        average=config.average,
        scale_inputs=int(config.scale_inputs and not environment.discrete),
        actions=environment.actions,
        max_steps=int(environment.max_steps * config.overtime),
    )


def architecture_of(environment: Any, config: PqnConfig) -> Architecture:
    if environment.discrete and environment.observation > seeing.MOST_STATES:
        raise UserError(
            f"{environment.name} has {environment.observation:,} states; a network takes up to"
            f" {seeing.MOST_STATES:,}, one input each; --algo table learns it"
        )
    return Architecture(
        seeing.inputs_of(environment), config.widths, environment.actions, config.activation,
        config.layer_norm,
    )  # fmt: skip


def buffers_of(environment: Any, plan: fused.Plan) -> fused.Buffers:
    width, transitions = seeing.inputs_of(environment), plan.envs * plan.rollout
    real = lambda *shape: np.zeros(shape, np.float32)  # noqa: E731
    return fused.Buffers(
        inputs=real((transitions + plan.envs) * width),
        last_inputs=real(plan.envs * width),
        actions=np.zeros(transitions, np.int64),
        rewards=real(transitions),
        terminated=np.zeros(transitions, np.bool_),
        truncated=np.zeros(transitions, np.bool_),
        valid=np.ones(transitions, np.bool_),
        values=real(transitions + plan.envs),
        last_values=real(transitions),
        gaps=real(transitions + plan.envs),
        targets=real(transitions),
        ended=np.zeros(transitions),
        order=np.arange(transitions),
        batch=real(plan.minibatch * width),
        errors=real(plan.minibatch),
        scale=seeing.first_scale(environment),
        books=np.zeros((2, width)),
        figures=np.zeros(8),
        clock=np.zeros(3, np.int64),
        barrier=barrier(),
    )


class FusedPqn(Books):
    """What both ways of stepping share: buffers, counters, state, evaluation."""

    algo, engine, device = "pqn", "fused", "cpu"
    notes: tuple[str, ...] = ()

    def __init__(self, environment: Any, config: PqnConfig, seed: int) -> None:
        config.check()
        self.environment, self.config, self.seed = environment, config, seed
        self.envs = config.envs
        self.plan = plan_of(environment, config)
        self.architecture = architecture_of(environment, config)
        params = initial_parameters(self.architecture, config.init, seed)
        rows = max(config.envs, config.minibatch)
        self.net = mlp.net_of(self.architecture, rows, params)
        self.moments: Moments = moments_of(params, config.optimiser, config.clip)
        self.buffers = buffers_of(environment, self.plan)
        self.scale, self.sums = self.buffers.scale, self.buffers.figures
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        self.counts = np.zeros(6, np.int64)
        self.log = np.zeros(LOG_ROLLOUTS * config.envs * config.rollout)
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.threads = min(config.threads, max(1, config.envs // 4), max(1, config.minibatch // 4))
        self.team = Team(self.threads)
        self.player = Player(environment, self.architecture)
        self.compile_seconds = self.player.compile_seconds
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def _learn(self, steps: int, episodes: int) -> None:
        raise NotImplementedError

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done, in whole rollouts; the returns that ended."""
        most = self.config.episodes or 2**62
        ended = []
        while self.env_steps < steps and self.episodes < most:
            self._learn(steps, most)
            ended.append(self.log[: self.counts[fused.LOGGED]].copy())
            self.counts[fused.LOGGED] = 0
            if not np.isfinite(self.net.params.sum()):
                raise UserError(
                    f"{self.environment.name}: the network's numbers are lost at step"
                    f" {self.env_steps:,}: a reward was no number, or lr is too large"
                )
        return np.concatenate(ended) if ended else np.zeros(0)

    @property
    def parameters(self) -> np.ndarray:
        return self.moments.average

    def _named(self) -> dict[str, np.ndarray]:
        return {
            "params": self.net.params,
            "average": self.moments.average,
            "first_moment": self.moments.first,
            "second_moment": self.moments.second,
            "scale": self.buffers.scale,
            "scale_books": self.buffers.books,
            "figures": self.buffers.figures,
            "players": self.players,
            "stream": self.stream,
            "order": self.buffers.order,
            "counts": self.counts,
        }

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next rollout depends on, as named arrays."""
        return {name: array.copy() for name, array in self._named().items()} | self._world_state()

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        for name, array in self._named().items():
            if state[name].shape != array.shape:
                raise ValueError(f"'{name}' is {state[name].shape}, not {array.shape}")
        for name, array in self._named().items():
            array[...] = state[name]
        self._set_world_state(state)

    def _world_state(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _set_world_state(self, state: dict[str, np.ndarray]) -> None:
        raise NotImplementedError


class CompiledPqn(FusedPqn):
    """Whole chunks of training in one call, the environment compiled into it."""

    def _begin(self) -> None:
        environment = self.environment
        self.kernels = build(
            f"pqn on {environment.name}",
            (fused.advance_chunk, loop.begin_batch),
            bindings(environment),
            lines=environment.definitions,
        )
        self.world = environment.world(self.kernels.module.World)
        self.copies = np.zeros(self.envs, environment.copy_dtype)
        self.copies["rng"] = random_streams.streams(self.seed, self.envs)
        shape = (self.envs, *environment.observation_shape)
        self.seen = np.zeros(shape, environment.observation_dtype)
        self.finals = np.zeros_like(self.seen)
        begin = (self.copies, self.seen, 0, self.envs, self.world)
        self.kernels.prepare("begin_batch", *begin)
        self.kernels.prepare("advance_chunk", *self._arguments(0, 0, 0))
        self.kernels.begin_batch(*begin)
        self.compile_seconds += self.kernels.compile_seconds

    def _arguments(self, steps: int, episodes: int, member: int) -> tuple:
        return (
            self.net, self.moments, self.plan, self.buffers, self.players, self.stream,
            self.copies, self.seen, self.finals, self.counts, self.log, steps, episodes, member,
            self.threads, self.world,
        )  # fmt: skip

    def _learn(self, steps: int, episodes: int) -> None:
        self.buffers.clock[:] = 0
        begun = time.perf_counter()
        self.team.run(
            lambda member: self.kernels.advance_chunk(*self._arguments(steps, episodes, member)),
            self.buffers.barrier,
        )
        took = time.perf_counter() - begun
        ticks = self.buffers.clock.sum()
        for name, part in zip(STAGES, self.buffers.clock, strict=True):
            self.seconds[name] += took * float(part) / float(ticks) if ticks else 0.0

    def _world_state(self) -> dict[str, np.ndarray]:
        raw = self.copies.view(np.uint8).reshape(self.envs, -1)
        return {"copies": raw.copy(), "observations": self.seen.copy()}

    def _set_world_state(self, state: dict[str, np.ndarray]) -> None:
        raw = self.copies.view(np.uint8).reshape(self.envs, -1)
        if state["copies"].shape != raw.shape:
            raise ValueError(f"'copies' is {state['copies'].shape}, not {raw.shape}")
        raw[:] = state["copies"]
        self.seen[:] = state["observations"]


class SteppedPqn(FusedPqn):
    """The same for environments that step from Python: compiled acting and learning around them."""

    def _begin(self) -> None:
        environment = self.environment
        self.batch = batch(environment, self.envs, self.seed)
        self.notes = getattr(self.batch, "notes", ())
        self.kernels = build(
            "pqn around environments that step from Python",
            (fused.act, fused.store, fused.learn_rollout),
            bindings(environment),
        )
        self.batch.reset()
        self.returns = np.zeros(self.envs)
        self.kernels.prepare("act", *self._act_arguments(0, 0.5))
        self.kernels.prepare("store", *self._store_arguments(0))
        self.kernels.prepare("learn_rollout", *self._learn_arguments(0))
        self.compile_seconds += self.kernels.compile_seconds

    def _act_arguments(self, k: int, epsilon: float) -> tuple:
        seen = np.ascontiguousarray(self.batch.observations)
        return self.net, self.plan, self.players, seen, self.buffers, k, float(epsilon)

    def _store_arguments(self, k: int) -> tuple:
        batch = self.batch
        return (
            self.net, self.plan, self.buffers, k, np.asarray(batch.rewards, np.float32),
            np.ascontiguousarray(batch.terminated), np.ascontiguousarray(batch.truncated),
            np.ascontiguousarray(batch.valid), np.ascontiguousarray(batch.observations),
            np.ascontiguousarray(batch.final_observations), self.returns,
        )  # fmt: skip

    def _learn_arguments(self, member: int) -> tuple:
        return (
            self.net, self.moments, self.plan, self.buffers, self.stream, self.counts, self.log,
            member, self.threads,
        )  # fmt: skip

    def _learn(self, steps: int, episodes: int) -> None:
        """One rollout, and the learning from it."""
        seconds, clock = self.seconds, time.perf_counter
        epsilon = value_at(self.plan.epsilon, self.env_steps, self.episodes)
        envs = self.envs
        for k in range(self.config.rollout):
            begun = clock()
            self.kernels.act(*self._act_arguments(k, epsilon))
            chosen = clock()
            self.batch.step(self.buffers.actions[k * envs : (k + 1) * envs])
            stepped = clock()
            ended = self.batch.terminated | self.batch.truncated
            self.returns[:] = np.where(ended, self.batch.last_return, np.nan)
            self.kernels.store(*self._store_arguments(k))
            seconds["act"] += chosen - begun + clock() - stepped
            seconds["env"] += stepped - chosen
        begun = clock()
        self.team.run(
            lambda member: self.kernels.learn_rollout(*self._learn_arguments(member)),
            self.buffers.barrier,
        )
        seconds["learn"] += clock() - begun

    def _world_state(self) -> dict[str, np.ndarray]:
        return {f"batch.{name}": array for name, array in self.batch.get_state().items()}

    def _set_world_state(self, state: dict[str, np.ndarray]) -> None:
        self.batch.set_state(
            {name[6:]: array for name, array in state.items() if name.startswith("batch.")}
        )


def initial_parameters(architecture: Architecture, init: str, seed: int) -> np.ndarray:
    """Untrained parameters of this seed, of another, or out of a checkpoint."""
    if not init:
        return architecture.initial(seed)
    if str(init).isdigit():
        return architecture.initial(random_streams.checked_seed(int(init)))
    from qlearn.algorithms.network.weights import read_parameters

    return read_parameters(str(init), architecture)


def fused_learner(environment: Any, config: PqnConfig, seed: int) -> FusedPqn:
    return (CompiledPqn if environment.compiled else SteppedPqn)(environment, config, seed)
