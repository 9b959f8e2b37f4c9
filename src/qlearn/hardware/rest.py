"""Where a circuit's tables come to rest, in a world without chance, under every way of learning.

An update moves its entry by alpha of the difference to its target. Rounded to the nearest, a move of
less than half a unit is none; `floor` makes every upward move of less than a unit none, and every
downward one, however small, a whole unit: values rise too little and never fail to sink. So tables
stop short of what real numbers would become, and where that is depends on which state was visited
when. Not altogether, though.

Let T be the update of all entries at once. Rounding and saturation keep the order of numbers, and so
do coefficients that are not negative: if P <= Q in every entry, then T(P) <= T(Q). Take tables A
below the first ones that T does not lower, A <= T(A). Whatever entries are updated in whichever
order, tables stay above A; and when every entry has been updated once, above T(A); in the end above
the limit of T(T(...(A))). The same holds from above. The largest such A is where min(Q, T(Q)) ends,
begun at the first tables, and the smallest B above them where max(Q, T(Q)) ends.

So every agent that never stops visiting every state ends between two tables that are known exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qlearn.hardware.problem import Problem
from qlearn.hardware.word import coefficients, rounded

MOST_SWEEPS = 20_000

Update = Callable[[np.ndarray], np.ndarray]


class Rest(NamedTuple):
    """Tables (states, actions) of words, between which all tables end."""

    lowest: np.ndarray
    highest: np.ndarray

    def greedy(self) -> np.ndarray:
        """The actions (states, actions) that may be greedy in the end; ties go to the first."""
        actions = self.lowest.shape[1]
        beaten = [
            (self.lowest[:, :a] >= self.highest[:, a, None]).any(axis=1)
            | (self.lowest[:, a + 1 :] > self.highest[:, a, None]).any(axis=1)
            for a in range(actions)
        ]
        return ~np.stack(beaten, axis=1)


def rest_of(problem: Problem, rounding: str, alpha: float, gamma: float) -> Rest | None:
    """Between which tables all end; None where chance has a part, or where it takes too long."""
    if not problem.model.deterministic or rounding == "stochastic":
        return None
    update = update_of(problem, rounding, alpha, gamma)
    first = np.zeros((problem.states, problem.actions), np.int64)
    if problem.initial is not None:
        first += problem.initial
    below = settled(first, lambda table: np.minimum(table, update(table)))
    above = settled(first, lambda table: np.maximum(table, update(table)))
    if below is None or above is None:
        return None
    lowest, highest = settled(below, update), settled(above, update)
    return None if lowest is None or highest is None else Rest(lowest, highest)


def update_of(problem: Problem, rounding: str, alpha: float, gamma: float) -> Update:
    """The circuit's update, of all entries of a table at once."""
    c, word = coefficients(alpha, gamma), problem.word
    to, reward, ended = (each[:, :, 0] for each in (problem.to, problem.reward, problem.ended))

    def update(table: np.ndarray) -> np.ndarray:
        best = np.where(ended, 0, table.max(axis=1)[to])
        total = c.one_minus_alpha * table + c.alpha * reward + c.alpha_gamma * best
        return np.clip(rounded(total, rounding), word.lowest, word.highest)

    return update


def settled(table: np.ndarray, step: Update) -> np.ndarray | None:
    """What a step changes no more."""
    for _ in range(MOST_SWEEPS):
        after = step(table)
        if np.array_equal(after, table):
            return table
        table = after
    return None
