"""Gymnasium's environments made, read, and stepped one after another.

Free of Numba: worker processes import it too.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces.utils import flatten, flatten_space

from qlearn.envs.gym.state import Given, Keeper
from qlearn.errors import EnvironmentFault, UserError, closest

# What pip installs for the environments that come with Gymnasium.
EXTRAS = {
    "gymnasium.envs.box2d": "box2d",
    "gymnasium.envs.mujoco": "mujoco",
    "gymnasium.envs.phys2d": "jax",
    "gymnasium.envs.tabular": "jax",
}
PATIENCE = 120.0
WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Recipe:
    """How to make one environment; small enough to send to a worker process."""

    identity: str
    spec: Any  # Gymnasium's EnvSpec
    options: dict[str, Any]  # keyword arguments of the environment's own
    max_steps: int  # counted by us, so that an episode's end is decided in one place
    index: bool = False  # whole numbers seen become one number
    patience: float = PATIENCE  # seconds that a worker may take for an answer; 0: any

    @property
    def name(self) -> str:
        return f"gym:{self.identity}"

    def open(self, render_mode: str | None = None) -> Any:
        """One environment; every failure is one clear line."""
        options = dict(self.options)
        if render_mode is not None:
            options["render_mode"] = render_mode
        try:
            return gymnasium.make(
                self.spec, max_episode_steps=-1, disable_env_checker=True, **options
            )
        except Exception as error:
            raise self.refused(error) from error

    def refused(self, error: Exception) -> UserError:
        """Why the environment could not be made, and what would help."""
        message = first_line(error)
        unknown = re.search(r"unexpected keyword argument '(\w+)'", message)
        if isinstance(error, TypeError) and unknown:
            known = parameters(self.spec)
            return UserError(
                f"{self.name}: there is no option env.{unknown[1]}{closest(unknown[1], known)}"
            )
        if isinstance(error, gymnasium.error.DependencyNotInstalled | ImportError):
            return UserError(f"{self.name}: {_what_to_install(self.spec, error)}")
        return UserError(
            f"{self.name} cannot be made: {place_of(error)}{type(error).__name__}: {message}"
        )


def recipe_of(identity: str, chosen: Mapping[str, Any]) -> Recipe:
    """The recipe that an ID and its options ask for."""
    spec = known_spec(identity)
    options = {key: value_of(value) for key, value in chosen.items()}
    max_steps = options.pop("max_steps", None)
    index = options.pop("index", False)
    options.pop("run", None)
    patience = options.pop("patience", PATIENCE)
    if not isinstance(index, bool):
        raise UserError(f"gym:{identity}: env.index must be true or false, not {index!r}")
    if max_steps is None:
        max_steps = spec.max_episode_steps or 0
    if not isinstance(max_steps, int) or max_steps < 0:
        raise UserError(
            f"gym:{identity}: env.max_steps must be a whole number, 0 for none, not {max_steps!r}"
        )
    if isinstance(patience, bool) or not isinstance(patience, int | float) or not patience >= 0.0:
        raise UserError(
            f"gym:{identity}: env.patience must be a number of seconds, 0 for any, not {patience!r}"
        )
    return Recipe(identity, spec, options, max_steps, index, float(patience))


def known_spec(identity: str) -> Any:
    """Gymnasium's own entry for an ID such as `Acrobot-v1` or `module:Name-v0`."""
    module, _, rest = identity.rpartition(":")
    if module:
        try:
            importlib.import_module(module)  # which registers it
        except ModuleNotFoundError as error:
            raise UserError(f"gym:{identity}: {first_line(error)}") from None
        except Exception as error:
            raise UserError(
                f"gym:{identity}: {place_of(error)}importing {module} raised"
                f" {type(error).__name__}: {first_line(error)}"
            ) from error
    try:
        return gymnasium.spec(rest)
    except gymnasium.error.DeprecatedEnv as error:
        raise UserError(f"gym:{identity}: {first_line(error)}") from None
    except gymnasium.error.Error:
        near = difflib.get_close_matches(rest, sorted(gymnasium.registry), n=1, cutoff=0.5)
        hint = f"; did you mean 'gym:{near[0]}'?" if near else ""
        raise UserError(f"Gymnasium knows no '{rest}'{hint}") from None


