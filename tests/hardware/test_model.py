from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from finite_problems import random_problem

from qlearn.errors import UserError
from qlearn.hardware.fast import FastRing
from qlearn.hardware.model import CHOICE, ROUND, WORLD, Ring, seed_of, xorshift32
from qlearn.hardware.word import ONE, ROUNDINGS

WORDS = ("Q8.8", "Q4.12", "Q12.4", "Q16.16", "Q7.1", "Q1.31")
SHAPES = {
    "deterministic": {},
    "slippery": {"outcomes": 3},
    "six actions, many starts": {"actions": 6, "starts": 11, "outcomes": 2},
    "one action, one state": {"actions": 1, "states": 1},
    "sixteen of both": {"actions": 16, "outcomes": 16, "starts": 5},
}


def stream(seed: int, ring: int, which: int, length: int) -> list[int]:
    """The first words of a stream after its seed."""
    words, x = [], seed_of(seed, ring, which)
    for _ in range(length):
        x = xorshift32(x)
        words.append(x)
    return words


def test_xorshift_is_marsaglias():
    assert xorshift32(2463534242) == 723471715  # his own example


def test_seeds_of_streams_differ_and_are_never_zero():
    seeds = {seed_of(1, ring, which) for ring in range(64) for which in range(3)}
    assert len(seeds) == 3 * 64
    assert seed_of(0x9E3779B9, 0, CHOICE) == 1
    assert seed_of(0, 0, WORLD) == (2 * 0x9E3779B9) & 0xFFFFFFFF


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_compiled_twin_is_bit_for_bit_the_same(shape, rounding):
    for seed, word in enumerate(WORDS):
        problem = random_problem(seed, word, **SHAPES[shape])
        settings = (problem, problem.word, rounding, 0.3, 0.95, 0.2, seed, seed, 14 + seed)
        plain, fast = Ring(*settings), FastRing(*settings)
        for slots in (400, 1, 0, 101):
            for a, b in zip(plain.run(slots), fast.run(slots), strict=True):
                np.testing.assert_array_equal(a, b)
        plain.advance(50)
        fast.advance(50)
        for name in ("table", "state", "streams", "updates", "episodes"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(fast, name))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_update_is_the_formula_on_rational_numbers(rounding):
    """Q <- sat(round((1-a) Q + a r + ag max)), replayed from the trace; both limits are met."""
    problem = random_problem(3, "Q4.4", scale=8.0, outcomes=2)
    ring = Ring(problem, problem.word, rounding, 0.5, 0.75, 0.5, 7, 0, 5)
    table = np.zeros((5, problem.states, problem.actions), int).tolist()
    noise = stream(7, 0, ROUND, 4000)
    met, ties = set(), 0
    for t, beat in enumerate(zip(*ring.run(4000), strict=True)):
        agent, state, action, reward, to, ended, q_new = map(int, beat)
        best = 0 if ended else max(table[agent][to])
        value = Fraction(1, 2) * table[agent][state][action]
        value += Fraction(1, 2) * reward + Fraction(3, 8) * best
        ties += value.denominator == 2 and value < 0
        whole = {
            "half_up": math.floor(value + Fraction(1, 2)),
            "even": round(value),
            "floor": math.floor(value),
            "stochastic": math.floor(value + Fraction(noise[t] % ONE, ONE)),
        }[rounding]
        assert q_new == max(-128, min(127, whole))
        table[agent][state][action] = q_new
        met.add(q_new)
    assert {-128, 127} <= met
    assert ties > 10
    np.testing.assert_array_equal(ring.table, table)


