"""The optimum that every engine is held to: value iteration, and exact policy evaluation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qlearn.envs.model import Model
from qlearn.errors import UserError
from qlearn.kernels.build import build

TOLERANCE = 1e-10
MOST_SWEEPS = 1_000_000
OPTIMAL_WITHIN = 0.01  # of the optimum's own size
PLAIN_STATES = 64  # up to this size the interpreter is faster than loading a kernel


class Optimum(NamedTuple):
    values: np.ndarray  # V*, (states,)
    table: np.ndarray  # Q*, (states, actions)


class Verdict(NamedTuple):
    """How a learned table compares with the optimum."""

    policy_optimal: bool
    max_error_to_optimum: float
    policy_value: float
    optimum: float


def sweep(to, chance, reward, ended, discount, values, forwards):
    """One Gauss-Seidel sweep of Bellman's optimality equation; the largest change."""
    states, actions, outcomes = to.shape
    largest = 0.0
    for k in range(states):
        state = k if forwards else states - 1 - k
        best = -np.inf
        for action in range(actions):
            value = 0.0
            for outcome in range(outcomes):
                future = 0.0
                if not ended[state, action, outcome]:
                    future = discount * values[to[state, action, outcome]]
                value += chance[state, action, outcome] * (reward[state, action, outcome] + future)
            best = max(best, value)
        largest = max(largest, abs(best - values[state]))
        values[state] = best
    return largest


def solve(model: Model, discount: float) -> Optimum:
    """The optimal values, by sweeps in both directions until nothing changes."""
    values = np.full(model.states, worst_forever(model, discount))
    arrays = (
        np.ascontiguousarray(model.to),
        np.ascontiguousarray(model.chance),
        np.ascontiguousarray(model.reward, np.float64),
        np.ascontiguousarray(model.ended),
    )
    run = sweep
    if model.states > PLAIN_STATES:
        kernels = build("value iteration", [sweep], {})
        kernels.prepare("sweep", *arrays, discount, values, True)
        run = kernels.sweep
    patience = model.states + 1000  # sweeps in which the change must have become smaller
    before = np.inf
    for k in range(MOST_SWEEPS):
        change = run(*arrays, discount, values, k % 2 == 0)
        if change <= TOLERANCE * (1.0 - min(discount, 0.9)):
            break
        if discount >= 1.0 and k % patience == patience - 1:
            if change >= 0.999 * before:
                raise UserError(
                    "without discount there is no optimum: somewhere an episode can or must go on"
                    " for ever and what it earns has no bounds; a discount below 1 gives it some"
                )
            before = change
    return Optimum(values, action_values(model, discount, values))


def worst_forever(model: Model, discount: float) -> float:
    """Where the sweeps begin: what the worst step earns if repeated for ever.

    From below, values spread from the ends like a shortest-path search, in as many sweeps as the
    best ways have turns. From zero they would count down step by step: 28 s instead of 1 s on a
    200 x 200 maze.
    """
    going_on = model.reward[~model.ended]
    if discount >= 1.0 or going_on.size == 0:
        return 0.0
    return min(0.0, float(going_on.min()) / (1.0 - discount))


def action_values(model: Model, discount: float, values: np.ndarray) -> np.ndarray:
    future = np.where(model.ended, 0.0, discount * values[model.to])
    return np.sum(model.chance * (model.reward + future), axis=2)


def evaluate(model: Model, discount: float, policy: np.ndarray) -> np.ndarray:
    """The exact values of a deterministic policy in the states it can reach; nan elsewhere.

    Without discount a policy that may go on for ever has no sum of rewards: -inf.
    """
    from scipy.sparse import coo_matrix, diags, identity
    from scipy.sparse.linalg import spsolve

    reached = reachable(model, policy)
    number = np.full(model.states, -1)
    number[reached] = np.arange(reached.size)
    to, chance = model.to[reached, policy[reached]], model.chance[reached, policy[reached]]
    reward, ended = model.reward[reached, policy[reached]], model.ended[reached, policy[reached]]
    rows = np.broadcast_to(np.arange(reached.size)[:, None], to.shape)
    on = (~ended) & (chance > 0.0)
    moves = coo_matrix(
        (chance[on], (rows[on], number[to[on]])), shape=(reached.size, reached.size)
    ).tocsc()
    values = np.full(model.states, np.nan)
    earned = np.sum(chance * reward, axis=1)
    forever = np.zeros(reached.size, np.bool_)
    if discount >= 1.0:
        ends = np.any(ended & (chance > 0.0), axis=1)
        trapped = inescapable(moves, ends)
        forever = leading_to(moves, trapped & (earned != 0.0))
        moves = diags((~trapped).astype(np.float64)) @ moves  # what earns nothing is worth nothing
        without = diags((~forever).astype(np.float64))
        moves, earned = without @ moves @ without, np.where(forever, 0.0, earned)
    found = spsolve(identity(reached.size, format="csc") - discount * moves.tocsc(), earned)
    values[reached] = np.where(forever, -np.inf, found)
    return values


def inescapable(moves: Any, ends: np.ndarray) -> np.ndarray:
    """The states that are come back to for ever: of circles that no move leaves and none ends."""
    from scipy.sparse.csgraph import connected_components

    circles, circle = connected_components(moves, connection="strong")
    left = np.zeros(circles, np.bool_)
    left[circle[ends]] = True
    here, to = moves.nonzero()
    left[circle[here[circle[here] != circle[to]]]] = True
    return ~left[circle]


def leading_to(moves: Any, goals: np.ndarray) -> np.ndarray:
    """The states from which a policy's moves may come to one of the goals."""
    found = goals
    while True:
        more = found | (moves @ found.astype(np.float64) > 0.0)
        if np.array_equal(more, found):
            return found
        found = more


def reachable(model: Model, policy: np.ndarray) -> np.ndarray:
    """The states a policy can come to from the start, in ascending order."""
    seen = model.start > 0.0
    frontier = np.flatnonzero(seen)
    while frontier.size:
        to = model.to[frontier, policy[frontier]]
        on = ~model.ended[frontier, policy[frontier]] & (
            model.chance[frontier, policy[frontier]] > 0.0
        )
        found = np.unique(to[on])
        frontier = found[~seen[found]]
        seen[frontier] = True
    return np.flatnonzero(seen)


def judge(model: Model, discount: float, table: np.ndarray, optimum: Optimum) -> Verdict:
    """CONTRACT's policy_optimal and max_error_to_optimum of a learned table."""
    policy = np.argmax(table, axis=1)
    values = evaluate(model, discount, policy)
    reached = reachable(model, policy)
    begins = model.start > 0.0
    earned = float(model.start[begins] @ values[begins])
    best = float(model.start[begins] @ optimum.values[begins])
    error = np.abs(table.max(axis=1)[reached] - optimum.values[reached])
    return Verdict(
        bool(earned >= best - OPTIMAL_WITHIN * max(abs(best), 1e-9)),
        float(error.max()),
        earned,
        best,
    )
