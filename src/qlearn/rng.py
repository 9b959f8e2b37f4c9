"""Random streams: Philox4x32-10, counter based, one stream for each (seed, copy, purpose).

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Seed, copy and purpose
are words of the cipher's key and counter, so no two streams ever overlap, and copy 7 of seed 3
draws the same numbers whatever the batch size, the thread count or the device.

The text is plain integer Python, masked so that it means the same with Python's unbounded
integers, Numba's wrapping int64 and CUDA's: it is written once and runs in all three.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from qlearn.errors import UserError
from qlearn.kernels.marks import cold

MASK = 0xFFFFFFFF
TWO_32 = 4294967296

# Where things lie in a stream's state, a row of int64.
BLOCK_LOW, BLOCK_HIGH, COPY, PURPOSE, KEY_LOW, KEY_HIGH, WORDS, USED = 0, 1, 2, 3, 4, 5, 6, 10
LENGTH = 11

# Purposes: what a copy's streams are for.
WORLD, PLAYER, LEARNER, EVALUATION, NETWORK = 0, 1, 2, 3, 4


MOST_DIGITS = 19  # of 2**63


def checked_seed(seed: Any) -> int:
    """The seed as an int; anything but a whole number of 63 bits is the user's mistake."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**63:
        raise UserError(f"a seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
    return number


def seed_in(text: str) -> int | None:
    """The seed that a text is; None where it is something else, such as a file's name."""
    if not (text.isascii() and text.isdigit()):
        return None
    return checked_seed(int(text) if len(text) <= MOST_DIGITS else text[:MOST_DIGITS] + "...")


def stream(seed: int, copy: int = 0, purpose: int = WORLD) -> list[int]:
    """The state of a stream before its first draw."""
    return [0, 0, copy, purpose, seed & MASK, (seed >> 32) & MASK, 0, 0, 0, 0, 4]


def streams(seed: int, copies: int, purpose: int = WORLD, first: int = 0):
    """The streams of `copies` copies as one array (copies, LENGTH)."""
    import numpy as np

    rows = np.tile(np.array(stream(seed, 0, purpose), np.int64), (copies, 1))
    rows[:, COPY] = np.arange(first, first + copies)
    return rows


@cold
def refill(rng):
    """Encrypts the next counter into four fresh 32-bit words."""
    c0, c1, c2, c3 = int(rng[0]), int(rng[1]), int(rng[2]), int(rng[3])
    k0, k1 = int(rng[4]), int(rng[5])
    for _ in range(10):
        p0 = 0xD2511F53 * c0
        p1 = 0xCD9E8D57 * c2
        c0 = ((p1 >> 32) & MASK) ^ c1 ^ k0
        c1 = p1 & MASK
        c2 = ((p0 >> 32) & MASK) ^ c3 ^ k1
        c3 = p0 & MASK
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    rng[6] = c0
    rng[7] = c1
    rng[8] = c2
    rng[9] = c3
    rng[10] = 0
    low = (int(rng[0]) + 1) & MASK
    rng[0] = low
    if low == 0:
        rng[1] = (int(rng[1]) + 1) & MASK


def word(rng):
    """The next 32 random bits."""
    if rng[10] == 4:
        refill(rng)
    used = int(rng[10])
    rng[10] = used + 1
    return int(rng[6 + used])


def uniform(rng):
    """A float64 in [0, 1) from 53 random bits."""
    high = word(rng) >> 5
    low = word(rng) >> 6
    return (high * 67108864 + low) / 9007199254740992.0


def chance(rng, p):
    """True with probability p, to 32 bits."""
    return word(rng) < p * TWO_32


def integers(rng, n):
    """An integer in 0 .. n-1, each exactly equally likely (Lemire's method); n below 2**31."""
    product = word(rng) * n
    low = product & MASK
    if low < n:
        threshold = (TWO_32 - n) % n
        while low < threshold:
            product = word(rng) * n
            low = product & MASK
    return product >> 32


def normal(rng):
    """A draw from the standard normal distribution (Box and Muller)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(rng)))
    return radius * math.cos(6.283185307179586 * uniform(rng))
