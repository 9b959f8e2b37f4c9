"""Why a network's numbers are lost, or about to be: what is known, the likeliest cause first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qlearn.algorithms.network.books import ACTED, TERMINAL
from qlearn.schedules import value_at

LARGE = 1e3  # a reward as it is learned; networks begin with values about 1


def likely_cause(learner: Any, returns: np.ndarray) -> str:
    """In words that go on after a colon. `returns`, of episodes ended and in progress, are raw."""
    config, plan, sums = learner.config, learner.plan, learner.sums
    rewards, seen = learner.kept()
    for what, numbers in (("reward", rewards), ("reward", returns), ("observation", seen)):
        if not np.isfinite(numbers).all():
            return f"{'an' if what == 'observation' else 'a'} {what} was {_worst(numbers)}"
    largest = float(np.abs(rewards).max(initial=0.0))
    if largest > LARGE:
        raw = largest / config.reward_scale
        fits = 10.0 ** -math.ceil(math.log10(raw))
        return (
            f"rewards of up to {raw:.3g} are learned as {largest:.3g}; reward_scale={fits:.0e} fits"
        )
    if learner.discount >= 1.0 and sums[ACTED] and not sums[TERMINAL]:
        return "with a discount of 1, and no episode that terminates, values grow for ever"
    lr = value_at(plan.lr, learner.env_steps, learner.episodes)
    return f"lr ({lr:g}) is too large" + (
        "" if config.clip else ", and clip=0 lets any gradient through"
    )


def _worst(numbers: np.ndarray) -> str:
    return "no number (nan)" if np.isnan(numbers).any() else "infinite"
