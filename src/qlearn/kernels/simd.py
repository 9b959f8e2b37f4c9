"""Arithmetic on rows of numbers that the processor does many at a time.

The functions are plain text that the interpreter runs; a module compiled for the CPU has the
vector code of `simd_code.py` in their place. Arrays are flat, float32; a matrix is a place in one
and the distance between its rows.

An element of a product is one chain of fused multiply-adds over `depth`, in order, whatever tile
it falls into: how rows are shared out among threads or batches changes no bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

COLUMNS = 32  # of one call of `tile`


def tile4(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width):
    """c[i, j] = s[i, j] + sum over k of a[i, k] * b[k, j], for 4 rows i, `width` <= COLUMNS.

    a[i, k] stands at a[a0 + i * ai + k * ak]; rows of b, s and c lie bk, si and ci apart.
    """
    _tile(4, a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width)


def tile1(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width):
    """The same for a single row."""
    _tile(1, a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width)


def _tile(rows, a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width):
    for i in range(rows):
        sums = [s[s0 + i * si + j] for j in range(width)]
        for k in range(depth):
            for j in range(width):
                sums[j] += a[a0 + i * ai + k * ak] * b[b0 + k * bk + j]
        for j in range(width):
            c[c0 + i * ci + j] = sums[j]


def nonzeros(a, a0, n, places, p0, most):
    """Writes where among n numbers those are that are not 0; how many, or -1 for over `most`."""
    count = 0
    for j in range(n):
        if a[a0 + j] != 0.0:
            if count == most:
                return -1
            places[p0 + count] = j
            count += 1
    return count


def picked(a, a0, ak, b, b0, bk, places, p0, count, s, s0, c, c0, width):
    """c[j] = s[j] + sum over k of a[k] * b[k, j], for the `count` k that stand in `places`.

    a[k] stands at a[a0 + k * ak]; rows of b lie bk apart. Where the other a[k] are 0 these are
    the bits of a whole product: to add 0 changes none.
    """
    sums = [s[s0 + j] for j in range(width)]
    for k in places[p0 : p0 + count]:
        for j in range(width):
            sums[j] += a[a0 + k * ak] * b[b0 + k * bk + j]
    for j in range(width):
        c[c0 + j] = sums[j]


def row_sum(a, a0, n):
    """The sum of n numbers."""
    return sum(a[a0 + j] for j in range(n))


def row_dot(a, a0, b, b0, n):
    """The inner product of two stretches of n numbers."""
    return sum(a[a0 + j] * b[b0 + j] for j in range(n))


def row_squares(a, a0, n, middle):
    """The sum of the squared distances of n numbers from `middle`."""
    return sum((a[a0 + j] - middle) ** 2 for j in range(n))


def ticks():
    """A clock that costs some ten nanoseconds to read; of no known unit."""
    return time.perf_counter_ns()


def meet(barrier, place, members):
    """Waits until `members` threads are here; False where one of them has given up.

    `barrier` is an array of int64: how many have come, how often all have, whether one gave up.
    """
    return True


PLACEHOLDERS: tuple[Callable, ...] = (
    tile4, tile1, nonzeros, picked, row_sum, row_dot, row_squares, ticks, meet,
)  # fmt: skip
