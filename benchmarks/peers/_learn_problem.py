"""One learn step, the same for everyone: the network's start, a batch, and how many rounds to time.

Imported by each peer's own Python, so it needs NumPy alone. Its step: Q of the observations and of
the next observations, target r + 0.99 (1 - d) max Q(s'), mean squared error of the chosen actions,
back-propagation, Adam with lr 1e-3. One network for both, the target without gradient.
"""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter
from typing import NamedTuple, Protocol

import numpy as np

DISCOUNT, LR, BETA1, BETA2, EPSILON = 0.99, 1e-3, 0.9, 0.999, 1e-8
SECONDS = 0.3
CHUNK = 400
CHECKED_STEPS = 100


class Batch(NamedTuple):
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    done: np.ndarray


Layers = list[tuple[np.ndarray, np.ndarray]]


def layers(shape: list[int]) -> Layers:
    """A weight (inputs, outputs) and a bias for each layer, uniform in 1 / sqrt(inputs)."""
    chance = np.random.default_rng(0)
    made = []
    for wide, narrow in pairwise(shape):
        bound = wide**-0.5
        made.append(
            (
                chance.uniform(-bound, bound, (wide, narrow)).astype(np.float32),
                chance.uniform(-bound, bound, narrow).astype(np.float32),
            )
        )
    return made


def batch(shape: list[int], size: int) -> Batch:
    chance = np.random.default_rng(1)
    observations = chance.standard_normal((size, shape[0]), dtype=np.float32)
    return Batch(
        observations,
        chance.integers(0, shape[-1], size),
        np.ones(size, np.float32),
        observations + 0.02 * chance.standard_normal((size, shape[0]), dtype=np.float32),
        (chance.random(size) < 0.1).astype(np.float32),
    )


class Learner(Protocol):
    def reset(self) -> None:
        """Back to the start."""

    def steps(self, count: int) -> None:
        """Makes so many learn steps and waits for them."""


def seconds_per_step(learner: Learner) -> float:
    """Over at least SECONDS, from the start again every CHUNK steps.

    Learning one batch for longer leaves units dead and their moments denormal, which is slow for
    whoever does not flush them to zero, and is not what a training is like.
    """
    learner.reset()
    learner.steps(CHECKED_STEPS)
    count, took = 0, 0.0
    while took < SECONDS:
        learner.reset()
        begun = perf_counter()
        learner.steps(CHUNK)
        took += perf_counter() - begun
        count += CHUNK
    return took / count
