"""The settings of PQN."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qlearn.algorithms.live import EPSILON, LR, RESTLESS, SCHEDULE, WHOLE, Knob
from qlearn.algorithms.network.config import MOST_ROWS, NetworkConfig
from qlearn.algorithms.network.own import name_of
from qlearn.errors import UserError
from qlearn.nets.adam import OPTIMISERS

KNOBS = {
    "epsilon": EPSILON,
    "restless": RESTLESS,
    "lr": LR,
    "discount": Knob(SCHEDULE, 0.0, 1.0),
    "epochs": Knob(WHOLE, 1, 32),
    "minibatch": Knob(WHOLE, 1, 4096),
}


@dataclass(frozen=True)
class PqnConfig(NetworkConfig):
    discount: float | str | None = None
    """Discount (gamma): a number or a schedule; by default the environment's own."""
    lambda_: float = 0.9
    """How far returns look: 0 bootstraps at the next step, 1 at the end of the rollout."""
    margin: float = 0.0
    """A random action that is worth less than the best by more is seldom taken; 0: it always is."""
    daring: float = 0.05
    """The share of such actions that are taken all the same."""
    cut: bool = False
    """Whether a return ends at a random action (Watkins) or looks past it (Peng)."""
    rollout: int = 64
    """Steps of every copy between two times of learning."""
    epochs: int = 4
    """How often each rollout is learned."""
    minibatch: int = 128
    """Transitions in one update."""

    def settled(self, engine: str) -> PqnConfig:
        whole = self.envs * self.rollout
        return replace(self, minibatch=min(self.minibatch, whole), network=name_of(self.network))

    def check(self) -> None:
        self.check_network()
        self.at_least(1, "rollout", "epochs", "minibatch")
        self.at_most(MOST_ROWS, "rollout", "minibatch")
        self.shares("lambda_", "daring")
        self.at_least(0, "margin")
        if self.optimiser not in OPTIMISERS:
            raise UserError(f"optimiser must be adam or radam, not {self.optimiser!r}")
        if self.envs * self.rollout % self.minibatch:
            raise UserError(
                f"a minibatch of {self.minibatch} does not divide a rollout of"
                f" {self.envs} x {self.rollout} = {self.envs * self.rollout} transitions"
            )
