"""What both engines of PQN count and say, and how they play what they have learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn.algorithms.evaluation import Evaluation
from qlearn.algorithms.network.greedy import Player
from qlearn.algorithms.pqn.config import PqnConfig
from qlearn.algorithms.pqn.fused import (
    ACTED,
    EPISODES,
    ERROR,
    GAP,
    LEARNED,
    LOSS,
    NORM,
    ROLLOUTS,
    STEPS,
    TERMINAL,
    UPDATES,
    VALUE,
    Plan,
)
from qlearn.schedules import value_at

STAGES = ("act", "env", "learn")


class Books:
    """Counters, figures and greedy play over the arrays that an engine keeps."""

    config: PqnConfig
    plan: Plan
    player: Player
    counts: np.ndarray
    sums: np.ndarray  # of the figures, since they were last read
    scale: np.ndarray
    seconds: dict[str, float]

    @property
    def parameters(self) -> np.ndarray:
        """What plays: the average of the newest parameters."""
        raise NotImplementedError

    @property
    def env_steps(self) -> int:
        return int(self.counts[STEPS])

    @property
    def updates(self) -> int:
        return int(self.counts[UPDATES])

    @property
    def episodes(self) -> int:
        return int(self.counts[EPISODES])

    @property
    def finished(self) -> bool:
        enough = self.config.episodes and self.episodes >= self.config.episodes
        return bool(enough or self.env_steps >= self.config.steps)

    def stages(self) -> dict[str, tuple[float, int]]:
        """Seconds and calls of acting, stepping and learning."""
        played = int(self.counts[ROLLOUTS]) * self.config.rollout
        calls = {"act": played, "env": played, "learn": self.updates}
        return {name: (self.seconds[name], calls[name]) for name in STAGES}

    def figures(self) -> dict[str, Any]:
        """What goes into the metrics beside the returns; means since it was last asked."""
        sums = self.sums
        updates, acted = max(1.0, sums[LEARNED]), max(1.0, sums[ACTED])
        learned = updates * self.config.minibatch
        said = {
            "epsilon": value_at(self.plan.epsilon, self.env_steps, self.episodes),
            "lr": value_at(self.plan.lr, self.env_steps, self.episodes),
            "loss": sums[LOSS] / learned,
            "td_error": sums[ERROR] / learned,
            "gradient_norm": sums[NORM] / updates,
            "action_gap": sums[GAP] / acted,
            "value": sums[VALUE] / acted,
            "terminal_share": sums[TERMINAL] / acted,
        }
        sums[:] = 0.0
        return {name: float(value) for name, value in said.items()}

    def evaluate(self, episodes: int, seed: int, most_steps: int) -> Evaluation:
        """Greedy episodes, without exploration and without learning."""
        return self.player.evaluate(self.parameters, self.scale, episodes, seed, most_steps)

    def policy(self) -> Callable[[np.ndarray], int]:
        """The greedy action for what is observed."""
        self.player.net.params[:] = self.parameters

        def act(observation: np.ndarray) -> int:
            return int(self.player.actions(np.asarray(observation)[None], self.scale)[0])

        return act
