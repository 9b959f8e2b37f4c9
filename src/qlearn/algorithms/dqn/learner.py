"""DQN on the fused engine, for environments that compile and for those that step from Python."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.dqn import fused
from qlearn.algorithms.dqn.config import KNOBS, DqnConfig
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.books import LOGGED, STAGES
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
from qlearn.envs import loop
from qlearn.kernels.build import build
from qlearn.nets import mlp
from qlearn.nets.adam import moments_of
from qlearn.replay.ring import Ring, ring_of
from qlearn.replay.size import refuse_beyond_memory
from qlearn.replay.state import named, put
from qlearn.replay.tree import Tree, tree_of
from qlearn.schedules import constant, value_at

LOG_EPISODES = 4096
BY_ROWS = (  # buffers as long as a batch
    "slots", "batch", "following", "targets", "discounts", "choices", "weights", "errors",
)  # fmt: skip
UPDATES_TRIED = 8  # on which a number of threads is tried


def plan_of(environment: Any, config: DqnConfig) -> fused.Plan:
    beta = schedule_of(config, "beta")  # refused if it is none, also where nothing is weighed
    return fused.Plan(
        lr=schedule_of(config, "lr"),
        epsilon=schedule_of(config, "epsilon"),
        beta=beta if config.prioritized else constant(1.0),
        explorers=config.explorers,
        restless=config.restless,
        persist=config.persist,
        discount=environment.discount if config.discount is None else float(config.discount),
        reward_scale=config.reward_scale,
        envs=config.envs,
        start=max(config.start, 1),
        updates=config.updates,
        every=config.learn_every,
        batch=config.batch,
        double=int(config.double),
        n_step=config.n_step,
        prioritized=int(config.prioritized),
        alpha=config.alpha,
        huber=int(config.loss == "huber"),
        tau=config.tau,
        target_every=config.target_every,
        average=config.average,
        scale_inputs=int(config.scale_inputs and not environment.discrete),
        actions=environment.actions,
        max_steps=int(environment.max_steps * config.overtime),
    )


def buffers_of(environment: Any, plan: fused.Plan) -> fused.Buffers:
    width, seen = seeing.inputs_of(environment), environment.observation_shape[0]

    def real(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    return fused.Buffers(
        inputs=real(plan.envs * width),
        before=real(plan.envs, seen),
        actions=np.zeros(plan.envs, np.int64),
        moods=np.zeros(plan.envs, np.bool_),
        roaming=np.zeros(plan.envs, np.bool_),
        slots=np.zeros(plan.batch, np.int64),
        batch=real(plan.batch * width),
        following=real(plan.batch * width),
        targets=real(plan.batch),
        discounts=real(plan.batch),
        choices=np.zeros(plan.batch, np.int64),
        weights=np.ones(plan.batch, np.float32),
        errors=real(plan.batch),
        scale=seeing.first_scale(environment),
        books=np.zeros((2, width)),
        figures=np.zeros(8),
        credit=np.zeros(1),
        clock=np.zeros(3, np.int64),
        said=np.zeros(1, np.int64),
        barrier=barrier(),
    )


def owe(credit: np.ndarray, steps: int, before: fused.Plan, plan: fused.Plan) -> None:
    """Another number of updates a step counts from now on, not for the steps that are over."""
    learned_from = max(0, steps - plan.start)
    credit[0] += learned_from * before.updates - learned_from * plan.updates


def owed(credit: np.ndarray) -> dict[str, np.ndarray]:
    """As part of a state: only where the rate of updates has ever changed."""
    return {"credit": credit} if credit[0] else {}


class FusedDqn(FusedLearner):
    """What both ways of stepping share."""

    algo = "dqn"
    knobs = KNOBS

    def __init__(self, environment: Any, config: DqnConfig, seed: int) -> None:
        config.check(self.engine)
        self.environment, self.config, self.seed = environment, config, seed
        self.envs = config.envs
        self.plan = plan_of(environment, config)
        self.architecture = architecture_of(environment, config, config.dueling)
        params = initial_parameters(self.architecture, config.init, seed)
        rows = max(config.envs, config.batch)
        self.net = mlp.net_of(self.architecture, rows, params.copy())
        self.target = mlp.net_of(self.architecture, config.batch, params.copy())
        self.moments = moments_of(params, config.optimiser, config.clip)
        self.buffers = buffers_of(environment, self.plan)
        self.scale, self.sums = self.buffers.scale, self.buffers.figures
        seen = environment.observation_shape
        refuse_beyond_memory(config.replay, seen, np.float32, config.prioritized)
        self.ring = ring_of(config.replay, config.envs, seen[0])
        self.tree = tree_of(len(self.ring.ends) if config.prioritized else 1)
        self.players = random_streams.streams(seed, config.envs, random_streams.PLAYER)
        self.stream = random_streams.streams(seed, 1, random_streams.LEARNER)[0]
        for i in range(config.envs):
            self.buffers.moods[i] = random_streams.chance(self.players[i], config.explorers)
        self.counts = np.zeros(6, np.int64)
        self.log = np.zeros(LOG_EPISODES + config.envs)
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.hire(config.threads, config.batch // 4)
        self.player = Player(environment, self.architecture)
        self._begin()
        self.kernels.prepare("compose_both", self.net, self.target)
        self.kernels.compose_both(self.net, self.target)

    def _begin(self) -> None:
        raise NotImplementedError

    def planned(self, config: DqnConfig) -> fused.Plan:
        config.check(self.engine)
        return plan_of(self.environment, config)

    def take(self, config: DqnConfig, plan: fused.Plan) -> None:
        if config.batch != self.rows:
            rows, size = max(config.envs, config.batch), self.architecture.parameters
            net = mlp.net_of(self.architecture, rows, self.net.params[:size].copy())
            target = mlp.net_of(self.architecture, config.batch, self.target.params[:size].copy())
            self.net, self.target = net, target  # neither, where one is refused
            fresh = buffers_of(self.environment, plan)
            self.buffers = self.buffers._replace(**{key: getattr(fresh, key) for key in BY_ROWS})
            self.kernels.compose_both(self.net, self.target)
            self.resize(config.batch)
        owe(self.buffers.credit, self.env_steps, self.plan, plan)
        super().take(config, plan)

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        return self.ring.rewards, self.ring.frames

    @property
    def rows(self) -> int:
        return self.config.batch

    def _named(self) -> dict[str, np.ndarray]:
        return {
            "params": self.net.params[: self.architecture.parameters],
            "average": self.moments.average,
            "scale": self.buffers.scale,
            "target": self.target.params[: self.architecture.parameters],
            "first_moment": self.moments.first,
            "second_moment": self.moments.second,
            "scale_books": self.buffers.books,
            "figures": self.buffers.figures,
            "players": self.players,
            "moods": self.buffers.moods,
            "roaming": self.buffers.roaming,
            "actions": self.buffers.actions,
            "stream": self.stream,
            "counts": self.counts,
        }

    @property
    def _memory(self) -> tuple[Ring, Tree | None]:
        return self.ring, self.tree if self.config.prioritized else None

    def set_policy(self, state: dict[str, np.ndarray]) -> None:
        super().set_policy(state)
        self.kernels.compose_both(self.net, self.target)

    def state_views(self) -> dict[str, np.ndarray]:
        return super().state_views() | named(*self._memory) | owed(self.buffers.credit)

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        super().set_state(state)
        self.buffers.credit[:] = state.get("credit", 0.0)
        put(*self._memory, named(*self._memory), state)
        self.kernels.compose_both(self.net, self.target)

    def _learn_arguments(self, member: int, members: int) -> tuple:
        return (
            self.net, self.target, self.moments, self.plan, self.ring, self.tree, self.buffers,
            self.stream, self.counts, member, members,
        )  # fmt: skip


class CompiledDqn(FusedDqn):
    """Whole chunks of training in one call, the environment compiled into it."""

    world: Copies

    def _begin(self) -> None:
        environment = self.environment
        self.kernels = build(
            f"dqn on {environment.name}",
            (fused.advance_chunk, fused.compose_both, loop.begin_batch),
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
            self.net, self.target, self.moments, self.plan, self.ring, self.tree, self.buffers,
            self.players, self.stream, world.copies, world.seen, world.finals, self.counts,
            self.log, steps, episodes, member, members, world.world,
        )  # fmt: skip

    def _learn(self, steps: int, episodes: int) -> None:
        self.buffers.clock[:] = 0
        members, before = self.pace.members, self.updates
        if self.pace.trying:
            steps = min(steps, self.env_steps + self._tried_steps)
        took = self.team.run(
            members,
            lambda member: self.kernels.advance_chunk(
                *self._arguments(steps, episodes, member, members)
            ),
            self.buffers.barrier,
        )
        if self.updates > before:
            self.pace.took(took / (self.updates - before))
        self.share_out(took, self.buffers.clock)

    @property
    def _tried_steps(self) -> int:
        """Steps that are worth some updates: what one number of threads is tried on."""
        return max(self.envs, self.plan.every, round(UPDATES_TRIED / max(self.plan.updates, 1e-3)))


class SteppedDqn(FusedDqn):
    """The same for environments that step from Python: compiled acting and learning around them."""

    world: Stepped

    def _begin(self) -> None:
        self.world = Stepped(self.environment, self.envs, self.seed)
        self.notes += self.world.notes
        self.kernels = build(
            "dqn around environments that step from Python",
            (fused.act, fused.store, fused.learn, fused.compose_both),
            bindings(self.environment),
        )

    def _prepare(self) -> None:
        self.kernels.prepare("act", *self._act_arguments(0.5))
        self.kernels.prepare("store", *self._store_arguments())
        self.kernels.prepare("learn", *self._learn_arguments(0, 1))

    def _act_arguments(self, epsilon: float) -> tuple:
        return (
            self.net, self.plan, self.players, self.buffers, self.world.seen, float(epsilon),
            self.counts,
        )  # fmt: skip

    def _store_arguments(self) -> tuple:
        return (
            self.plan, self.ring, self.tree, self.buffers, self.players, self.counts, self.log,
            *self.world.answers(), self.world.returns,
        )  # fmt: skip

    def _learn(self, steps: int, episodes: int) -> None:
        """Steps of all copies, until a budget is used up or the log is full."""
        seconds, clock, counts = self.seconds, time.perf_counter, self.counts
        while (
            self.env_steps < steps
            and self.episodes < episodes
            and counts[LOGGED] + self.envs <= len(self.log)
        ):
            begun = clock()
            epsilon = value_at(self.plan.epsilon, self.env_steps, self.episodes)
            self.kernels.act(*self._act_arguments(epsilon))
            chosen = clock()
            self.world.step(self.buffers.actions)
            stepped = clock()
            learns = self.kernels.store(*self._store_arguments())
            stored = clock()
            if learns:
                self._update()
            seconds["act"] += chosen - begun + stored - stepped
            seconds["env"] += stepped - chosen
            seconds["learn"] += clock() - stored

    def _update(self) -> None:
        members, before = self.pace.members, self.updates
        took = self.team.run(
            members,
            lambda member: self.kernels.learn(*self._learn_arguments(member, members)),
            self.buffers.barrier,
        )
        if self.updates > before:
            self.pace.took(took / (self.updates - before))


def fused_learner(environment: Any, config: DqnConfig, seed: int) -> FusedDqn:
    return (CompiledDqn if environment.compiled else SteppedDqn)(environment, config, seed)
