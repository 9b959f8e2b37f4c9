"""What every learner on the fused engine shares: chunks, state, and the two kinds of world."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.books import LOGGED, STAGES, Books
from qlearn.algorithms.network.greedy import Player
from qlearn.algorithms.network.team import Pace, Team, cores
from qlearn.envs import loop
from qlearn.envs.registry import batch
from qlearn.errors import UserError
from qlearn.memory import refuse_beyond
from qlearn.nets.adam import Moments
from qlearn.nets.layout import Architecture
from qlearn.nets.mlp import Net
from qlearn.schedules import Schedule, bounds, parse

PLAYS = ("params", "average", "scale")  # what a policy needs of a state


class Copies:
    """Copies of an environment that is compiled into the loop."""

    anew = ""  # they always go on

    def __init__(self, environment: Any, envs: int, seed: int, kernels: Any) -> None:
        self.world = environment.practised.world(kernels.module.World)
        self.copies = np.zeros(envs, environment.copy_dtype)
        self.copies["rng"] = random_streams.streams(seed, envs)
        shape = (envs, *environment.observation_shape)
        self.seen = np.zeros(shape, environment.observation_dtype)
        self.finals = np.zeros_like(self.seen)
        self._begin = (self.copies, self.seen, 0, envs, self.world)
        kernels.prepare(loop.begin_batch.__name__, *self._begin)

    def begin(self, kernels: Any) -> None:
        kernels.begin_batch(*self._begin)

    @property
    def _raw(self) -> np.ndarray:
        return self.copies.view(np.uint8).reshape(len(self.copies), -1)

    def running_returns(self) -> np.ndarray:
        """Of the episodes in progress."""
        return self.copies["shaped_return"]

    def get_state(self) -> dict[str, np.ndarray]:
        return {"copies": self._raw.copy(), "observations": self.seen.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        if state["copies"].shape != self._raw.shape:
            raise ValueError(f"'copies' is {state['copies'].shape}, not {self._raw.shape}")
        self._raw[:] = state["copies"]
        self.seen[:] = state["observations"]


class Stepped:
    """Copies of an environment that steps from Python."""

    def __init__(self, environment: Any, envs: int, seed: int) -> None:
        self.batch = batch(environment, envs, seed)
        self.notes: tuple[str, ...] = getattr(self.batch, "notes", ())
        self.batch.reset()
        self.returns = np.zeros(envs)

    def step(self, actions: np.ndarray) -> None:
        """One step of all, and the return of each episode that ended in it, else nan."""
        self.batch.step(actions)
        ended = self.batch.terminated | self.batch.truncated
        self.returns[:] = np.where(ended, self.batch.last_return, np.nan)

    @property
    def seen(self) -> np.ndarray:
        return np.ascontiguousarray(self.batch.observations)

    def answers(self) -> tuple[np.ndarray, ...]:
        """Rewards, terminated, truncated, valid, what is seen now, and what was seen last."""
        batch = self.batch
        return (
            np.asarray(batch.rewards, np.float32), np.ascontiguousarray(batch.terminated),
            np.ascontiguousarray(batch.truncated), np.ascontiguousarray(batch.valid), self.seen,
            np.ascontiguousarray(batch.final_observations),
        )  # fmt: skip

    @property
    def anew(self) -> str:
        """Why new games began when a state was set."""
        return self.batch.anew

    def running_returns(self) -> np.ndarray:
        return self.batch.score_so_far

    def get_state(self) -> dict[str, np.ndarray]:
        return {f"batch.{name}": array for name, array in self.batch.get_state().items()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.batch.set_state(
            {name[6:]: array for name, array in state.items() if name.startswith("batch.")}
        )


class FusedLearner(Books):
    """Learns chunk by chunk in compiled code; everything that has state is a named array."""

    engine, device = "fused", "cpu"
    notes: tuple[str, ...] = ()
    net: Net
    moments: Moments
    world: Copies | Stepped
    kernels: Any
    log: np.ndarray  # the returns of episodes that ended since it was read
    player: Player
    pace: Pace
    team: Team
    _prepared = False

    def hire(self, wanted: int, useful: int) -> None:
        """The threads that were asked for, or as many as turn out fastest; no more than useful."""
        most = max(1, min(wanted or cores(), useful))
        self.pace, self.team = Pace(wanted, most), Team(most)

    @property
    def threads(self) -> int:
        return self.pace.best

    @property
    def settling(self) -> bool:
        return self.pace.trying

    @property
    def compile_seconds(self) -> float:
        return self.player.compile_seconds + self.kernels.compile_seconds

    def _prepare(self) -> None:
        """Compiles or loads what learning takes; who only plays does without."""
        raise NotImplementedError

    def _learn(self, steps: int, episodes: int) -> None:
        raise NotImplementedError

    def _named(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def advance(self, steps: int) -> np.ndarray:
        """Learns until at least `steps` steps are done, in whole rounds; the returns that ended."""
        if not self._prepared:
            self._prepare()
            self._prepared = True
        most = self.config.episodes or 2**62
        ended = []
        while self.env_steps < steps and self.episodes < most:
            try:
                self._learn(steps, most)
            finally:  # an environment that fails leaves what can be saved
                ended.append(self.log[: self.counts[LOGGED]].copy())
                self.counts[LOGGED] = 0
            self.check_numbers(self.net.params, [*ended[-1], *self.world.running_returns()])
        return np.concatenate(ended) if ended else np.zeros(0)

    def share_out(self, took: float, clock: np.ndarray) -> None:
        """The seconds of a compiled chunk among the stages, by the loop's own clock."""
        ticks = clock.sum()
        for name, part in zip(STAGES, clock, strict=True):
            self.seconds[name] += took * float(part) / float(ticks) if ticks else 0.0

    @property
    def anew(self) -> str:
        return self.world.anew

    @property
    def parameters(self) -> np.ndarray:
        return self.moments.average

    def _policy(self) -> dict[str, np.ndarray]:
        """What it takes to play."""
        named = self._named()
        return {name: named[name] for name in PLAYS}

    def policy_state(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self._policy().items()}

    def set_policy(self, state: dict[str, np.ndarray]) -> None:
        put_named(self._policy(), state)

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, as named arrays."""
        return {name: array.copy() for name, array in self.state_views().items()}

    def state_views(self) -> dict[str, np.ndarray]:
        """The same without a copy: it changes with the next step."""
        return self._named() | self.world.get_state()

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        put_named(self._named(), state)
        self.world.set_state(state)


def put_named(named: dict[str, np.ndarray], state: dict[str, np.ndarray]) -> None:
    """A checkpoint's arrays into a learner's, all or none."""
    for name, array in named.items():
        if state[name].shape != array.shape:
            raise ValueError(f"'{name}' is {state[name].shape}, not {array.shape}")
    for name, array in named.items():
        array[...] = state[name]


def schedule_of(config: Any, name: str, most: float = 1.0) -> Schedule:
    """A setting between 0 and `most` that may change with the steps or the episodes."""
    schedule = parse(getattr(config, name), config.steps, name, config.episodes)
    low, high = bounds(schedule)
    if low < 0.0 or high > most:
        raise UserError(
            f"{name} must be between 0 and {most:g}, not {low if low < 0.0 else high:g}"
        )
    return schedule


def architecture_of(environment: Any, config: Any, dueling: bool = False) -> Architecture:
    """The perceptron of the fused engine; what only PyTorch has is refused."""
    for key in ("conv", "network", "compile"):
        if getattr(config, key):
            raise UserError(
                f"the fused engine has perceptrons of its own; {key} is --engine torch's"
            )
    if config.precision != "float32":
        raise UserError(
            f"the fused engine computes in float32; {config.precision} is --engine torch's"
        )
    return perceptron_of(environment, config, dueling)


LEARNED_WITH = 4 * 4  # bytes of a parameter beside its network: drawn, averaged, two moments


def perceptron_of(environment: Any, config: Any, dueling: bool = False) -> Architecture:
    if environment.discrete and environment.observation > seeing.MOST_STATES:
        raise UserError(
            f"{environment.name} has {environment.observation:,} states; a network takes up to"
            f" {seeing.MOST_STATES:,}, one input each; --algo table learns it"
        )
    found = Architecture(
        seeing.inputs_of(environment), config.widths, environment.actions, config.activation,
        config.layer_norm, dueling,
    )  # fmt: skip
    refuse_beyond(
        f"{found.parameters:,} parameters take",
        found.parameters * LEARNED_WITH,
        "narrower layers fit",
    )
    return found


def initial_parameters(architecture: Architecture, init: str, seed: int) -> np.ndarray:
    """Untrained parameters of this seed, of another, or out of a checkpoint."""
    if not init:
        return architecture.initial(seed)
    drawn = random_streams.seed_in(str(init))
    if drawn is not None:
        return architecture.initial(drawn)
    from qlearn.algorithms.network.weights import read_parameters

    return read_parameters(str(init), architecture)
