"""The settings of tabular Q-learning."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qlearn.errors import UserError, closest

RULES = ("q", "sarsa", "expected_sarsa", "double")


@dataclass(frozen=True)
class TableConfig:
    lr: float | str = "visits:1@0.6"
    """Learning rate (alpha): a number or a schedule such as visits:1@0.6."""
    discount: float | None = None
    """Discount (gamma); by default the environment's own."""
    epsilon: float | str = "1->0.1"
    """Chance of a random action: a number or a schedule such as 1->0.05@0.5."""
    rule: str = "q"
    """q, sarsa, expected_sarsa or double (double Q-learning)."""
    initial: float = 0.0
    """Every entry's first value; above what can be earned, it is an optimistic start."""
    round_to: int = -1
    """Decimals kept at each update, as in the classic script (3); -1 keeps them all."""
    steps: int = 0
    """Environment steps of the whole training; 0: by the engine, about a second's worth."""
    episodes: int = 0
    """Episodes of the whole training; 0 leaves the end to `steps`."""
    envs: int = 64
    """Copies that share the table on the batched engines; dict and numba play one."""
    device: str = "cpu"
    """Where the torch engine keeps its table: cpu or cuda."""

    def settled(self, engine: str) -> TableConfig:
        """With a number in the place of every 0 that means `automatic`."""
        if self.steps:
            return self
        return replace(self, steps=5_000_000 if engine == "numba" else 500_000)

    def check(self) -> None:
        if self.rule not in RULES:
            raise UserError(f"unknown rule '{self.rule}'{closest(self.rule, RULES)}")
        if not -1 <= self.round_to <= 12:
            raise UserError(f"round_to must be from -1 (keep all) to 12, not {self.round_to}")
        for name, budget in (("steps", self.steps), ("episodes", self.episodes)):
            if budget < 0:
                raise UserError(f"{name} must be at least 1, not {budget}")
        if self.envs < 1:
            raise UserError(f"envs must be at least 1, not {self.envs}")
        if self.discount is not None and not 0.0 <= self.discount <= 1.0:
            raise UserError(f"discount must be between 0 and 1, not {self.discount:g}")
