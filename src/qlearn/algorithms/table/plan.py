"""From a configuration to the numbers that the loops read, every impossible one refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qlearn.algorithms.live import DISCOUNT, EPSILON, LR
from qlearn.algorithms.table.config import RULES, TableConfig
from qlearn.algorithms.table.rule import Plan
from qlearn.errors import Diverged, UserError
from qlearn.memory import refuse_beyond
from qlearn.schedules import VISITS, bounds, parse

KNOBS = {"epsilon": EPSILON, "lr": LR, "discount": DISCOUNT}
LARGEST_TABLE_MB = 8192


def plan_of(environment: Any, config: TableConfig) -> Plan:
    lr, epsilon = (
        parse(config.lr, config.steps, "lr", config.episodes),
        parse(config.epsilon, config.steps, "epsilon", config.episodes),
    )
    for name, schedule in (("lr", lr), ("epsilon", epsilon)):
        low, high = bounds(schedule)
        if low < 0.0 or high > 1.0:
            raise UserError(f"{name} must be between 0 and 1, not {low if low < 0.0 else high:g}")
    return Plan(
        lr=lr,
        epsilon=epsilon,
        discount=environment.discount if config.discount is None else float(config.discount),
        rule=RULES.index(config.rule),
        decimals=int(config.round_to),
        actions=environment.actions,
        max_steps=environment.max_steps,
    )


def replanned(environment: Any, config: TableConfig, before: Plan) -> Plan:
    """The plan of a configuration that has changed while it was learned from."""
    config.check()
    plan = plan_of(environment, config)
    if plan.lr.kind == VISITS != before.lr.kind:
        raise UserError("lr: a rate by visits needs them counted from the first step on")
    return plan


def states_of(environment: Any) -> int:
    if not environment.discrete:
        size = environment.observation_shape[0]
        raise UserError(
            f"{environment.name} shows {size} real numbers, a table needs states: divide them"
            " into buckets with --set env.buckets=8 (or 6x6x12x12, one number each)"
        )
    return environment.observation


def check_size(entries: int) -> None:
    megabytes = entries * 8 / 2**20
    if megabytes > LARGEST_TABLE_MB:
        raise UserError(
            f"the table would have {entries:,} entries ({megabytes:,.0f} MB), more than"
            f" {LARGEST_TABLE_MB:,} MB; fewer buckets or a smaller environment fit"
        )
    refuse_beyond(
        f"{entries:,} entries of the table take",
        entries * 8,
        "fewer buckets or a smaller environment fit",
    )


def check_values(environment: Any, values: Any, steps: int) -> None:
    """A table moves towards what was paid: only a reward can bring in what is no number."""
    if not np.isfinite(values).all():
        raise Diverged(
            f"{environment.name}: the table's numbers are lost at step {steps:,}: a reward was no"
            " number, or too large to be added up"
        )


def check_shapes(state: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Saved arrays of another shape are another world's; an assignment might still take them."""
    for name, shape in shapes.items():
        if state[name].shape != shape:
            raise ValueError(f"'{name}' is {state[name].shape}, not {shape}")
