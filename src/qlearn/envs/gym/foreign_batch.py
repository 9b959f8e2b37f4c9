"""Batches of Gymnasium's own environments: one after another, in processes, or their own class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import iterate

from qlearn import rng as random_streams
from qlearn.envs.batch import Batch
from qlearn.envs.gym.foreign_copies import (
    Arrays,
    Copies,
    Recipe,
    arrays,
    failure,
    view_of,
)
from qlearn.envs.gym.foreign_workers import Workers
from qlearn.envs.gym.state import GAMES, MADE, Given, Keeper, Unsaveable, joined, parted
from qlearn.envs.gym.trial import why_not
from qlearn.errors import EnvironmentFault, UserError

# Gymnasium's modes, by the names it gives them; without a name it is the first.
NEXT_STEP, SAME_STEP, DISABLED = "NextStep", "SameStep", "Disabled"
KEPT_BOOKS = ("episodes", "last_length", "last_return", "last_score")
OF_GAMES = ("elapsed", "shaped_return", "plain_return")  # books of episodes in progress
ENDED = f"{GAMES}.ended"  # the copies whose next step begins an episode
SPACES = ("single_observation_space", "single_action_space", "observation_space", "action_space")
LARGEST = float(np.finfo(np.float32).max)
UNLIMITED = (1 << 31) - 1


def seed_of(seed: int, copy: int, taken_up: int = 0) -> int:
    """The seed, of 31 bits, that copy `copy` of a seed gives to Gymnasium."""
    stream = random_streams.stream(seed, copy)
    for _ in range(taken_up):
        random_streams.word(stream)
    return random_streams.word(stream) >> 1


class ForeignBatch(Batch):
    """What the three ways of running share: seeds, actions, the replaced reward, the books."""

    compile_seconds = 0.0

    def __init__(self, environment: Any, envs: int, seed: int, data: Arrays | None = None) -> None:
        self._allocate(environment, envs)
        self.data = data or arrays(envs, *_row(environment))
        self.observations = self.data.observations
        self.final_observations = self.data.final_observations
        self.terminated, self.truncated = self.data.terminated, self.data.truncated
        self.info["final_observations"] = self.final_observations
        self.notes: tuple[str, ...] = ()
        self._stepping = False  # or it has failed within a step
        self._cannot: str | None = None  # why games cannot go on elsewhere; None: nobody has tried
        self._before = np.zeros_like(self.observations)
        self._clear(seed)

    def _clear(self, seed: int, taken_up: int = 0) -> None:
        """As new; `taken_up` counts how often the run has gone on from a checkpoint."""
        self.seed, self._taken_up = seed, taken_up
        self._seeds: list[int] | None = [seed_of(seed, k, taken_up) for k in range(self.envs)]
        whole, real = np.zeros(self.envs, np.int64), np.zeros(self.envs, np.float64)
        self.books = {
            "elapsed": whole, "shaped_return": real, "plain_return": real.copy(),
            "episodes": whole.copy(), "last_length": whole.copy(),
            "last_return": real.copy(), "last_score": real.copy(),
        }  # fmt: skip

    def _book(self, name: str) -> np.ndarray:
        return self.books[name]

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode in every copy; seeded the first time, and whenever a seed is given."""
        if seed is not None:
            self._clear(random_streams.checked_seed(seed))
        self.data.seeds[:] = -1 if self._seeds is None else self._seeds
        self._begin()
        self._seeds = None
        for name in ("elapsed", "shaped_return", "plain_return"):
            self.books[name][:] = 0
        self.valid[:] = True
        self.begun, self._stepping = True, False
        return self.observations, self.info

    def step(self, actions: Any):
        """One step of every copy."""
        self._check(actions)
        if self.environment.reward is not None:
            np.copyto(self._before, self.observations)
        self._stepping = True
        self._step()
        self._account()
        self._stepping = False
        return self._result()

    def get_state(self) -> dict[str, np.ndarray]:
        """The books as named arrays, and the games where they can go on in other environments."""
        kept = {name: self.books[name].copy() for name in KEPT_BOOKS}
        kept["taken_up"] = np.array([self._taken_up])
        try:
            return kept | self._tried_games()
        except Unsaveable:
            return kept

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from there; without games, new ones begin, other ones than those before did."""
        if not self.begun:
            self.reset()
        self.anew = self._why_anew(state)
        self._clear(self.seed, int(state["taken_up"][0]) + bool(self.anew))
        for name in KEPT_BOOKS:
            self.books[name][:] = state[name]
        if self.anew:
            self.reset()
        else:
            self.put_games(state)

    def _why_anew(self, state: dict[str, np.ndarray]) -> str:
        if GAMES in state:
            same = state[MADE].tobytes() == self._give().made
            return "" if same else "is not made as it was when it was saved"
        try:
            self._tried_games()
        except Unsaveable as error:
            return f"cannot be saved ({error})"
        return "was saved without its games"

    def _tried_games(self) -> dict[str, np.ndarray]:
        """The games, where it was tried that they can be gone on with."""
        games = self.games()
        if self._cannot is None:
            self._cannot = why_not(self._another)
        if self._cannot:
            raise Unsaveable(self._cannot)
        return games

    def games(self) -> dict[str, np.ndarray]:
        """The games in progress, as named arrays."""
        if self._stepping or not self.begun:
            raise Unsaveable("it is within a step")
        given = self._give()
        if given.why:
            raise Unsaveable(given.why)
        books = {f"{GAMES}.{name}": self.books[name].copy() for name in OF_GAMES}
        return {**joined(given), f"{GAMES}.seen": self.observations.copy(), **books}

    def put_games(self, state: dict[str, np.ndarray]) -> None:
        """Goes on in the middle of these games; a `ValueError` where they do not fit."""
        seen = state[f"{GAMES}.seen"]
        if seen.shape != self.observations.shape:
            raise ValueError(f"the saved games show {seen.shape}, not {self.observations.shape}")
        self._put(parted(state))
        self.observations[:] = seen
        for name in OF_GAMES:
            self.books[name][:] = state[f"{GAMES}.{name}"]
        self._seeds = None

    def _give(self) -> Given:
        raise NotImplementedError

    def _put(self, texts: Sequence[bytes]) -> None:
        raise NotImplementedError

    def _another(self) -> ForeignBatch:
        """One to try with, which the training has nothing to do with."""
        return SerialBatch(replace(self.environment, reward=None), 1, 0)

    def _begin(self) -> None:
        raise NotImplementedError

    def _step(self) -> None:
        raise NotImplementedError

    def _check(self, actions: Any) -> None:
        if not self.begun:
            raise UserError("reset() comes before the first step()")
        self.data.actions[:] = chosen = self._whole(actions)
        if (self.data.actions.view(np.uint64) >= self.environment.actions).any():  # or negative
            possible = (chosen >= 0) & (chosen < self.environment.actions)
            bad = int(np.flatnonzero(~possible)[0])
            raise self._impossible(bad, chosen[bad])

    def _account(self) -> None:
        """Rewards to learn from, returns, and the figures of episodes that have ended."""
        books, plain = self.books, self.data.rewards
        ended = self.terminated | self.truncated
        shaped = plain if self.environment.reward is None else self._replaced(ended)
        for rewards in (plain, shaped):
            if not np.abs(rewards).max() <= LARGEST:
                raise self._unlearnable(rewards)
        self.rewards[:] = shaped
        books["elapsed"] += self.valid
        books["shaped_return"] += shaped
        books["plain_return"] += plain
        if ended.any():
            books["episodes"] += ended
            for last, running in (
                ("last_length", "elapsed"),
                ("last_return", "shaped_return"),
                ("last_score", "plain_return"),
            ):
                books[last][ended] = books[running][ended]
                books[running][ended] = 0

    def _unlearnable(self, rewards: np.ndarray) -> EnvironmentFault:
        """The first reward that is no number, or none of those that are learned from."""
        copy = int(np.argmin(np.abs(rewards) <= LARGEST))
        if not np.isfinite(rewards[copy]):
            return EnvironmentFault(str(self._no_number(copy)))
        return EnvironmentFault(
            f"{self.environment.name}: `step` gave a reward of {rewards[copy]:g}, more than float32"
            f" holds (copy {copy})"
        )

    def _replaced(self, ended: np.ndarray) -> np.ndarray:
        """The user's own reward of every copy that made a step."""
        shaped, reward = np.zeros(self.envs), self.environment.reward
        assert reward is not None
        for i in np.flatnonzero(self.valid):
            after = self.final_observations[i] if ended[i] else self.observations[i]
            shaped[i] = reward(
                self._before[i],
                int(self.data.actions[i]),
                after,
                float(self.data.rewards[i]),
                bool(self.terminated[i]),
            )
        return shaped


