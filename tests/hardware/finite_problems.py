"""Random finite problems: what a circuit may be asked to learn, odd shapes included."""

from __future__ import annotations

import numpy as np

from qlearn.envs.model import Model
from qlearn.hardware.problem import Problem, tabulated
from qlearn.hardware.word import Word


def random_model(
    seed: int, states: int = 20, actions: int = 4, outcomes: int = 1, starts: int = 1
) -> Model:
    random = np.random.default_rng(seed)
    shape = (states, actions, outcomes)
    chance = random.dirichlet(np.ones(outcomes), (states, actions))
    start = np.zeros(states)
    start[random.permutation(states)[:starts]] = random.dirichlet(np.ones(starts))
    return Model(
        to=random.integers(states, size=shape),
        chance=chance,
        reward=random.normal(scale=2.0, size=shape).round(3),
        ended=random.random(shape) < 0.1,
        start=start,
    )


def random_problem(seed: int, word: str = "Q8.8", scale: float = 1.0, **sizes: int) -> Problem:
    model = random_model(seed, **sizes)
    model.reward[...] *= scale
    return tabulated(model, Word(word), name=f"random {seed}")