def value_of(value: Any) -> Any:
    """Text from a command line as the value it looks like; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value  # `nan` and `inf` may be words


def parameters(spec: Any) -> list[str]:
    """The options that an environment's constructor takes."""
    creator = spec.entry_point
    try:
        if isinstance(creator, str):
            creator = load_env_creator(creator)
        names = [
            key
            for key, value in inspect.signature(creator).parameters.items()
            if value.kind not in (value.VAR_KEYWORD, value.VAR_POSITIONAL)
        ]
    except Exception:
        names = []
    return [name for name in names if name != "render_mode"] + [
        "max_steps",
        "patience",
        "run",
        "index",
        "native",
    ]


def _what_to_install(spec: Any, error: Exception) -> str:
    message = first_line(error)
    if "pip install" in message:
        return message
    home = spec.entry_point if isinstance(spec.entry_point, str) else ""
    for module, extra in EXTRAS.items():
        if home.startswith(module):
            return f"{message}: pip install 'gymnasium[{extra}]'"
    missing = getattr(error, "name", None)
    return f"{message}: pip install {missing}" if missing else message


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no reason given"


def place_of(error: BaseException) -> str:
    """`FILE:LINE: ` of the innermost line that is not ours."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<")
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""


class View(NamedTuple):
    """What is seen of an environment: a shape or a number of states, bounds, and who writes it."""

    observation: tuple[int, ...] | int
    low: np.ndarray
    high: np.ndarray
    write: Callable[[np.ndarray, Any], None]


def view_of(space: Any, index: bool, name: str) -> View:
    """Any space as one flat row of numbers, or as one whole number."""
    if isinstance(space, spaces.Discrete):
        return _numbered([int(space.n)], [int(space.start)], lambda seen: (seen,))
    if index:
        return _indexed(space, name)
    if not space.is_np_flattenable:
        raise UserError(f"{name} shows {space}, which has no fixed number of values")
    box = flatten_space(space)
    assert isinstance(box, spaces.Box)

    def write(row: np.ndarray, seen: Any) -> None:
        row[:] = flatten(space, seen)

    def write_plain(row: np.ndarray, seen: Any) -> None:
        row[:] = seen

    low, high = box.low.astype(np.float32), box.high.astype(np.float32)
    plain = isinstance(space, spaces.Box) and len(space.shape) == 1
    return View((max(1, low.size),), low, high, write_plain if plain else write)


def _indexed(space: Any, name: str) -> View:
    """Several whole numbers as one, the last changing fastest."""
    if isinstance(space, spaces.Tuple) and all(isinstance(s, spaces.Discrete) for s in space):
        parts: Any = space.spaces
        return _numbered([int(s.n) for s in parts], [int(s.start) for s in parts], tuple)
    if isinstance(space, spaces.MultiDiscrete):
        sizes, starts = space.nvec.reshape(-1).tolist(), space.start.reshape(-1).tolist()
        return _numbered(sizes, starts, np.ravel)
    if isinstance(space, spaces.MultiBinary):
        return _numbered([2] * math.prod(space.shape), [0] * math.prod(space.shape), np.ravel)
    raise UserError(f"{name}: env.index=true needs observations of whole numbers, not {space}")


def can_be_indexed(space: Any) -> bool:
    try:
        return not isinstance(space, spaces.Discrete) and isinstance(
            _indexed(space, "").observation, int
        )
    except UserError:
        return False


def _numbered(sizes: list[int], starts: list[int], parts: Callable[[Any], Any]) -> View:
    states = math.prod(sizes)
    if states >= 1 << 31:
        raise UserError(f"env.index=true would make {states:,} states; leave it out")

    def write(row: np.ndarray, seen: Any) -> None:
        state = 0
        for size, start, part in zip(sizes, starts, parts(seen), strict=True):
            digit = int(part) - start
            if not 0 <= digit < size:  # it will be an index into a table
                raise ValueError(f"the observation {seen} is outside of its own space")
            state = state * size + digit
        row[0] = state

    return View(states, np.zeros(1, np.float32), np.full(1, states - 1, np.float32), write)


class Arrays(NamedTuple):
    """What goes between whoever steps the copies and the batch; perhaps in shared memory."""

    observations: np.ndarray
    final_observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    actions: np.ndarray
    seeds: np.ndarray  # of the next reset; -1 for none

    def part(self, low: int, high: int) -> Arrays:
        return Arrays(*(array[low:high] for array in self))


def arrays(envs: int, width: int, kind: str, buffer: Any = None) -> Arrays:
    """The arrays of `envs` copies, in a buffer of `bytes_needed` or in memory of their own."""
    if buffer is None:
        buffer = bytearray(bytes_needed(envs, width, kind))
    offset, made = 0, []
    for dtype, shape in _layout(envs, width, kind):
        made.append(np.ndarray(shape, dtype, buffer, offset))
        offset += _room(dtype, shape)
    return Arrays(*made)


def bytes_needed(envs: int, width: int, kind: str) -> int:
    return sum(_room(dtype, shape) for dtype, shape in _layout(envs, width, kind))


def _layout(envs: int, width: int, kind: str) -> list[tuple[np.dtype, tuple[int, ...]]]:
    rows = [(np.dtype(kind), (envs, width))] * 2
    return rows + [(np.dtype(each), (envs,)) for each in ("f8", "?", "?", "i8", "i8")]


def _room(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    return -(-dtype.itemsize * math.prod(shape) // 64) * 64  # whole cache lines


class Copies:
    """Copies `first`, `first + 1`, ... of a batch, stepped one after another.

    The same text runs in the learner's process and in a worker's, so both play the same games.
    """

    def __init__(self, recipe: Recipe, data: Arrays, first: int = 0) -> None:
        self.recipe, self.data, self.first = recipe, data, first
        self.envs: list[Any] = []
        for _ in range(len(data.rewards)):
            self.envs.append(recipe.open())
        self.keeper = Keeper(self.envs[0])
        self.write = view_of(self.envs[0].observation_space, recipe.index, recipe.name).write
        self.first_action = int(self.envs[0].action_space.start)
        self.elapsed = [0] * len(self.envs)

    def begin(self) -> None:
        """Starts an episode in every copy, with a seed where one is given."""
        k = 0
        try:
            for k, env in enumerate(self.envs):
                seed = int(self.data.seeds[k])
                self._begin(k, env, None if seed < 0 else seed)
        except Exception as error:
            raise self._failed(k, error) from error
        self.keeper.begins(self.envs[0])

    def _begin(self, k: int, env: Any, seed: int | None) -> None:
        self.write(self.data.observations[k], env.reset(seed=seed)[0])
        self.elapsed[k] = 0

    def step(self) -> None:
        """One step of every copy; where an episode ends, the next begins in the same step."""
        observations, finals, rewards, terminated, truncated, actions, _ = self.data
        limit, first, write, elapsed = (
            self.recipe.max_steps, self.first_action, self.write, self.elapsed,
        )  # fmt: skip
        k = 0
        try:
            for k, env in enumerate(self.envs):
                seen, reward, ended, cut, _ = env.step(int(actions[k]) + first)
                elapsed[k] += 1
                ended = bool(ended)
                cut = not ended and (bool(cut) or elapsed[k] == limit)
                rewards[k], terminated[k], truncated[k] = reward, ended, cut
                if ended or cut:
                    write(finals[k], seen)
                    self._begin(k, env, None)
                else:
                    write(observations[k], seen)
        except Exception as error:
            raise self._failed(k, error) from error

    def give(self) -> Given:
        return self.keeper.give(self.envs, self.elapsed)

    def take(self, texts: Sequence[bytes]) -> None:
        self.elapsed = self.keeper.take(self.envs, texts)

    def _failed(self, k: int, error: Exception) -> EnvironmentFault:
        return failure(self.recipe.name, f"copy {self.first + k}", error)

    def close(self) -> None:
        for env in self.envs:
            env.close()


def failure(name: str, who: str, error: Exception) -> EnvironmentFault:
    """An environment's own exception in one line that leads to its own line."""
    return EnvironmentFault(
        f"{place_of(error)}{who} of {name} raised {type(error).__name__}: {first_line(error)}"
    )


def importable(recipe: Recipe) -> bool:
    """Whether another process could make the environment."""
    creator = recipe.spec.entry_point
    home = creator.partition(":")[0] if isinstance(creator, str) else creator.__module__
    named = isinstance(creator, str) or "<" not in getattr(creator, "__qualname__", "<")
    return bool(sys.executable) and named and home != "__main__"
