"""Many copies of one environment, stepped together in compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs import loop
from qlearn.envs.plain import PlainGame
from qlearn.envs.raised import raised_inside
from qlearn.envs.spec import Environment
from qlearn.errors import UserError
from qlearn.kernels.build import Kernels, build

# Below this many copies a thread has less to do than starting it costs (about 20 us here).
COPIES_PER_THREAD = 512
# Random rollouts walk through the copies in blocks that stay in the first cache.
ROLLOUT_BLOCK = 64

ENTRIES = (loop.begin_batch, loop.step_batch, loop.rollout)
LARGEST_BATCH = 1 << 31


class Batch:
    """What a learner steps: `envs` copies, autoreset in the same step.

    `step(actions)` gives (observations, rewards, terminated, truncated, info), each a view that
    the next step overwrites. Where an episode has ended, `observations` shows the first state of
    the next one and `final_observations` the last of the old. `valid` is False for a step that
    was no transition at all (some Gymnasium classes spend a step on resetting).
    """

    environment: Any
    envs: int
    observations: np.ndarray
    final_observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray
    begun: bool = False  # whether the copies are somewhere to step from
    anew: str = ""  # why new games began when a state was set; nothing where they went on

    def _allocate(self, environment: Any, envs: int) -> None:
        if not isinstance(envs, int | np.integer) or envs < 1:
            raise UserError(f"the number of environments must be at least 1, not {envs!r}")
        if envs >= LARGEST_BATCH:
            raise UserError(f"the number of environments must be below {LARGEST_BATCH:,}")
        self.environment, self.envs = environment, envs
        shape, dtype = (envs, *environment.observation_shape), environment.observation_dtype
        self.observations = np.zeros(shape, dtype)
        self.final_observations = np.zeros(shape, dtype)
        self.rewards = np.zeros(envs, np.float32)
        self.terminated = np.zeros(envs, np.bool_)
        self.truncated = np.zeros(envs, np.bool_)
        self.valid = np.ones(envs, np.bool_)
        self.info = {"final_observations": self.final_observations, "valid": self.valid}

    def _result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        return self.observations, self.rewards, self.terminated, self.truncated, self.info

    def _whole(self, actions: Any) -> np.ndarray:
        """The actions as an array of integers; anything that would be rounded or repeated is not."""
        actions = np.asarray(actions)
        if actions.shape != (self.envs,) or actions.dtype.kind not in "biu":
            raise UserError(f"step() takes {self.envs} whole numbers, one action for each copy")
        return actions

    def _impossible(self, copy: int, action: int) -> UserError:
        environment = self.environment
        return UserError(
            f"{environment.name}: action {action} of copy {copy} is not in"
            f" 0 .. {environment.actions - 1}"
        )

    def _no_number(self, copy: int) -> UserError:
        return UserError(
            f"{self.environment.name}: `step` gave a reward that is no number (copy {copy})"
        )

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        raise NotImplementedError

    def step(self, actions: Any):
        raise NotImplementedError

    @property
    def episodes(self) -> np.ndarray:
        """How many episodes each copy has finished."""
        return self._book("episodes")

    @property
    def last_length(self) -> np.ndarray:
        """The steps of each copy's last finished episode."""
        return self._book("last_length")

    @property
    def last_return(self) -> np.ndarray:
        """The sum of the rewards learnt from, of each copy's last finished episode."""
        return self._book("last_return")

    @property
    def last_score(self) -> np.ndarray:
        """What each copy's last finished episode is worth to a person."""
        return self._book("last_score")

    @property
    def score_so_far(self) -> np.ndarray:
        """The sum of the unshaped rewards of each copy's episode in progress."""
        return self._book("plain_return")

    def _book(self, name: str) -> np.ndarray:
        raise NotImplementedError

    def _check_state(self, state: dict[str, np.ndarray]) -> None:
        expected = (self.envs, self.environment.copy_dtype.itemsize)
        if state["copies"].shape != expected or len(state["observations"]) != self.envs:
            raise UserError(
                f"{self.environment.name}: this state is not of {self.envs} copies with these"
                " fields"
            )

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next step depends on, as named arrays."""
        raise NotImplementedError

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from what `get_state` gave."""
        raise NotImplementedError

    def close(self) -> None:
        """Frees what the batch holds outside this process."""

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class NumbaBatch(Batch):
    """The environment compiled for the CPU; the same games whatever `envs` and `threads` are."""

    def __init__(self, environment: Environment, envs: int, seed: int, threads: int = 1) -> None:
        self._allocate(environment, envs)
        if not isinstance(threads, int | np.integer) or threads < 1:
            raise UserError(f"the number of threads must be at least 1, not {threads!r}")
        self.threads = threads
        self.kernels = compiled(environment)
        self.world = environment.world(self.kernels.module.World)
        self._pool: ThreadPoolExecutor | None = None
        self._seed(seed)
        self._prepare()

    def _seed(self, seed: int) -> None:
        # A fresh record each time: a seeded reset plays the same games whatever came before.
        self.seed = random_streams.checked_seed(seed)
        self.copies = np.zeros(self.envs, self.environment.copy_dtype)
        self.copies["rng"] = random_streams.streams(self.seed, self.envs)
        self._players: np.ndarray | None = None
        self.begun = False

    def _prepare(self) -> None:
        """Compiles or loads every entry now, so that no step pays for it."""
        self._rules = (self.environment.actions, self.environment.max_steps, self.world)
        actions = np.zeros(self.envs, np.int64)
        self.kernels.prepare("begin_batch", self.copies, self.observations, 0, 0, self.world)
        self.kernels.prepare("step_batch", *self._step_arguments(actions), 0, 0, *self._rules)

    def _step_arguments(self, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        return (
            self.copies, actions, self.observations, self.final_observations,
            self.rewards, self.terminated, self.truncated,
        )  # fmt: skip

    @property
    def compile_seconds(self) -> float:
        return self.kernels.compile_seconds

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode in every copy; with a seed, as if the batch were new."""
        if seed is not None:
            self._seed(seed)
        begin = self.kernels.entries["begin_batch"]
        self._split(
            lambda low, high: self._run(
                begin, self.copies, self.observations, low, high, self.world
            )
        )
        self.begun = True
        return self.observations, self.info

    def step(self, actions: Any):
        """One step of every copy."""
        if not self.begun:
            raise UserError("reset() comes before the first step()")
        actions = self._whole(actions)
        # Actions that are as the kernel wants them are not copied: a tenth of a call of 64.
        if actions.dtype != np.int64 or not actions.flags.carray:
            actions = np.array(actions, np.int64)
        kernel = self.kernels.entries["step_batch"]
        if self.threads == 1 or self.envs < 2 * COPIES_PER_THREAD:
            try:
                bad = kernel(
                    self.copies, actions, self.observations, self.final_observations,
                    self.rewards, self.terminated, self.truncated, 0, self.envs, *self._rules,
                )  # fmt: skip
            except Exception as error:
                raise raised_inside(self.environment, error) from None
        else:
            self._refuse_impossible(actions)  # before any part of the copies has moved
            arguments = self._step_arguments(actions)
            found = self._split(
                lambda low, high: self._run(kernel, *arguments, low, high, *self._rules)
            )
            bad = next((copy for copy in found if copy >= 0), -1)
        if bad >= 0:
            raise self._no_number(bad)
        if bad < -1:
            self._refuse_impossible(actions)
        return self._result()

    def _refuse_impossible(self, actions: np.ndarray) -> None:
        bad = np.flatnonzero((actions < 0) | (actions >= self.environment.actions))
        if bad.size:
            raise self._impossible(int(bad[0]), int(actions[bad[0]]))

    def rollout(self, steps: int) -> int:
        """`steps` random steps of every copy inside the compiled loop; how many that were."""
        if not self.begun:
            raise UserError("reset() comes before the first rollout()")
        kernel = self.kernels.entries["rollout"]
        if self._players is None:
            self._players = random_streams.streams(self.seed, self.envs, random_streams.PLAYER)
        fixed = (
            self.copies, self._players, self.observations, self.final_observations,
            self.rewards, self.terminated, self.truncated,
        )  # fmt: skip
        environment = self.environment
        rest = (steps, environment.actions, environment.max_steps, self.world)
        self.kernels.prepare("rollout", *fixed, 0, 0, *rest)

        def play(low: int, high: int) -> None:
            for block in range(low, high, ROLLOUT_BLOCK):
                self._run(kernel, *fixed, block, min(high, block + ROLLOUT_BLOCK), *rest)

        self._split(play)
        return steps * self.envs

    def _split(self, work: Callable[[int, int], Any]) -> list[Any]:
        """Runs `work(low, high)` over the copies, on several threads where that pays."""
        parts = min(self.threads, max(1, self.envs // COPIES_PER_THREAD))
        if parts == 1:
            return [work(0, self.envs)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads)
        edges = [self.envs * k // parts for k in range(parts + 1)]
        return list(self._pool.map(work, edges[:-1], edges[1:]))

    def _run(self, kernel: Any, *arguments: Any) -> Any:
        """Runs a kernel; what the user's own functions raise in it is theirs to mend."""
        try:
            return kernel(*arguments)
        except Exception as error:
            raise raised_inside(self.environment, error) from None

    def _book(self, name: str) -> np.ndarray:
        return self.copies[name]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next step depends on, as named arrays."""
        state = {"copies": self.copies.view(np.uint8).reshape(self.envs, -1).copy()}
        state["observations"] = self.observations.copy()
        if self._players is not None:
            state["players"] = self._players.copy()
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from there, bit for bit."""
        self._check_state(state)
        self.copies.view(np.uint8).reshape(self.envs, -1)[:] = state["copies"]
        self.observations[:] = state["observations"]
        self._players = state["players"].copy() if "players" in state else None
        self.begun = True


class PlainBatch(Batch):
    """The same, run by the interpreter: slow, and steppable in a debugger."""

    def __init__(self, environment: Environment, envs: int, seed: int) -> None:
        self._allocate(environment, envs)
        self.games = [PlainGame(environment, seed, index) for index in range(envs)]
        for index, game in enumerate(self.games):
            game.observation = self.observations[index]
            game.final_observation = self.final_observations[index]
        self.begun = False

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            seed = random_streams.checked_seed(seed)
        for index, game in enumerate(self.games):
            if seed is not None:
                game.reseed(seed, index)
            game.reset()
        self.begun = True
        return self.observations, self.info

    def step(self, actions: Any):
        if not self.begun:
            raise UserError("reset() comes before the first step()")
        actions = self._whole(actions).tolist()
        for index, action in enumerate(actions):
            if not 0 <= action < self.environment.actions:
                raise self._impossible(index, action)
        for index, (game, action) in enumerate(zip(self.games, actions, strict=True)):
            self.rewards[index], self.terminated[index], self.truncated[index] = game.step(action)
        bad = np.flatnonzero(np.isnan(self.rewards))
        if bad.size:
            raise self._no_number(int(bad[0]))
        return self._result()

    def get_state(self) -> dict[str, np.ndarray]:
        """The same arrays as the compiled twin's: either goes on where the other was."""
        copies = np.zeros(self.envs, self.environment.copy_dtype)
        for game, record in zip(self.games, copies, strict=True):
            game.copy.to_record(record)
        return {
            "copies": copies.view(np.uint8).reshape(self.envs, -1),
            "observations": self.observations.copy(),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._check_state(state)
        copies = np.ascontiguousarray(state["copies"]).view(self.environment.copy_dtype)[:, 0]
        for game, record in zip(self.games, copies, strict=True):
            game.copy.from_record(record)
        self.observations[:] = state["observations"]
        self.begun = True

    def _book(self, name: str) -> np.ndarray:
        return np.array([getattr(game.copy, name) for game in self.games])


def compiled(environment: Environment, flavour: str = "cpu") -> Kernels:
    """The environment's batch loops, compiled."""
    return build(environment.name, ENTRIES, environment.bind, flavour, environment.definitions)
