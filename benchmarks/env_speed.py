"""Environment steps a second on one core, beside Gymnasium's CartPole-v1.

Compiled loop: random play without leaving it. Batch call: `batch.step(actions)` from Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

import qlearn
from _report import arguments, rates, record
from qlearn.compare.measure import alternate

SECONDS = 0.4


def per_second(step_many: Callable[[], int]) -> Callable[[], float]:
    """How many steps a second, over at least SECONDS."""

    def measure() -> float:
        steps, begun = 0, time.perf_counter()
        while (took := time.perf_counter() - begun) < SECONDS:
            steps += step_many()
        return steps / took

    return measure


def compiled_loop(env: str, copies: int = 64, **options: Any) -> Callable[[], float]:
    batch: Any = qlearn.make(env, envs=copies, **options)
    batch.reset()
    return per_second(lambda: batch.rollout(2000))


def batch_call(env: str, copies: int, **options: Any) -> Callable[[], float]:
    batch = qlearn.make(env, envs=copies, **options)
    batch.reset()
    actions = np.random.default_rng(0).integers(0, batch.environment.actions, copies)

    def steps() -> int:
        for _ in range(100):
            batch.step(actions)
        return 100 * copies

    return per_second(steps)


def gymnasium_batch(copies: int) -> Callable[[], float]:
    envs = gymnasium.make_vec(
        "CartPole-v1", num_envs=copies, vectorization_mode="vector_entry_point"
    )
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 2, copies)

    def steps() -> int:
        for _ in range(100):
            envs.step(actions)
        return 100 * copies

    return per_second(steps)


def gymnasium_single() -> Callable[[], float]:
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=0)

    def steps() -> int:
        for k in range(1000):
            _, _, terminated, truncated, _ = env.step(k & 1)
            if terminated or truncated:
                env.reset()
        return 1000

    return per_second(steps)


def main() -> None:
    options = arguments(__doc__)
    loop = alternate(
        {
            "Gymnasium's batched class, 64": gymnasium_batch(64),
            "Gymnasium single": gymnasium_single(),
            "qlearn cartpole, compiled loop": compiled_loop("cartpole"),
        },
        options.repeats,
    )
    calls = {
        copies: alternate(
            {
                f"Gymnasium's batched class, {copies}": gymnasium_batch(copies),
                f"qlearn cartpole, batch call, {copies}": batch_call("cartpole", copies),
            },
            options.repeats,
        )
        for copies in (64, 1024)
    }
    worlds = alternate(
        {
            "cartpole": compiled_loop("cartpole"),
            "grid": compiled_loop("grid"),
            "snake features": compiled_loop("snake", observation="features"),
            "snake board": compiled_loop("snake", observation="board"),
            "snake flat": compiled_loop("snake", observation="flat"),
            "examples/my_env.py": compiled_loop("examples/my_env.py:Lander"),
        },
        options.repeats,
    )
    tables = {
        "loop": rates("CartPole, compiled loop", loop, "Gymnasium's batched class, 64"),
        "loop_single": rates(
            "The same beside a single environment",
            {name: loop[name] for name in list(loop)[1:]},
            "Gymnasium single",
        ),
        **{
            f"calls_{copies}": rates(
                f"CartPole, batch calls of {copies}",
                measured,
                f"Gymnasium's batched class, {copies}",
            )
            for copies, measured in calls.items()
        },
        "worlds": rates("Compiled loops, one core", worlds, "cartpole"),
    }
    record("env_speed", tables, options.record)


if __name__ == "__main__":
    main()
