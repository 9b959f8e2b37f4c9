"""The settings of DQN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qlearn.algorithms.live import DISCOUNT, EPSILON, LR, NUMBER, RESTLESS, STEPS, WHOLE, Knob
from qlearn.algorithms.network.config import MOST_ROWS, NetworkConfig
from qlearn.algorithms.network.own import name_of
from qlearn.errors import UserError
from qlearn.nets.adam import OPTIMISERS
from qlearn.replay.ring import LEAST_SLOTS
from qlearn.replay.size import described

LOSSES = ("huber", "mse")
AT_EPISODE_ENDS = "episode"
KNOBS = {
    "epsilon": EPSILON,
    "restless": RESTLESS,
    "lr": LR,
    "discount": DISCOUNT,  # also with n steps: what is stored are rewards, drawn they become returns
    "batch": Knob(WHOLE, 1, 4096),
    "updates": Knob(NUMBER, 0.0, 16.0),
    "every": Knob(STEPS, 1, 10_000),
    "tau": Knob(NUMBER, 0.0, 1.0),
    "target_every": Knob(WHOLE, 1, 100_000),
}


@dataclass(frozen=True)
class DqnConfig(NetworkConfig):
    epsilon: float | str = "1->0.05@0.2"
    envs: int = 8
    steps: int = 200_000
    persist: float = 0.0
    """Chance that a random action is kept for one more step; where one alone leads nowhere."""
    discount: float | None = None
    """Discount (gamma); by default the environment's own."""
    double: bool = True
    """The network chooses the next action, the target network judges it (van Hasselt et al.)."""
    dueling: bool = False
    """A head of two streams: the state's value, each action's advantage (Wang et al.)."""
    n_step: int = 3
    """Rewards that a target looks ahead before it bootstraps."""
    prioritized: bool = False
    """Transitions are drawn by their last error (Schaul et al.) instead of uniformly."""
    alpha: float = 0.6
    """How far priorities count: 0 not at all, 1 in proportion to the error."""
    beta: float | str = "0.4->1"
    """How far importance weights undo what priorities distort: a number or a schedule."""
    loss: str = "huber"
    """huber or mse."""
    tau: float = 0.01
    """How far the target network moves towards the network each time; 1: a copy."""
    target_every: int = 1
    """Updates between two moves of the target network."""
    replay: int = 100_000
    """Places in the replay; each episode's end takes one more than its transitions."""
    start: int = 1000
    """Steps before anything is learned."""
    updates: float = 0.5
    """Updates for each transition after those; the same training for any number of copies."""
    every: str = "64"
    """Steps between two times of learning; 'episode': whenever an episode has ended."""
    batch: int = 64
    """Transitions in one update."""

    def settled(self, engine: str) -> DqnConfig:
        return replace(self, every=str(self.every), network=name_of(self.network))

    @property
    def learn_every(self) -> int:
        """Steps between two times of learning; 0: at the ends of episodes."""
        if self.every == AT_EPISODE_ENDS:
            return 0
        text = str(self.every)
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
            raise UserError(
                f"every is a number of steps or '{AT_EPISODE_ENDS}', not {self.every!r}"
            )
        return int(text)

    def announced(self, environment: Any) -> tuple[str, ...]:
        """What is worth knowing before anything is made."""
        shape = environment.observation_shape
        return (described(self.replay, shape, np.float32, self.prioritized),)

    def check(self, engine: str) -> None:
        self.check_network()
        self.at_least(1, "batch", "n_step", "target_every")
        self.at_most(MOST_ROWS, "batch", "n_step", "target_every")
        self.at_least(0, "start", "updates")
        self.shares("persist", "alpha")
        if self.discount is not None:
            self.shares("discount")
        if not 0.0 < self.tau <= 1.0:
            raise UserError(f"tau must be above 0 and at most 1, not {self.tau:g}")
        if self.loss not in LOSSES:
            raise UserError(f"loss must be huber or mse, not {self.loss!r}")
        if engine == "fused" and self.optimiser not in OPTIMISERS:
            raise UserError(
                f"optimiser must be adam or radam, not {self.optimiser!r}; --engine torch takes"
                " any of torch.optim"
            )
        if self.replay < LEAST_SLOTS * self.envs:
            raise UserError(
                f"a replay of {self.replay} is too small for {self.envs} copies: each needs at"
                f" least {LEAST_SLOTS} places"
            )
        _ = self.learn_every
