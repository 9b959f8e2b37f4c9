"""Numbers of the circuit: words of fixed point, coefficients, and the four ways of rounding.

A word `Qm.n` is a whole number that counts units of 2^-n: m integer bits, the sign among them, and
n fraction bits. Coefficients (alpha, gamma and what is made of them) lie between 0 and 1 and have
17 fraction bits of their own, whatever the word. Everything is exact until the one rounding at the
end of an update.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from qlearn.errors import UserError, closest

COEFFICIENT_FRACTION = 17  # with the 18 x 18 bit multipliers of FPGAs in mind
ONE = 1 << COEFFICIENT_FRACTION
HALF = ONE >> 1
NARROWEST, WIDEST = 8, 32
ROUNDINGS = ("half_up", "even", "floor", "stochastic")


@dataclass(frozen=True)
class Word:
    """Signed fixed point by its name: `Word("Q8.8")` has 16 bits, 8 of them behind the point."""

    name: str

    def __post_init__(self) -> None:
        match = re.fullmatch(r"[Qq]([1-9]\d?)\.(\d\d?)", self.name)
        if match is None:
            raise UserError(f"'{self.name}' is no word; Q8.8 has 8 integer and 8 fraction bits")
        integer, fraction = int(match[1]), int(match[2])
        if not NARROWEST <= integer + fraction <= WIDEST:
            raise UserError(
                f"the word {self.name} has {integer + fraction} bits;"
                f" {NARROWEST} to {WIDEST} work, as in Q8.8"
            )
        object.__setattr__(self, "name", f"Q{integer}.{fraction}")

    @cached_property
    def width(self) -> int:
        integer, fraction = self.name[1:].split(".")
        return int(integer) + int(fraction)

    @cached_property
    def fraction(self) -> int:
        return int(self.name.partition(".")[2])

    @property
    def lowest(self) -> int:
        return -(1 << (self.width - 1))

    @property
    def highest(self) -> int:
        return (1 << (self.width - 1)) - 1

    @property
    def unit(self) -> float:
        """What the last bit is worth."""
        return 2.0**-self.fraction

    @property
    def limit(self) -> float:
        """Values up to this size, of either sign, can be written."""
        return self.highest * self.unit

    def saturated(self, number: int) -> int:
        """The nearest number that the word holds: beyond the limits nothing wraps around."""
        return max(self.lowest, min(self.highest, number))

    def of(self, value: float) -> int:
        """A real value as a word: the nearest, upwards where two are."""
        return self.saturated(_nearest(value, self.fraction))


class Coefficients(NamedTuple):
    """What an update multiplies with, in units of 2^-17."""

    alpha: int
    gamma: int
    one_minus_alpha: int
    alpha_gamma: int


def coefficients(alpha: float, gamma: float) -> Coefficients:
    """The four whole numbers of a learning rate and a discount, as the circuit makes them."""
    for name, value in (("alpha", alpha), ("gamma", gamma)):
        if not 0.0 <= value <= 1.0:
            raise UserError(f"{name} must be between 0 and 1, not {value:g}")
    a, g = (_nearest(value, COEFFICIENT_FRACTION) for value in (alpha, gamma))
    return Coefficients(a, g, ONE - a, (a * g + HALF) >> COEFFICIENT_FRACTION)


def rounded(total: int, rounding: str, noise: int = 0) -> int:
    """A sum of products without its 17 extra fraction bits.

    `noise` is what stochastic rounding adds: 17 random bits.
    """
    if rounding == "half_up":
        return (total + HALF) >> COEFFICIENT_FRACTION
    if rounding == "floor":
        return total >> COEFFICIENT_FRACTION
    if rounding == "stochastic":
        return (total + noise) >> COEFFICIENT_FRACTION
    below, rest = total >> COEFFICIENT_FRACTION, total & (ONE - 1)
    above = (rest > HALF) | ((rest == HALF) & (below & 1))
    return below + above


def rounding_number(rounding: str) -> int:
    """How the circuit names a way of rounding."""
    if rounding not in ROUNDINGS:
        raise UserError(f"unknown rounding '{rounding}'{closest(rounding, ROUNDINGS)}")
    return ROUNDINGS.index(rounding)


def _nearest(value: float, fraction: int) -> int:
    """value * 2^fraction as a whole number, half up; far beyond every word where it is infinite."""
    if math.isinf(value):
        return int(math.copysign(1 << 2 * WIDEST, value))
    scaled = math.ldexp(value, fraction)
    below = math.floor(scaled)
    return below + (scaled - below >= 0.5)