def _row(environment: Any) -> tuple[int, str]:
    return environment.observation_shape[0], np.dtype(environment.observation_dtype).str


class SerialBatch(ForeignBatch):
    """The copies one after another in this process."""

    def __init__(self, environment: Any, envs: int, seed: int) -> None:
        super().__init__(environment, envs, seed)
        self.stepper = Copies(environment.recipe, self.data)

    def _begin(self) -> None:
        self.stepper.begin()

    def _step(self) -> None:
        self.stepper.step()

    def _give(self) -> Given:
        return self.stepper.give()

    def _put(self, texts: Sequence[bytes]) -> None:
        self.stepper.take(texts)

    def close(self) -> None:
        self.stepper.close()


class ProcessBatch(ForeignBatch):
    """The same copies, in worker processes."""

    def __init__(self, environment: Any, envs: int, seed: int, processes: int) -> None:
        row = _row(environment)
        self.workers = Workers(environment.recipe, envs, *row, min(processes, envs))
        super().__init__(environment, envs, seed, self.workers.data)

    def _begin(self) -> None:
        self.workers.begin()

    def _step(self) -> None:
        self.workers.step()

    def _give(self) -> Given:
        try:
            return self.workers.give()
        except UserError as error:  # the next step will say it; what was learned can be saved
            raise Unsaveable(str(error)) from None

    def _put(self, texts: Sequence[bytes]) -> None:
        self.workers.take(texts)

    def close(self) -> None:
        self.workers.close()


