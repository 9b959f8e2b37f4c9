"""PQN on the fused engine, for environments that compile and for those that step from Python."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.books import STAGES
from qlearn.algorithms.network.fused import (
    Copies,
    FusedLearner,
    Stepped,
    architecture_of,
    initial_parameters,
    schedule_of,
)
from qlearn.algorithms.network.greedy import Player, bindings
from qlearn.algorithms.network.team import barrier
from qlearn.algorithms.pqn import fused
from qlearn.algorithms.pqn.config import KNOBS, PqnConfig
from qlearn.envs import loop
from qlearn.kernels.build import build
from qlearn.memory import refuse_beyond
from qlearn.nets import mlp
from qlearn.nets.adam import moments_of
from qlearn.schedules import constant, value_at

BY_ROWS = ("batch", "errors")  # buffers as long as a minibatch
LOG_ROLLOUTS = 8  # how many rollouts' ended episodes the log has room for


def plan_of(environment: Any, config: PqnConfig) -> fused.Plan:
    return fused.Plan(
        lr=schedule_of(config, "lr"),
        epsilon=schedule_of(config, "epsilon"),
        discount=constant(environment.discount)
        if config.discount is None
        else schedule_of(config, "discount"),
        explorers=round(config.explorers * config.envs),
        restless=config.restless,
        margin=config.margin,
        daring=config.daring,
        lambda_=config.lambda_,
        cut=int(config.cut),
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


BOOKS = 48 + 8 * LOG_ROLLOUTS  # bytes of a transition beside its inputs


def refuse_rollouts_beyond_memory(width: int, plan: fused.Plan) -> None:
    refuse_beyond(
        f"rollouts of {plan.envs:,} x {plan.rollout:,} steps take",
        plan.envs * plan.rollout * (4 * width + BOOKS),
        "fewer --envs, or a shorter rollout fit",
    )


def buffers_of(environment: Any, plan: fused.Plan) -> fused.Buffers:
    width, transitions = seeing.inputs_of(environment), plan.envs * plan.rollout
    real = lambda *shape: np.zeros(shape, np.float32)  # noqa: E731
    return fused.Buffers(
        inputs=real((transitions + plan.envs) * width),
        last_inputs=real(plan.envs * width),
        actions=np.zeros(transitions, np.int64),
        strays=np.zeros(transitions + plan.envs, np.bool_),
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


class FusedPqn(FusedLearner):
    """What both ways of stepping share: buffers, counters, state, evaluation."""

    algo = "pqn"
    knobs = KNOBS

    def __init__(self, environment: Any, config: PqnConfig, seed: int) -> None:
        config.check()
        self.environment, self.config, self.seed = environment, config, seed
        self.envs = config.envs
        self.plan = plan_of(environment, config)
        self.architecture = architecture_of(environment, config)
        params = initial_parameters(self.architecture, config.init, seed)
        rows = max(config.envs, config.minibatch)
        self.net = mlp.net_of(self.architecture, rows, params)
        self.moments = moments_of(params, config.optimiser, config.clip)
        refuse_rollouts_beyond_memory(seeing.inputs_of(environment), self.plan)
        self.buffers = buffers_of(environment, self.plan)
        self.scale, self.sums = self.buffers.scale, self.buffers.figures
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        self.counts = np.zeros(6, np.int64)
        self.log = np.zeros(LOG_ROLLOUTS * config.envs * config.rollout)
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.hire(config.threads, min(config.envs, config.minibatch) // 4)
        self.player = Player(environment, self.architecture)
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def planned(self, config: PqnConfig) -> fused.Plan:
        config.check()
        return plan_of(self.environment, config)

    def take(self, config: PqnConfig, plan: fused.Plan) -> None:
        if config.minibatch != self.rows:
            rows = max(config.envs, config.minibatch)
            self.net = mlp.net_of(self.architecture, rows, self.net.params)  # or is refused
            fresh = buffers_of(self.environment, plan)
            self.buffers = self.buffers._replace(**{key: getattr(fresh, key) for key in BY_ROWS})
            self.resize(config.minibatch)
        super().take(config, plan)

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        return self.buffers.rewards, self.buffers.inputs

    @property
    def rows(self) -> int:
        return self.config.minibatch

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


class CompiledPqn(FusedPqn):
    """Whole chunks of training in one call, the environment compiled into it."""

    world: Copies

    def _begin(self) -> None:
        environment = self.environment
        self.kernels = build(
            f"pqn on {environment.name}",
            (fused.advance_chunk, loop.begin_batch),
            bindings(environment),
            lines=environment.definitions,
        )
        self.world = Copies(environment, self.envs, self.seed, self.kernels)
        self.world.begin(self.kernels)

    def _prepare(self) -> None:
        self.kernels.prepare("advance_chunk", *self._arguments(0, 0, 0, 1))

    def _arguments(self, steps: int, episodes: int, member: int, members: int) -> tuple:
        world = self.world
        return (
            self.net, self.moments, self.plan, self.buffers, self.players, self.stream,
            world.copies, world.seen, world.finals, self.counts, self.log, steps, episodes, member,
            members, world.world,
        )  # fmt: skip

    def _learn(self, steps: int, episodes: int) -> None:
        self.buffers.clock[:] = 0
        members, before = self.pace.members, self.env_steps
        if self.pace.trying:
            steps = before + 1  # a single rollout
        took = self.team.run(
            members,
            lambda member: self.kernels.advance_chunk(
                *self._arguments(steps, episodes, member, members)
            ),
            self.buffers.barrier,
        )
        self.pace.took(took / (self.env_steps - before))
        self.share_out(took, self.buffers.clock)


class SteppedPqn(FusedPqn):
    """The same for environments that step from Python: compiled acting and learning around them."""

    world: Stepped

    def _begin(self) -> None:
        self.world = Stepped(self.environment, self.envs, self.seed)
        self.notes = self.world.notes
        self.kernels = build(
            "pqn around environments that step from Python",
            (fused.act, fused.store, fused.learn_rollout),
            bindings(self.environment),
        )

    def _prepare(self) -> None:
        self.kernels.prepare("act", *self._act_arguments(0, 0.5))
        self.kernels.prepare("store", *self._store_arguments(0))
        self.kernels.prepare("learn_rollout", *self._learn_arguments(0, 1))

    def _act_arguments(self, k: int, epsilon: float) -> tuple:
        return (
            self.net, self.plan, self.players, self.world.seen, self.buffers, k, float(epsilon),
        )  # fmt: skip

    def _store_arguments(self, k: int) -> tuple:
        return self.net, self.plan, self.buffers, k, *self.world.answers(), self.world.returns

    def _learn_arguments(self, member: int, members: int) -> tuple:
        return (
            self.net, self.moments, self.plan, self.buffers, self.stream, self.counts, self.log,
            member, members,
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
            self.world.step(self.buffers.actions[k * envs : (k + 1) * envs])
            stepped = clock()
            self.kernels.store(*self._store_arguments(k))
            seconds["act"] += chosen - begun + clock() - stepped
            seconds["env"] += stepped - chosen
        members = self.pace.members
        took = self.team.run(
            members,
            lambda member: self.kernels.learn_rollout(*self._learn_arguments(member, members)),
            self.buffers.barrier,
        )
        self.pace.took(took)
        seconds["learn"] += took


def fused_learner(environment: Any, config: PqnConfig, seed: int) -> FusedPqn:
    return (CompiledPqn if environment.compiled else SteppedPqn)(environment, config, seed)
