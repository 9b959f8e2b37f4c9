"""How far words are from real numbers: on the same experience, and from the exact optimum.

The bound. Let the circuit and Q-learning in real numbers see the same agents, states, actions,
rewards and next states, and let E be the largest difference between their tables so far. With the
circuit's coefficients a = alpha + da and b = alpha gamma + db, its reward words r + dr and one
rounding by at most u, the entry that is updated differs afterwards by at most

    (1 - alpha) E  +  alpha gamma E  +  u + |da| M + |db| M + |a (r + dr) - alpha r|

where M is as large as an entry of the circuit can become. The last four are c, the same at every
update, so E stays at or below c / (alpha (1 - gamma)) if it begins there: at that size the first
two terms lose as much as c adds. Saturation only moves an entry towards the real one, as long as
that one lies within the word's limits; where it does not there is no bound.

u is half a unit for half_up and even, a whole one for floor and stochastic. M is at most
(a max|r + dr| + u) / (a - b), what the largest reward is worth for ever.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from qlearn.algorithms.table.exact import Optimum, Verdict, judge, reachable
from qlearn.errors import UserError
from qlearn.hardware.model import Ring, Trace
from qlearn.hardware.problem import Problem, optimum_of
from qlearn.hardware.word import ONE, Word, coefficients, rounding_number
from qlearn.kernels.build import Kernels, build


class Distance(NamedTuple):
    """Between the tables of a ring and those of real numbers after the same trace."""

    max_error: float
    mean_error: float
    policy_agreement: float  # share of visited (agent, state) in which it chooses as well
    bound: float  # infinite where none is known
    within_limits: bool  # whether real values stayed within the word's limits all the while


def distance(
    problem: Problem, rounding: str, alpha: float, gamma: float, trace: Trace, table: np.ndarray
) -> Distance:
    """A ring's table (agents, states, actions) against real Q-learning on its whole trace.

    It chooses as well where its greedy action is the best in the real table to within a unit: of
    actions that are equally good, any rounding may pick any.
    """
    word = problem.word
    real = np.zeros(table.shape)
    if problem.initial is not None:
        real += problem.initial * word.unit
    visited = np.zeros(table.shape[:2], np.bool_)
    arguments = (
        real, visited, trace.agent, trace.state, trace.action, rewards_of(problem, trace),
        trace.next, trace.ended, float(alpha), float(gamma),
    )  # fmt: skip
    kernels().prepare("learn_real", *arguments)
    largest = kernels().learn_real(*arguments)
    error = np.abs(table * word.unit - real)
    chosen = np.take_along_axis(real, table.argmax(axis=2)[..., None], axis=2)[..., 0]
    agrees = real.max(axis=2) - chosen <= word.unit
    within = bool(largest <= word.limit)
    return Distance(
        float(error.max()),
        float(error[visited].mean()) if visited.any() else 0.0,
        float(agrees[visited].mean()) if visited.any() else 1.0,
        bound(problem, word, rounding, alpha, gamma) if within else np.inf,
        within,
    )


def rewards_of(problem: Problem, trace: Trace) -> np.ndarray:
    """The real reward behind every reward word of a trace."""
    at = trace.state, trace.action
    ended = trace.ended[:, None] != 0
    same = (problem.reward[at] == trace.reward[:, None]) & (problem.ended[at] == ended)
    same &= ended | (problem.to[at] == trace.next[:, None])
    k = same.argmax(axis=1)
    if not same[np.arange(len(k)), k].all():
        raise UserError("the trace holds what the problem's model cannot do")
    return problem.model.reward[(*at, k)].astype(np.float64)


def learn_real(
    table, visited, agents, states, actions, rewards, nexts, ended, alpha, gamma
):  # fmt: skip
    """Q-learning in real numbers on what happened; the largest value on the way."""
    largest = 0.0
    for slot in range(agents.shape[0]):
        agent, state, action = agents[slot], states[slot], actions[slot]
        visited[agent, state] = True
        target = rewards[slot]
        if not ended[slot]:
            row = table[agent, nexts[slot]]
            best = row[0]
            for k in range(1, row.shape[0]):
                best = max(best, row[k])
            target += gamma * best
        old = table[agent, state, action]
        new = (1.0 - alpha) * old + alpha * target
        table[agent, state, action] = new
        largest = max(largest, abs(new))
    return largest


@cache
def kernels() -> Kernels:
    return build("real numbers on the same trace", [learn_real], {})


def bound(problem: Problem, word: Word, rounding: str, alpha: float, gamma: float) -> float:
    """The largest difference that rounding can cause; see the top of this file."""
    shrinks = alpha * (1.0 - gamma)
    if shrinks <= 0.0:
        return np.inf
    c = coefficients(alpha, gamma)
    a, b = c.alpha / ONE, c.alpha_gamma / ONE
    u = word.unit if rounding_number(rounding) >= 2 else word.unit / 2
    words = problem.reward * word.unit
    first = 0.0 if problem.initial is None else float(np.abs(problem.initial).max()) * word.unit
    forever = (a * float(np.abs(words).max()) + u) / (a - b) if a > b else np.inf
    largest = min(max(first, forever), word.limit + word.unit)
    rewards = float(np.abs(a * words - alpha * problem.model.reward).max())
    each = u + abs(a - alpha) * largest + abs(b - alpha * gamma) * largest + rewards
    return each / shrinks


class OptimumDistance(NamedTuple):
    """Between a ring's tables and the exact optimum, in states that greedy policies reach."""

    max_error: float
    mean_error: float
    optimal_policies: int  # agents whose greedy policy earns the optimum within 1 %
    agents: int


def distance_to_optimum(problem: Problem, gamma: float, table: np.ndarray) -> OptimumDistance:
    """A ring's table (agents, states, actions) against the exact optimum."""
    optimum = _optimum(problem, gamma)
    errors = []
    for agent in table * problem.word.unit:
        reached = reachable(problem.model, agent.argmax(axis=1))
        errors.append(np.abs(agent.max(axis=1) - optimum.values)[reached])
    joined = np.concatenate(errors)
    optimal = sum(_verdict(problem, gamma, agent, optimum).policy_optimal for agent in table)
    return OptimumDistance(float(joined.max()), float(joined.mean()), optimal, len(table))


def updates_until_optimal(ring: Ring, gamma: float, most: int, every: int = 0) -> int | None:
    """After how many updates every agent's greedy policy was found optimal; None: not by `most`.

    It is looked at every so many updates, by default ten for each entry of each table.
    """
    optimum = _optimum(ring.problem, gamma)
    every = every or 10 * ring.table.size
    while ring.updates < most:
        ring.advance(min(every, most - ring.updates))
        verdicts = (_verdict(ring.problem, gamma, agent, optimum) for agent in ring.table)
        if all(verdict.policy_optimal for verdict in verdicts):
            return ring.updates
    return None


def _optimum(problem: Problem, gamma: float) -> Optimum:
    optimum = optimum_of(problem, gamma)
    if optimum is None:
        raise UserError("without discount there is no optimum here; a gamma below 1 gives it one")
    return optimum


def _verdict(problem: Problem, gamma: float, table: np.ndarray, optimum: Optimum) -> Verdict:
    return judge(problem.model, gamma, table * problem.word.unit, optimum)
