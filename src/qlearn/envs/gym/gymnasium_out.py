"""Our environments as Gymnasium's: one game as an `Env`, many as a `VectorEnv`.

Both step the same batch that learners step. A batch begins the next episode in the step that ends
one; an `Env` must not, so it holds the begun episode back until `reset()` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from qlearn import rng as random_streams
from qlearn.envs import registry
from qlearn.envs.plain import PlainGame
from qlearn.envs.spec import Environment
from qlearn.errors import UserError

SEEDS = 1 << 63


class GymnasiumEnv(gymnasium.Env):
    """Copy 0 of the seed given to `reset(seed=s)`; episode after episode as a batch plays them.

    `env` is what the command line takes (`snake`, `FILE.txt`, `FILE.py:Name`) or an `Environment`,
    `options` its options. `engine="python"` runs the plain functions themselves, for a debugger.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 10}

    def __init__(
        self,
        env: str | Environment | None = None,
        render_mode: str | None = None,
        engine: str = "numba",
        **options: Any,
    ) -> None:
        self.environment = found(env, options)
        self.render_mode = render_mode
        self.observation_space = observation_space(self.environment)
        self.action_space = spaces.Discrete(self.environment.actions)
        self.engine = engine
        self._batch: Any = None  # made by the first reset: making an Env compiles nothing
        self._ended = False
        self._before: Any = None  # the copy and the action before the last step, for `render`

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; with a seed, as if the environment were new."""
        super().reset(seed=seed)
        if self._batch is None:
            first = int(self.np_random.integers(SEEDS)) if seed is None else seed
            self._batch = registry.batch(self.environment, 1, first, self.engine)
            self._batch.reset()
        elif seed is not None or not self._ended:
            self._batch.reset(seed)
        self._ended = False
        self._before = None
        return self._seen(self._batch.observations), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._batch is None or self._ended:
            why = "the episode has ended" if self._ended else "no episode has begun"
            raise ResetNeeded(f"{why}; call reset() before step()")
        if self.render_mode is not None:
            self._before = (_record_of(self._batch), int(action))
        observations, rewards, terminated, truncated, _ = self._batch.step([action])
        self._ended = bool(terminated[0] or truncated[0])
        info = {}
        if self._ended:
            observations = self._batch.final_observations
            info["score"] = float(self._batch.last_score[0])
        return (
            self._seen(observations),
            float(rewards[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            info,
        )

    def _seen(self, observations: np.ndarray) -> Any:
        if self.environment.discrete:
            return int(observations[0, 0])
        return observations[0].copy()

    def render(self) -> Any:
        """The position as text, also that in which an episode has ended."""
        if self.render_mode != "ansi":
            gymnasium.logger.warn('render() needs render_mode="ansi", given when making it')
            return None
        if self._batch is None:
            raise ResetNeeded("no episode has begun; call reset() before render()")
        if not self._ended:
            return draw(self.environment, _record_of(self._batch))
        # The batch is in the next episode already: the last step is played once more.
        before, action = self._before
        return draw(self.environment, before, action)

    def close(self) -> None:
        if self._batch is not None:
            self._batch.close()
            self._batch = None


class GymnasiumVectorEnv(gymnasium.vector.VectorEnv):
    """A compiled batch: `reset(seed=s)` plays copies 0 .. n-1 of seed s.

    Episodes begin anew in the step that ends them (`AutoresetMode.SAME_STEP`), the last observation
    is in `infos["final_obs"]`. A list of seeds plays copy 0 of each. `copy=False` gives views that
    the next step overwrites.
    """

    def __init__(
        self,
        num_envs: int = 1,
        env: str | Environment | None = None,
        render_mode: str | None = None,
        engine: str = "numba",
        threads: int = 1,
        copy: bool = True,
        max_episode_steps: int | None = None,
        **options: Any,
    ) -> None:
        if max_episode_steps is not None:
            options["max_steps"] = max_episode_steps
        self.environment = found(env, options)
        self.metadata = {**GymnasiumEnv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = render_mode
        self.num_envs = num_envs
        self.single_observation_space = observation_space(self.environment)
        self.single_action_space = spaces.Discrete(self.environment.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.copy = copy
        self._batch = registry.batch(self.environment, num_envs, 0, engine, threads)
        self._seeded = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode in every copy, or in those of `options={"reset_mask": mask}`."""
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(SEEDS))
        if isinstance(seed, int):
            super().reset(seed=seed)  # refuses what is no seed, and keeps it for np_random
        mask = (options or {}).get("reset_mask")
        if mask is None and (seed is None or isinstance(seed, int)):
            self._batch.reset(seed)
        else:
            self._reset_some(seed, range(self.num_envs) if mask is None else self._masked(mask))
        self._seeded = True
        return self._seen(self._batch.observations), {}

    def _reset_some(self, seed: int | Sequence[int | None] | None, where: Sequence[int]) -> None:
        """Begins episodes in some copies, each with a seed of its own or none."""
        seeds = [seed] * self.num_envs if seed is None or isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise UserError(f"{len(seeds)} seeds for {self.num_envs} copies")
        for i in where:
            own = seeds[i]
            if own is not None:
                _reseed(self._batch, i, own, i if isinstance(seed, int) else 0)
            _begin(self._batch, i)

    def _masked(self, mask: Any) -> list[int]:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise UserError("reset_mask must be an array of bool")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise UserError(f"reset_mask must have {self.num_envs} entries, at least one True")
        return np.flatnonzero(mask).tolist()

    def step(self, actions: Any):
        if not self._seeded:
            raise ResetNeeded("no episode has begun; call reset() before step()")
        observations, rewards, terminated, truncated, _ = self._batch.step(actions)
        infos = self._infos(terminated | truncated)
        if self.copy:
            rewards, terminated, truncated = rewards.copy(), terminated.copy(), truncated.copy()
        return self._seen(observations), rewards, terminated, truncated, infos

    def _infos(self, ended: np.ndarray) -> dict[str, Any]:
        """What Gymnasium wants to know about episodes that ended, each with its mask."""
        if not ended.any():
            return {}
        final = np.full(self.num_envs, None, dtype=object)
        rows = self._batch.final_observations
        for i in np.flatnonzero(ended):
            final[i] = int(rows[i, 0]) if self.environment.discrete else rows[i].copy()
        score = np.where(ended, self._batch.last_score, 0.0)
        return {
            "final_obs": final,
            "_final_obs": ended,
            "final_info": {"score": score, "_score": ended.copy()},
            "_final_info": ended.copy(),
        }

    def _seen(self, observations: np.ndarray) -> np.ndarray:
        if self.environment.discrete:
            observations = observations[:, 0]
        return observations.copy() if self.copy else observations

    def render(self) -> Any:
        """Every copy's position as text."""
        if self.render_mode != "ansi":
            gymnasium.logger.warn('render() needs render_mode="ansi", given when making it')
            return None
        return tuple(
            draw(self.environment, _record_of(self._batch, i)) for i in range(self.num_envs)
        )

    def close_extras(self, **kwargs: Any) -> None:
        self._batch.close()


