"""What every learner with a network counts and says, and how it plays what it has learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn.algorithms.evaluation import Evaluation
from qlearn.algorithms.live import Live
from qlearn.algorithms.network.greedy import Player
from qlearn.errors import Diverged
from qlearn.schedules import Schedule, value_at

STAGES = ("act", "env", "learn")
ACT, ENV, LEARN = 0, 1, 2  # their places in a compiled loop's clock

# Places in `counts`. ROUNDS: how often every copy has acted.
STEPS, UPDATES, EPISODES, LOGGED, SEEN, ROUNDS = 0, 1, 2, 3, 4, 5
# Places in the figures: sums since they were last read.
LOSS, ERROR, GAP, VALUE, TERMINAL, NORM, LEARNED, ACTED = 0, 1, 2, 3, 4, 5, 6, 7


class Books(Live):
    """Counters, figures and greedy play over the arrays that an engine keeps."""

    player: Player
    counts: np.ndarray
    sums: np.ndarray  # of the figures, since they were last read
    scale: np.ndarray
    seconds: dict[str, float]

    @property
    def rows(self) -> int:
        """Transitions in one update."""
        raise NotImplementedError

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
    def discount(self) -> float:
        """What it is now, where it may change with the steps."""
        given = self.plan.discount
        if isinstance(given, Schedule):
            return float(value_at(given, self.env_steps, self.episodes))
        return float(given)

    @property
    def finished(self) -> bool:
        enough = self.config.episodes and self.episodes >= self.config.episodes
        return bool(enough or self.env_steps >= self.config.steps)

    def stages(self) -> dict[str, tuple[float, int]]:
        """Seconds and calls of acting, stepping and learning."""
        played = int(self.counts[ROUNDS])
        calls = {"act": played, "env": played, "learn": self.updates}
        return {name: (self.seconds[name], calls[name]) for name in STAGES}

    def figures(self) -> dict[str, Any]:
        """What goes into the metrics beside the returns; means since it was last asked."""
        sums = self.sums
        updates, acted = max(1.0, sums[LEARNED]), max(1.0, sums[ACTED])
        learned = updates * self.rows
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
        if isinstance(self.plan.discount, Schedule):
            said["discount"] = self.discount
        sums[:] = 0.0
        return {name: float(value) for name, value in said.items()}

    def resize(self, rows: int) -> None:
        """Updates have so many transitions from now on: sums so far as if they always had."""
        self.sums[[LOSS, ERROR]] *= rows / self.rows

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Rewards as they are learned, and what was seen, of the newest transitions."""
        raise NotImplementedError

    def suspect(self, returns: Any = ()) -> str:
        """The likeliest cause of errors without limit."""
        from qlearn.algorithms.network.cause import likely_cause

        return likely_cause(self, np.asarray(returns, np.float64))

    def check_numbers(self, params: np.ndarray, returns: Any = ()) -> None:
        if not np.isfinite(params.sum()):
            raise Diverged(
                f"{self.environment.name}: the network's numbers are lost at step"
                f" {self.env_steps:,}: {self.suspect(returns)}"
            )

    def evaluate(self, episodes: int, seed: int, most_steps: int) -> Evaluation:
        """Greedy episodes, without exploration and without learning."""
        return self.player.evaluate(self.parameters, self.scale, episodes, seed, most_steps)

    def policy(self) -> Callable[[np.ndarray], int]:
        """The greedy action for what is observed."""
        self.player.take(self.parameters)

        def act(observation: np.ndarray) -> int:
            return int(self.player.actions(np.asarray(observation)[None], self.scale)[0])

        return act
