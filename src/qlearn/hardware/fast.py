"""The specification compiled: the same ring, bit for bit, at tens of millions of updates a second."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from qlearn.hardware.model import Ring, Trace
from qlearn.hardware.word import COEFFICIENT_FRACTION, HALF, ONE, ROUNDINGS
from qlearn.kernels.build import Kernels, build

HALF_UP, EVEN, FLOOR, STOCHASTIC = range(len(ROUNDINGS))


class World(NamedTuple):
    """A problem's tables; (states, actions, outcomes)."""

    to: np.ndarray
    threshold: np.ndarray
    reward: np.ndarray
    ended: np.ndarray
    starts: np.ndarray


class Numbers(NamedTuple):
    """The registers, and what is fixed for one circuit."""

    alpha: int
    one_minus_alpha: int
    alpha_gamma: int
    epsilon: int
    rounding: int
    lowest: int
    highest: int


class FastRing(Ring):
    """`Ring` with its slots compiled."""

    def run(self, slots: int) -> Trace:
        trace = np.empty((len(Trace._fields), slots), np.int64)
        self._advance(slots, trace)
        return Trace(*trace)

    def advance(self, slots: int) -> None:
        self._advance(slots, np.empty((len(Trace._fields), 0), np.int64))

    def _advance(self, slots: int, trace: np.ndarray) -> None:
        problem, c = self.problem, self.coefficients
        arguments = (
            self.table, self.state, self.streams, self.updates, slots,
            World(problem.to, problem.threshold, problem.reward, problem.ended, problem.starts),
            Numbers(c.alpha, c.one_minus_alpha, c.alpha_gamma, self.epsilon,
                    ROUNDINGS.index(self.rounding), self.word.lowest, self.word.highest),
            trace,
        )  # fmt: skip
        kernels().prepare("advance", *arguments)
        self.episodes += int(kernels().advance(*arguments))
        self.updates += slots


@cache
def kernels() -> Kernels:
    return build("the model of the circuit", [advance], {})


def advance(table, places, streams, t, slots, world, numbers, trace):
    """Slots t .. t + slots - 1; how many of them ended an episode."""
    agents, _, actions = table.shape
    choice, chance, noise = streams[0], streams[1], streams[2]
    agent = t % agents
    episodes = 0
    for slot in range(slots):
        place = places[agent]
        choice = shifted(choice)
        chance = shifted(chance)

        action = highest_of(table[agent, place])
        if choice & 0xFFFF < numbers.epsilon:
            action = ((choice >> 16) * actions) >> 16

        k = 0
        while chance & 0xFFFF >= world.threshold[place, action, k]:
            k += 1
        reward = world.reward[place, action, k]
        ended = world.ended[place, action, k]
        to = world.to[place, action, k]
        best = table[agent, to, highest_of(table[agent, to])]
        if ended:
            to = world.starts[((chance >> 16) * world.starts.shape[0]) >> 16]
            best = 0
            episodes += 1

        total = (
            numbers.one_minus_alpha * table[agent, place, action]
            + numbers.alpha * reward
            + numbers.alpha_gamma * best
        )
        if numbers.rounding == STOCHASTIC:
            noise = shifted(noise)
        value = without_fraction(total, numbers.rounding, noise & (ONE - 1))
        value = max(numbers.lowest, min(numbers.highest, value))
        table[agent, place, action] = value
        places[agent] = to

        if trace.shape[1] > 0:
            trace[0, slot] = agent
            trace[1, slot] = place
            trace[2, slot] = action
            trace[3, slot] = reward
            trace[4, slot] = to
            trace[5, slot] = ended
            trace[6, slot] = value
        agent += 1
        if agent == agents:
            agent = 0
    streams[0], streams[1], streams[2] = choice, chance, noise
    return episodes


def highest_of(row):
    """The best action; ties go to the lowest."""
    best = 0
    for action in range(1, row.shape[0]):
        if row[action] > row[best]:
            best = action
    return best


def without_fraction(total, rounding, noise):
    if rounding == HALF_UP:
        return (total + HALF) >> COEFFICIENT_FRACTION
    if rounding == FLOOR:
        return total >> COEFFICIENT_FRACTION
    if rounding == STOCHASTIC:
        return (total + noise) >> COEFFICIENT_FRACTION
    below = total >> COEFFICIENT_FRACTION
    rest = total & (ONE - 1)
    return below + int(rest > HALF or (rest == HALF and below & 1 == 1))


def shifted(x):
    """xorshift32 on 64 bit numbers, of which only the lower half is ever used."""
    x = x ^ ((x << 13) & 0xFFFFFFFF)
    x = x ^ (x >> 17)
    return x ^ ((x << 5) & 0xFFFFFFFF)