class VectorBatch(ForeignBatch):
    """The environment's own batched class, whichever way it begins new episodes.

    Where it spends a step on resetting, that step is no transition: `valid` is False, and until
    then `observations` shows the last state of the old episode, whose action goes nowhere.
    """

    def __init__(self, environment: Any, envs: int, seed: int) -> None:
        super().__init__(environment, envs, seed)
        self.recipe: Recipe = environment.recipe
        self.vector = _open_vector(self.recipe, envs)
        self.keeper = Keeper(self.vector)
        mode = self.vector.metadata.get("autoreset_mode", NEXT_STEP)
        self.mode = getattr(mode, "value", mode)
        self.view = view_of(
            self.vector.single_observation_space, self.recipe.index, self.recipe.name
        )
        self.first_action = int(self.vector.single_action_space.start)
        self.action_kind = self.vector.action_space.dtype
        self._ended = np.zeros(envs, np.bool_)

    def _begin(self) -> None:
        seed = None if self._seeds is None else self._seeds[0]
        try:
            self._see(self.vector.reset(seed=seed)[0], self.observations)
        except Exception as error:
            raise self._failed(error) from error
        self.keeper.begins(self.vector)
        self._ended[:] = False

    def _step(self) -> None:
        actions = (self.data.actions + self.first_action).astype(self.action_kind)
        try:
            self._take(*self.vector.step(actions))
        except UserError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _take(self, seen: Any, rewards: Any, terminated: Any, truncated: Any, infos: Any) -> None:
        data = self.data
        self.valid[:] = ~self._ended if self.mode == NEXT_STEP else True
        data.rewards[:] = np.where(self.valid, np.asarray(rewards, np.float64), 0.0)
        data.terminated[:] = np.asarray(terminated, np.bool_) & self.valid
        data.truncated[:] = np.asarray(truncated, np.bool_) & self.valid & ~data.terminated
        self._see(seen, self.observations)
        self._ended = data.terminated | data.truncated
        if not self._ended.any():
            return
        if self.mode == SAME_STEP:
            self._see_final(infos)
            return
        self.final_observations[self._ended] = self.observations[self._ended]
        if self.mode == DISABLED:
            fresh = self.vector.reset(options={"reset_mask": self._ended.copy()})[0]
            self._see(fresh, self.observations, self._ended)

    def _see(self, seen: Any, into: np.ndarray, where: np.ndarray | None = None) -> None:
        """Writes what a batch of copies shows, all at once where it is plain numbers."""
        if isinstance(self.vector.single_observation_space, spaces.Box):
            rows = np.asarray(seen).reshape(self.envs, -1)
            np.copyto(into, rows, "unsafe", True if where is None else where[:, None])
            return
        for i, each in enumerate(iterate(self.vector.observation_space, seen)):
            if where is None or where[i]:
                self.view.write(into[i], each)

    def _see_final(self, infos: Any) -> None:
        final = infos.get("final_obs")
        if final is None:
            raise UserError(
                f"{self.recipe.name}: its batched class gives no last observation (`final_obs`);"
                " --set env.run=serial works"
            )
        if not (isinstance(final, np.ndarray) and final.dtype == object):
            final = list(iterate(self.vector.observation_space, final))
        for i in np.flatnonzero(self._ended):
            self.view.write(self.final_observations[i], final[i])

    def games(self) -> dict[str, np.ndarray]:
        return {**super().games(), ENDED: self._ended.copy()}

    def put_games(self, state: dict[str, np.ndarray]) -> None:
        super().put_games(state)
        self._ended[:] = state[ENDED]

    def _give(self) -> Given:
        return self.keeper.give([self.vector])

    def _put(self, texts: Sequence[bytes]) -> None:
        self.keeper.take([self.vector], texts)

    def _another(self) -> ForeignBatch:
        return VectorBatch(replace(self.environment, reward=None), self.envs, 0)

    def _failed(self, error: Exception) -> EnvironmentFault:
        return failure(self.recipe.name, "the batched class", error)

    def close(self) -> None:
        self.vector.close()


def _open_vector(recipe: Recipe, envs: int) -> Any:
    options = dict(recipe.options)
    if recipe.max_steps != (recipe.spec.max_episode_steps or 0):
        options["max_episode_steps"] = recipe.max_steps or UNLIMITED
    try:
        vector = gymnasium.make_vec(
            recipe.spec, num_envs=envs, vectorization_mode="vector_entry_point", **options
        )
        for name in SPACES:  # putting copies' spaces together seeds them as it happens
            getattr(vector, name).seed(0)
        return vector
    except Exception as error:
        raise recipe.refused(error) from error
