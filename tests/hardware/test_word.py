from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from qlearn.errors import UserError
from qlearn.hardware.word import HALF, ONE, ROUNDINGS, Word, coefficients, rounded, rounding_number

UNIT = Fraction(1, ONE)


def exactly(total: int, rounding: str, noise: int) -> int:
    """The definitions, on rational numbers."""
    value = total * UNIT
    return {
        "half_up": lambda: math.floor(value + Fraction(1, 2)),
        "even": lambda: round(value),  # Python's own rounds halves to even
        "floor": lambda: math.floor(value),
        "stochastic": lambda: math.floor(value + noise * UNIT),
    }[rounding]()


def totals() -> list[int]:
    """Random sums of either sign, and every neighbour of a tie."""
    random = np.random.default_rng(0)
    wide = [int(x) for x in random.integers(-(2**52), 2**52, 2000)]
    ties = [k * ONE + HALF + d for k in range(-20, 20) for d in (-1, 0, 1)]
    whole = [k * ONE + d for k in range(-20, 20) for d in (-1, 0, 1)]
    return wide + ties + whole


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_is_the_rational_definition(rounding):
    noises = np.random.default_rng(1).integers(ONE, size=len(totals())).tolist()
    for total, noise in zip(totals(), noises, strict=True):
        assert rounded(total, rounding, noise) == exactly(total, rounding, noise)


def test_ties_of_negative_numbers():
    minus_one_and_a_half = -ONE - HALF
    assert [rounded(minus_one_and_a_half, r) for r in ROUNDINGS[:3]] == [-1, -2, -2]
    assert [rounded(-HALF, r) for r in ROUNDINGS[:3]] == [0, 0, -1]


def test_stochastic_rounding_has_no_bias():
    total = -5 * ONE + ONE // 3
    mean = np.mean([rounded(total, "stochastic", noise) for noise in range(0, ONE, 7)])
    assert mean == pytest.approx(total / ONE, abs=1e-4)


def test_words_by_name():
    word = Word("Q8.8")
    assert (word.width, word.fraction, word.unit) == (16, 8, 2**-8)
    assert (word.lowest, word.highest) == (-32768, 32767)
    assert word.limit == pytest.approx(127.996, abs=1e-3)
    assert Word("q12.4").name == "Q12.4"
    assert Word("Q1.31").width == 32
    assert Word("Q8.0").unit == 1.0


def test_values_become_the_nearest_word():
    word = Word("Q8.8")
    assert [word.of(x / 256) for x in (1.5, 0.5, -0.5, -1.5, -1.51)] == [2, 1, 0, -1, -2]
    assert [word.of(x) for x in (1e9, -1e9, math.inf, -math.inf)] == [32767, -32768] * 2
    for x in np.random.default_rng(2).normal(scale=50.0, size=500):
        nearest = math.floor(Fraction(float(x)) * 256 + Fraction(1, 2))
        assert word.of(float(x)) == max(-32768, min(32767, nearest))


def test_saturation_does_not_wrap():
    word = Word("Q4.4")
    assert [word.saturated(x) for x in (-129, -128, 127, 128, 1000)] == [-128, -128, 127, 127, 127]


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.3333, 0.5, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99, 1.0])
def test_coefficients_are_the_nearest_to_what_they_mean(alpha, gamma):
    c = coefficients(alpha, gamma)
    assert c.one_minus_alpha + c.alpha == ONE
    for whole, real in ((c.alpha, Fraction(alpha)), (c.gamma, Fraction(gamma))):
        assert abs(whole * UNIT - real) <= UNIT / 2
    product = Fraction(c.alpha * c.gamma, ONE)
    assert c.alpha_gamma == math.floor(product + Fraction(1, 2))


def test_coefficients_by_number():
    assert coefficients(0.1, 0.9) == (13107, 117965, 117965, 11796)
    assert coefficients(1.0, 1.0) == (131072, 131072, 0, 131072)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Q2.1", "has 3 bits"),
        ("Q20.20", "has 40 bits"),
        ("Q0.16", "is no word"),
        ("8.8", "is no word"),
        ("Q8", "is no word"),
        ("Q8.8.8", "is no word"),
    ],
)
def test_odd_words_are_refused_in_a_line(name, said):
    with pytest.raises(UserError, match=said) as error:
        Word(name)
    assert "\n" not in str(error.value)
    assert "Q8.8" in str(error.value)


@pytest.mark.parametrize("pair", [(2.0, 0.9), (0.5, -0.1), (float("nan"), 0.9)])
def test_coefficients_beyond_their_range_are_refused(pair):
    with pytest.raises(UserError, match="must be between 0 and 1"):
        coefficients(*pair)


def test_unknown_rounding_is_refused():
    with pytest.raises(UserError, match="did you mean 'half_up'"):
        rounding_number("half-up")
