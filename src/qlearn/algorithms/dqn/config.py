"""The settings of DQN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.nets.adam import OPTIMISERS
from qlearn.nets.layout import widths_of
from qlearn.replay.ring import LEAST_SLOTS
from qlearn.replay.size import described

LOSSES = ("huber", "mse")
AT_EPISODE_ENDS = "episode"


@dataclass(frozen=True)
class DqnConfig:
    lr: float | str = "1e-3->1e-5"
    """Learning rate: a number or a schedule such as 1e-3->0."""
    discount: float | None = None
    """Discount (gamma); by default the environment's own."""
    epsilon: float | str = "1->0.05@0.2"
    """Chance of a random action: a number or a schedule."""
    explorers: float = 0.25
    """Share of the episodes that never settle, so that failures stay in the replay after success."""
    restless: float = 0.3
    """The least epsilon of those."""
    persist: float = 0.0
    """Chance that a random action is kept for one more step; where one alone leads nowhere."""
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
    reward_scale: float = 0.1
    """Rewards are multiplied by this before they are learned; scores are not."""
    hidden: str = "64x64"
    """Widths of the hidden layers."""
    activation: str = "relu"
    """relu, selu or tanh."""
    layer_norm: bool = True
    """LayerNorm after each hidden layer's sums."""
    scale_inputs: bool = True
    """Centre each input and divide it by its spread so far."""
    envs: int = 8
    """Copies of the environment."""
    optimiser: str = "adam"
    """adam or radam; with the torch engine any of torch.optim by its name."""
    clip: float = 10.0
    """The most that the norm of a gradient may be; 0: any."""
    average: float = 0.995
    """Weight of the past in the average of the parameters, which is what plays; 0: the newest."""
    overtime: float = 1.0
    """Training episodes last up to this many times the environment's own limit. Only for
    environments that compile; evaluations keep the limit."""
    steps: int = 200_000
    """Environment steps of the whole training."""
    episodes: int = 0
    """Episodes of the whole training; 0 leaves the end to `steps`."""
    threads: int = 1
    """Threads of the torch engine; the fused one learns on one."""
    init: str = ""
    """Untrained parameters: of another seed, or out of a checkpoint file."""
    until_every: int = 0
    """Steps between greedy evaluations under --until; 0: a fiftieth of the budget."""

    def settled(self, engine: str) -> DqnConfig:
        return replace(self, every=str(self.every))

    @property
    def widths(self) -> tuple[int, ...]:
        return widths_of(self.hidden)

    @property
    def learn_every(self) -> int:
        """Steps between two times of learning; 0: at the ends of episodes."""
        if self.every == AT_EPISODE_ENDS:
            return 0
        if not str(self.every).isdigit() or int(self.every) < 1:
            raise UserError(
                f"every is a number of steps or '{AT_EPISODE_ENDS}', not {self.every!r}"
            )
        return int(self.every)

    def announced(self, environment: Any) -> tuple[str, ...]:
        """What is worth knowing before anything is made."""
        shape = environment.observation_shape
        return (described(self.replay, shape, np.float32, self.prioritized),)

    def check(self, engine: str) -> None:
        for name in ("envs", "batch", "steps", "n_step", "target_every", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("episodes", "clip", "until_every", "start", "updates"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{name} must be at least 0, not {getattr(self, name):g}")
        if self.discount is not None and not 0.0 <= self.discount <= 1.0:
            raise UserError(f"discount must be between 0 and 1, not {self.discount:g}")
        for name in ("explorers", "restless", "persist", "alpha"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"{name} must be between 0 and 1, not {getattr(self, name):g}")
        if not 0.0 < self.tau <= 1.0:
            raise UserError(f"tau must be above 0 and at most 1, not {self.tau:g}")
        if not 0.0 <= self.average < 1.0:
            raise UserError(f"average must be at least 0 and below 1, not {self.average:g}")
        if not 1.0 <= self.overtime < 1e6:
            raise UserError(f"overtime must be at least 1, not {self.overtime:g}")
        if not self.reward_scale > 0.0:
            raise UserError(f"reward_scale must be above 0, not {self.reward_scale:g}")
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
