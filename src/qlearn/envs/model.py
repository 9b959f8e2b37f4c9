"""A finite environment as arrays: where every action leads, with which chance and reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlearn.envs.spec import Environment


@dataclass(frozen=True)
class Model:
    """Outcomes (states, actions, k); an outcome that ends the episode leads nowhere further."""

    to: np.ndarray  # int64, the state reached
    chance: np.ndarray  # float64, sums to 1 over k
    reward: np.ndarray  # float64
    ended: np.ndarray  # bool
    start: np.ndarray  # float64 (states,), where episodes begin

    @property
    def states(self) -> int:
        return self.to.shape[0]

    @property
    def actions(self) -> int:
        return self.to.shape[1]

    @property
    def deterministic(self) -> bool:
        return self.to.shape[2] == 1


def model_of(environment: Environment) -> Model | None:
    """The exact model of an environment that publishes one; a replaced reward hides it."""
    if environment.model is None or environment.reward is not None:
        return None
    return environment.model(environment.world())
