"""Games played by the interpreter: the reference that every compiled twin is held to."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs import loop
from qlearn.envs.spec import Environment
from qlearn.kernels.bind import PlainArray, bound, plain_value


class PlainState:
    """An environment's declared fields as attributes; anything undeclared is an error."""

    _kinds: dict[str, Any]

    def __init__(self, dtype: np.dtype) -> None:
        values: dict[str, Any] = {}
        kinds: dict[str, Any] = {}
        assert dtype.fields is not None
        for name, (field, *_) in dtype.fields.items():
            if field.subdtype is None:
                kinds[name] = field.type
                values[name] = field.type(0).item()
            else:
                base, shape = field.subdtype
                values[name] = np.zeros(shape, base).view(PlainArray)
        object.__setattr__(self, "_kinds", kinds)
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self._kinds.get(name)
        if kind is None:
            declared = ", ".join(key for key in self.__dict__ if key != "_kinds")
            if name in self.__dict__:
                raise AttributeError(f"state.{name} is an array; write state.{name}[:] = ...")
            raise AttributeError(f"state.{name} is not declared in `state` ({declared})")
        self.__dict__[name] = kind(value).item()

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_kinds"}


class PlainCopy:
    """The plain twin of one record of `Environment.copy_dtype`."""

    def __init__(self, environment: Environment, seed: int, index: int) -> None:
        self.state = PlainState(environment.state)
        self.rng = random_streams.stream(seed, index)
        self.elapsed = 0
        self.shaped_return = 0.0
        self.plain_return = 0.0
        self.episodes = 0
        self.last_length = 0
        self.last_return = 0.0
        self.last_score = 0.0

    def to_record(self, record: np.record) -> None:
        """Writes the copy into a record of `Environment.copy_dtype`."""
        for name, value in vars(self).items():
            if name != "state":
                record[name] = value
        for name, value in self.state.as_dict().items():
            record["state"][name] = value

    def from_record(self, record: np.record) -> None:
        """Takes everything back from such a record."""
        for name, value in vars(self).items():
            if name == "rng":
                self.rng = record["rng"].tolist()
            elif name != "state":
                setattr(self, name, type(value)(record[name]))
        for name, value in self.state.as_dict().items():
            if isinstance(value, np.ndarray):
                value[...] = record["state"][name]
            else:
                setattr(self.state, name, record["state"][name])


class PlainGame:
    """Copy `index` of seed `seed`, one step at a time, with nothing compiled.

    Without `autoreset` a game rests at its end, where its last position can be drawn.
    """

    def __init__(
        self, environment: Environment, seed: int = 0, index: int = 0, autoreset: bool = True
    ) -> None:
        self.environment = environment
        world: Any = environment.world()
        self.world = world._make(map(plain_value, world))
        self._begin = bound(loop.begin, environment.bind)
        bind = (
            environment.bind if autoreset else environment.bind | {loop.finish: loop.file_episode}
        )
        self._advance = bound(loop.advance, bind)
        shape, dtype = environment.observation_shape, environment.observation_dtype
        self.observation: np.ndarray = np.zeros(shape, dtype)
        self.final_observation: np.ndarray = np.zeros(shape, dtype)
        self.reseed(seed, index)

    def reseed(self, seed: int, index: int = 0) -> None:
        """As new: the same seed plays the same games whatever was played before."""
        self.copy = PlainCopy(self.environment, seed, index)

    def reset(self) -> np.ndarray:
        self._begin(self.copy, plain_value(self.observation), self.world)
        return self.observation

    def step(self, action: int) -> tuple[float, bool, bool]:
        """(reward, terminated, truncated); the next episode has begun where one ended."""
        reward, terminated, truncated = self._advance(
            self.copy,
            action,
            plain_value(self.observation),
            plain_value(self.final_observation),
            self.environment.max_steps,
            self.world,
        )
        return float(reward), bool(terminated), bool(truncated)

    def draw(self) -> str:
        """The position as text, as the environment draws it or field by field."""
        if self.environment.draw is not None:
            return self.environment.picture(self.copy.state, self.world)
        return "\n".join(f"{key} = {value}" for key, value in self.copy.state.as_dict().items())
