"""Real numbers divided into buckets, so that a table can learn them: `--set env.buckets=8`.

Each number seen is cut into equal parts between its bounds, what lies outside belongs to the
outermost part, and the parts together make one state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qlearn.envs.batch import Batch
from qlearn.errors import UserError

LARGEST = 1 << 40  # states; a table refuses long before


def seen(state, observation, world):
    """Bound to the environment's own `observe`."""
    raise NotImplementedError


def observe_bucket(state, observation, world):
    seen(state, state.bucket_view, world)
    place = 0
    for k in range(world.bucket_counts.shape[0]):
        count = world.bucket_counts[k]
        part = int((float(state.bucket_view[k]) - world.bucket_low[k]) * world.bucket_scale[k])
        place = place * count + min(max(part, 0), count - 1)
    observation[0] = place


def divide(environment: Any, buckets: Any) -> Any:
    """The same environment, seen as one of so many states."""
    if environment.discrete:
        raise UserError(f"{environment.name} has states already; env.buckets divides real numbers")
    counts = parse(buckets, environment)
    options = {**environment.options, "buckets": "x".join(map(str, counts))}
    states = int(np.prod(counts))
    if not environment.compiled:
        return BucketEnvironment(environment, counts, states, options)
    low, high = environment.bounds
    fields = [(name, environment.state.fields[name][0]) for name in environment.state.names or ()]
    view = ("bucket_view", np.dtype((np.float64, counts.shape)))
    return replace(
        environment,
        observation=states,
        state=np.dtype([*fields, view], align=True),
        world_values={
            **environment.world_values,
            "bucket_counts": counts,
            "bucket_low": low,
            "bucket_scale": counts / (high - low),
        },
        through=(seen, observe_bucket),
        options=options,
    )


class BucketEnvironment:
    """The same for an environment that is not ours to compile."""

    def __init__(
        self, inner: Any, counts: np.ndarray, states: int, options: dict[str, Any]
    ) -> None:
        self.inner, self.counts = inner, counts
        self.observation, self.options = states, options
        self.discrete, self.compiled = True, False
        self.observation_shape, self.observation_dtype = (1,), np.int64

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def place(self, observations: np.ndarray) -> np.ndarray:
        """The states of many observations at once."""
        low, high = self.inner.bounds
        parts = (observations - low) * (self.counts / (high - low))
        parts = np.clip(parts.astype(np.int64), 0, self.counts - 1)
        return np.ravel_multi_index(tuple(parts.T), tuple(self.counts))[:, None]

    def batch(self, envs: int, seed: int = 0) -> Batch:
        return BucketBatch(self, envs, seed)


class BucketBatch(Batch):
    """A batch whose observations are divided on their way out."""

    environment: Any

    def __init__(self, environment: BucketEnvironment, envs: int, seed: int) -> None:
        self._allocate(environment, envs)
        self.inner = environment.inner.batch(envs, seed)
        self.rewards, self.valid = self.inner.rewards, self.inner.valid
        self.terminated, self.truncated = self.inner.terminated, self.inner.truncated
        self.info["valid"] = self.valid
        self.notes = getattr(self.inner, "notes", ())

    def get_state(self) -> dict[str, np.ndarray]:
        return {**self.inner.get_state(), "places": self.observations.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.inner.set_state(state)
        self.anew = self.inner.anew
        self.observations[:] = self.environment.place(self.inner.observations)

    def reset(self, seed: int | None = None):
        self.observations[:] = self.environment.place(self.inner.reset(seed)[0])
        return self.observations, self.info

    def step(self, actions: Any):
        observations, *rest, info = self.inner.step(actions)
        self.observations[:] = self.environment.place(observations)
        self.final_observations[:] = self.environment.place(info["final_observations"])
        return (self.observations, *rest, {**info, **self.info})

    def _book(self, name: str) -> np.ndarray:
        return self.inner._book(name)

    def close(self) -> None:
        self.inner.close()


def parse(buckets: Any, environment: Any) -> np.ndarray:
    """Counts for every number seen, from `8` or `6x6x12x12`."""
    size = environment.observation_shape[0]
    try:
        counts = [int(part) for part in str(buckets).split("x")]
    except ValueError:
        raise UserError(
            f"env.buckets must be a number, or one for each of the {size} numbers seen such as"
            f" {'x'.join(['8'] * min(size, 4))}, not {buckets!r}"
        ) from None
    if len(counts) == 1:
        counts *= size
    if len(counts) != size:
        raise UserError(f"env.buckets has {len(counts)} counts; {environment.name} shows {size}")
    if min(counts) < 1:
        raise UserError(f"env.buckets must be at least 1, not {min(counts)}")
    total = 1
    for count in counts:
        total *= count
    if total > LARGEST:
        raise UserError(
            f"the table would have {total:.3g} states; fewer buckets fit, or --algo pqn"
        )
    if not np.all(np.isfinite(environment.bounds)):
        raise UserError(
            f"{environment.name} does not say between which bounds its numbers lie; a class says it"
            " as `bounds = ((low, high), ...)`"
        )
    return np.array(counts, np.int64)
