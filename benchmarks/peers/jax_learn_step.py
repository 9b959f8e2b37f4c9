"""The learn step in JAX on one thread, answered line by line to benchmarks/learn_step.py.

Reads {"shape": [4, 64, 2], "batch": 32, "how": "jit"} from standard input, answers with seconds per
step and the loss after some steps, by which all contenders are held to the same learning.
`jit` calls a compiled step from Python, `scan` loops over it inside one compiled function.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("XLA_FLAGS", ONE_THREAD)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
from _learn_problem import (  # noqa: E402
    CHECKED_STEPS,
    CHUNK,
    DISCOUNT,
    LR,
    Batch,
    batch,
    layers,
    seconds_per_step,
)


def q_values(parameters: Any, x: jax.Array) -> jax.Array:
    *hidden, (weight, bias) = parameters
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ weight + bias


def loss_of(parameters: Any, data: Batch) -> jax.Array:
    q_next = q_values(parameters, data.next_observations).max(axis=1)
    target = jax.lax.stop_gradient(data.rewards + DISCOUNT * (1 - data.done) * q_next)
    chosen = jnp.take_along_axis(q_values(parameters, data.observations), data.actions[:, None], 1)
    return jnp.mean((chosen[:, 0] - target) ** 2)


class Learner:
    """Parameters and Adam's moments, moved by one of the two ways."""

    def __init__(self, shape: tuple[int, ...], size: int, how: str) -> None:
        self._shape = list(shape)
        self._data = Batch(*map(jnp.asarray, batch(self._shape, size)))
        self._adam = optax.adam(LR)
        self._step = jax.jit(self._one, donate_argnums=0)
        self._scan = jax.jit(self._many, static_argnums=2, donate_argnums=0)
        self._advance: Callable[[int], None] = {"jit": self._by_calls, "scan": self._by_scan}[how]
        self.reset()

    def reset(self) -> None:
        parameters = [(jnp.array(w), jnp.array(b)) for w, b in layers(self._shape)]
        self._state: Any = (parameters, self._adam.init(parameters))

    def steps(self, count: int) -> None:
        self._advance(count)
        jax.block_until_ready(self._state)

    def _by_calls(self, count: int) -> None:
        for _ in range(count):
            self._state = self._step(self._state, self._data)

    def _by_scan(self, count: int) -> None:
        self._state = self._scan(self._state, self._data, count)

    def loss(self) -> float:
        return float(loss_of(self._state[0], self._data))

    def _one(self, state: Any, data: Batch) -> Any:
        parameters, moments = state
        gradient = jax.grad(loss_of)(parameters, data)
        updates, moments = self._adam.update(gradient, moments)
        return optax.apply_updates(parameters, updates), moments

    def _many(self, state: Any, data: Batch, steps: int) -> Any:
        return jax.lax.scan(lambda s, _: (self._one(s, data), None), state, None, steps)[0]


@cache
def contender(shape: tuple[int, ...], size: int, how: str) -> tuple[Learner, float]:
    """One that compiles once, and its loss after its first steps."""
    learner = Learner(shape, size, how)
    learner.steps(CHUNK)
    learner.reset()
    learner.steps(CHECKED_STEPS)
    return learner, learner.loss()


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        learner, loss = contender(tuple(asked["shape"]), asked["batch"], asked["how"])
        print(json.dumps({"seconds": seconds_per_step(learner), "loss": loss}), flush=True)


if __name__ == "__main__":
    main()