def found(env: str | Environment | None, options: dict[str, Any]) -> Environment:
    """The environment meant by the keyword `env` and the options beside it."""
    if env is None:
        raise UserError('which environment? give env="FILE.py:Name", env="FILE.txt" or env="snake"')
    if isinstance(env, str):
        env = registry.find(env, options)
    elif options:
        raise UserError(f"{env.name} has its options already; leave out {', '.join(options)}")
    if not env.compiled:
        raise UserError(f"{env.name} is one of Gymnasium's own; use gymnasium.make() itself")
    return env


def observation_space(environment: Environment) -> spaces.Space:
    if isinstance(environment.observation, int):
        return spaces.Discrete(environment.observation)
    return spaces.Box(environment.low, environment.high, environment.observation, np.float32)


def draw(environment: Environment, record: Any, action: int | None = None) -> str:
    """A copy's position as text; with an action, the one that it leads to."""
    game = PlainGame(environment, autoreset=False)
    game.copy.from_record(record)
    if action is not None:
        game.step(action)
    return game.draw()


def _record_of(batch: Any, index: int = 0) -> Any:
    """A game in progress as a record of its own, whichever engine plays it."""
    if not hasattr(batch, "games"):
        return batch.copies[index].copy()
    record = np.zeros(1, batch.environment.copy_dtype)[0]
    batch.games[index].copy.to_record(record)
    return record


def _reseed(batch: Any, index: int, seed: int, copy: int) -> None:
    """Makes one game as new: copy `copy` of a seed."""
    seed = random_streams.checked_seed(seed)
    if hasattr(batch, "games"):
        batch.games[index].reseed(seed, copy)
    else:
        batch.copies[index] = np.zeros((), batch.copies.dtype)
        batch.copies[index]["rng"] = random_streams.stream(seed, copy)


def _begin(batch: Any, index: int) -> None:
    """Begins an episode in one copy."""
    if hasattr(batch, "games"):
        batch.games[index].reset()
    else:
        begin = batch.kernels.entries["begin_batch"]
        begin(batch.copies, batch.observations, index, index + 1, batch.world)
    batch.begun = True
