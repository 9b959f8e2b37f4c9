"""The specification: what the circuit computes, slot by slot, in whole numbers.

A ring of N agents learns in turn: slot t belongs to agent t mod N, which chooses an action, sees
what comes of it and updates one entry of its own table. Chance comes from three xorshift32
streams: one chooses, one is the world, one rounds. The circuit works on many slots at once, and
may: before an agent's turn comes again, its last update has been written.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlearn.errors import UserError
from qlearn.hardware.problem import CERTAIN, Problem
from qlearn.hardware.word import Word, coefficients, rounded, rounding_number

CHOICE, WORLD, ROUND = 0, 1, 2  # the streams of a ring
MASK = 0xFFFFFFFF
GOLDEN = 0x9E3779B9  # 2^32 divided by the golden ratio: neighbours' seeds lie far apart


class Trace(NamedTuple):
    """What happened, an array over slots each; rewards and values are words."""

    agent: np.ndarray
    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next: np.ndarray  # where the agent is then: a start, if the episode ended
    ended: np.ndarray
    q_new: np.ndarray


class Ring:
    """The agents of one ring, from power-on: tables as initialised, every agent on a start."""

    def __init__(
        self,
        problem: Problem,
        word: Word,
        rounding: str = "half_up",
        alpha: float = 0.5,
        gamma: float = 0.9,
        epsilon: float = 0.1,
        seed: int = 0,
        ring: int = 0,
        agents: int = 16,
    ) -> None:
        rounding_number(rounding)
        self.problem, self.word, self.rounding = problem, word, rounding
        self.coefficients = coefficients(alpha, gamma)
        self.epsilon = epsilon_word(epsilon)
        self.seed, self.ring, self.agents = checked_seed(seed), ring, agents
        first = np.zeros((problem.states, problem.actions), np.int64)
        if problem.initial is not None:
            first += problem.initial
        self.table = np.repeat(first[None], agents, axis=0)
        self.clear()

    def clear(self) -> None:
        """Streams back to their seeds, every agent to a start; tables stay as they are."""
        self.updates = self.episodes = 0
        self.streams = np.array([seed_of(self.seed, self.ring, stream) for stream in range(3)])
        self.state = np.array([self._start(self._drawn(WORLD)) for _ in range(self.agents)])

    def run(self, slots: int) -> Trace:
        """The next slots."""
        beats = [self._slot() for _ in range(slots)]
        columns = zip(*beats, strict=True) if beats else [()] * len(Trace._fields)
        return Trace(*(np.array(column, np.int64) for column in columns))

    def advance(self, slots: int) -> None:
        """The next slots, without a trace."""
        for _ in range(slots):
            self._slot()

    def _slot(self) -> tuple[int, ...]:
        agent = self.updates % self.agents
        table, state = self.table[agent], int(self.state[agent])
        action = self._choice(table[state])
        reward, to, ended = self._outcome(state, action)

        q, best = int(table[state, action]), 0 if ended else int(table[to].max())
        c = self.coefficients
        total = c.one_minus_alpha * q + c.alpha * reward + c.alpha_gamma * best
        noise = self._drawn(ROUND) & 0x1FFFF if self.rounding == "stochastic" else 0
        q_new = self.word.saturated(rounded(total, self.rounding, noise))

        table[state, action] = q_new
        self.state[agent] = to
        self.updates += 1
        self.episodes += ended
        return agent, state, action, reward, to, ended, q_new

    def _choice(self, row: np.ndarray) -> int:
        """Epsilon-greedy: the best action, the lowest of equals, or now and then any."""
        word = self._drawn(CHOICE)
        if word & 0xFFFF < self.epsilon:
            return ((word >> 16) * self.problem.actions) >> 16
        return int(row.argmax())

    def _outcome(self, state: int, action: int) -> tuple[int, int, bool]:
        """What the world does: (reward, where the agent is then, whether the episode ended)."""
        problem, word = self.problem, self._drawn(WORLD)
        k = 0
        while word & 0xFFFF >= problem.threshold[state, action, k]:
            k += 1
        ended = bool(problem.ended[state, action, k])
        to = self._start(word) if ended else int(problem.to[state, action, k])
        return int(problem.reward[state, action, k]), to, ended

    def _start(self, word: int) -> int:
        """The start that the upper half of a random word draws."""
        starts = self.problem.starts
        return int(starts[((word >> 16) * len(starts)) >> 16])

    def _drawn(self, stream: int) -> int:
        """The next word of a stream."""
        word = self.streams[stream] = xorshift32(int(self.streams[stream]))
        return word


def xorshift32(x: int) -> int:
    """Marsaglia's generator: from one random word to the next (George Marsaglia, 2003)."""
    x ^= (x << 13) & MASK
    x ^= x >> 17
    return x ^ ((x << 5) & MASK)


def seed_of(seed: int, ring: int, stream: int) -> int:
    """Where a stream begins; never 0, which xorshift would not leave."""
    return (seed ^ ((GOLDEN * (4 * ring + stream + 1)) & MASK)) or 1


def checked_seed(seed: int) -> int:
    if not 0 <= seed <= MASK:
        raise UserError(f"the seed of a circuit has 32 bits: 0 to {MASK}, not {seed}")
    return seed


def epsilon_word(epsilon: float) -> int:
    """The chance of a random action in 65536ths."""
    if not 0.0 <= epsilon <= 1.0:
        raise UserError(f"epsilon must be between 0 and 1, not {epsilon:g}")
    return int(epsilon * CERTAIN + 0.5)
