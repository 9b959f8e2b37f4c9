"""The circuit of an environment as a contender: its cycles at the clock that synthesis found.

Nothing is timed: one update takes one cycle, which `qlearn hardware simulate` shows of the circuit
itself, and what the circuit learns comes from its specification, which it equals bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qlearn.compare.contenders import Cost, Measurement
from qlearn.errors import UserError, closest
from qlearn.hardware.error import distance_to_optimum
from qlearn.hardware.generate import Design, design_of
from qlearn.hardware.synthesize import DEVICE, RECORDED_MHZ

ENGINE = "hardware"
SEEDS = 2**32
# What its registers are called here, and there.
REGISTERS = {"lr": "alpha", "discount": "gamma", "epsilon": "epsilon"}
BUDGET = ("steps", "episodes")


@dataclass(frozen=True)
class CircuitContender:
    """One ring, whose agents share the budget of steps and episodes between them."""

    target: str
    job: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.target} {ENGINE} (cycles at {RECORDED_MHZ} MHz, {DEVICE})"

    def prepare(self) -> None:
        """Looks at everything once, so that a mistake is told before anything is timed."""
        if self.job["algo"] not in ("auto", "table"):
            raise UserError(f"a circuit learns by --algo table, not {self.job['algo']}")
        for key in self.job["settings"]:
            if key not in (*REGISTERS, *BUDGET):
                known = closest(key, (*REGISTERS, *BUDGET))
                raise UserError(f"the {ENGINE} engine has no setting '{key}'{known}")
        self._design(seed=0)

    def measure(self, seed: int) -> Measurement:
        design, settings = self._design(seed), self.job["settings"]
        ring = design.ring(fast=True)
        most, enough = int(settings["steps"]), settings.get("episodes")
        if enough is None:
            ring.advance(most)
        else:
            while ring.episodes < int(enough) and ring.updates < most:
                ring.advance(design.agents)
        # One revolution loads every agent's row, one drains the last updates.
        cycles = ring.updates + 2 * design.agents
        took = Cost(cycles / (RECORDED_MHZ * 1e6), 0.0)
        found = distance_to_optimum(design.problem, design.gamma, ring.table)
        return Measurement(
            took,
            None,
            training=took,
            engine=f"{ENGINE}: {cycles:,} cycles at {RECORDED_MHZ} MHz ({DEVICE}), not timed",
            env_steps=ring.updates,
            updates=ring.updates,
            policy_optimal=found.optimal_policies == found.agents,
            max_error_to_optimum=found.max_error,
        )

    def _design(self, seed: int) -> Design:
        given = self.job["settings"]
        rates: dict[str, Any] = {
            own: _number(key, given[key]) for key, own in REGISTERS.items() if key in given
        }
        options = self.job["env_options"]
        return design_of(self.job["env"], seed=seed % SEEDS, options=options, **rates)


def _number(key: str, value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise UserError(f"{key}={value}: a circuit's register holds one number") from None