def test_slots_take_the_words_of_their_own_place():
    """Choices begin with slot 0; the world has drawn a start for every agent before."""
    problem = random_problem(5, actions=6, outcomes=3, starts=7)
    ring = Ring(problem, problem.word, epsilon=1.0, seed=9, ring=2, agents=15)
    choices, world = stream(9, 2, CHOICE, 300), stream(9, 2, WORLD, 315)
    starts = [problem.starts[((w >> 16) * len(problem.starts)) >> 16] for w in world]
    assert ring.state.tolist() == starts[:15]
    trace = ring.run(300)
    assert trace.action.tolist() == [((w >> 16) * 6) >> 16 for w in choices]
    for t in range(300):
        s, a, word = trace.state[t], trace.action[t], world[15 + t]
        k = int(np.searchsorted(problem.threshold[s, a], word & 0xFFFF, side="right"))
        ended = problem.ended[s, a, k]
        assert trace.ended[t] == ended
        assert trace.reward[t] == problem.reward[s, a, k]
        assert trace.next[t] == (starts[15 + t] if ended else problem.to[s, a, k])
    assert trace.ended.any()


def test_agents_take_turns_and_go_on_where_they_were():
    problem = random_problem(6)
    trace = FastRing(problem, problem.word, agents=14).run(1400)
    assert trace.agent.tolist() == [t % 14 for t in range(1400)]
    np.testing.assert_array_equal(trace.state[14:], trace.next[:-14])


def test_equal_values_give_the_lowest_action():
    problem = random_problem(7, actions=5)
    ring = Ring(problem, problem.word, epsilon=0.0, agents=14)
    ring.table[:] = np.array([-3, 4, 2, 4, 4])
    assert set(ring.run(14).action.tolist()) == {1}


def test_exploring_as_often_as_epsilon_says():
    problem = random_problem(8, actions=4)
    ring = FastRing(problem, problem.word, alpha=0.0, epsilon=0.25, agents=14)
    action = ring.run(200_000).action  # tables stay zero: greedy is 0, a random one 0 in a quarter
    share = np.bincount(action, minlength=4) / action.size
    np.testing.assert_allclose(share, [0.8125, 0.0625, 0.0625, 0.0625], atol=0.004)


@pytest.mark.parametrize("kind", [Ring, FastRing])
def test_exploring_begins_just_below_epsilon(kind):
    problem = random_problem(8, actions=4)
    found, x = {}, 1
    while len(found) < 2:  # states of the stream whose next word stands at the border
        before, x = x, xorshift32(x)
        if x & 0xFFFF in (6553, 6554) and x >> 30:
            found[x & 0xFFFF] = before
    for low, explores in ((6553, True), (6554, False)):
        ring = kind(problem, problem.word, epsilon=0.1, agents=14)
        ring.streams[CHOICE] = found[low]
        assert bool(ring.run(1).action[0]) == explores


def test_stopping_between_changes_nothing():
    problem = random_problem(9, outcomes=2, starts=3)
    whole, parts = Ring(problem, problem.word, agents=15), Ring(problem, problem.word, agents=15)
    expected = whole.run(120)
    pieces = [parts.run(30), parts.run(45), parts.run(45)]
    for name in expected._fields:
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(getattr(expected, name), joined)


def test_clearing_begins_anew_but_forgets_nothing_learned():
    problem = random_problem(10, starts=4)
    ring = Ring(problem, problem.word, agents=14)
    first = ring.state.copy(), ring.streams.copy()
    ring.run(500)
    learned = ring.table.copy()
    ring.clear()
    assert ring.updates == ring.episodes == 0
    np.testing.assert_array_equal(ring.state, first[0])
    np.testing.assert_array_equal(ring.streams, first[1])
    np.testing.assert_array_equal(ring.table, learned)
    assert learned.any()


def test_rings_learn_differently_and_seeds_do():
    problem = random_problem(11)
    runs = [
        FastRing(problem, problem.word, seed=seed, ring=ring).run(500).state.tolist()
        for seed, ring in ((0, 0), (0, 1), (1, 0))
    ]
    assert runs[0] != runs[1]
    assert runs[0] != runs[2]


def test_what_no_register_holds_is_refused():
    problem = random_problem(12)
    with pytest.raises(UserError, match="32 bits"):
        Ring(problem, problem.word, seed=2**32)
    with pytest.raises(UserError, match="epsilon must be between 0 and 1, not 2"):
        Ring(problem, problem.word, epsilon=2.0)
    with pytest.raises(UserError, match="alpha must be between 0 and 1, not 2"):
        Ring(problem, problem.word, alpha=2.0)
