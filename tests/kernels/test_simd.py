"""The vector code beside the plain text it stands for, and the same bits however rows are split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qlearn.kernels import simd
from qlearn.kernels.build import build
from qlearn.nets.mlp import product


def tile_of_4(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width):
    simd.tile4(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width)


def tile_of_1(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width):
    simd.tile1(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width)


def total(a, a0, n):
    return simd.row_sum(a, a0, n)


def inner(a, a0, b, b0, n):
    return simd.row_dot(a, a0, b, b0, n)


def spread(a, a0, n, middle):
    return simd.row_squares(a, a0, n, middle)


def not_zero(a, a0, n, places, p0, most):
    return simd.nonzeros(a, a0, n, places, p0, most)


def sum_picked(a, a0, ak, b, b0, bk, places, p0, count, s, s0, c, c0, width):
    simd.picked(a, a0, ak, b, b0, bk, places, p0, count, s, s0, c, c0, width)


def rows_of_product(a, ai, ak, b, s, si, c, low, high, width, depth):
    product(a, 0, ai, ak, b, 0, width, s, 0, si, c, 0, width, low, high, width, depth)


@pytest.fixture(scope="module")
def kernels():
    entries = [tile_of_4, tile_of_1, total, inner, spread, not_zero, sum_picked, rows_of_product]
    return build("test simd", entries, {})


def surrounded(generator, n, before, after=40):
    """n numbers among others that are none: whoever reads beyond the ends is found out."""
    numbers = np.full(before + n + after, np.nan, np.float32)
    numbers[before : before + n] = generator.standard_normal(n)
    return numbers


@pytest.mark.parametrize("width", [0, 1, 2, 7, 8, 15, 16, 17, 31, 32])
@pytest.mark.parametrize("depth", [0, 1, 3, 17, 64])
def test_tiles_are_their_plain_text(kernels, depth, width):
    generator = np.random.default_rng(100 * depth + width)
    for rows, compiled, plain in (
        (4, kernels.tile_of_4, simd.tile4),
        (1, kernels.tile_of_1, simd.tile1),
    ):
        for turned in (False, True):
            ai, ak = (1, rows) if turned else (depth, 1)
            bk, si, ci = (width + int(generator.integers(0, 5)) for _ in range(3))
            si = si if generator.integers(2) else 0  # 0: one row of s for all, such as a bias
            a = surrounded(generator, rows * depth, a0 := int(generator.integers(0, 9)))
            b = surrounded(generator, depth * bk, b0 := int(generator.integers(0, 9)))
            s = surrounded(generator, rows * max(si, width), s0 := int(generator.integers(0, 9)))
            c = surrounded(generator, rows * ci, c0 := int(generator.integers(0, 9)))
            places = (ai, ak, b0, bk, s0, si, c0, ci, depth, width)
            expected = plainly(plain, (a, b, s, c), a0, *places)
            noise = plainly(plain, tuple(map(np.abs, (a, b, s, c))), a0, *places)
            untouched = np.ones(len(c), bool)
            for i in range(rows):
                untouched[c0 + i * ci : c0 + i * ci + width] = False
            before = c.copy()
            compiled(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width)
            np.testing.assert_array_equal(c[untouched], before[untouched])
            off = np.abs(c - expected)[~untouched]
            assert (off <= 1e-7 * (depth + 1) * noise[~untouched]).all()


def plainly(tile, arrays, a0, ai, ak, b0, bk, s0, si, c0, ci, depth, width):
    a, b, s, c = (array.astype(np.float64) for array in arrays)
    tile(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width)
    return c


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 256, 1000])
def test_sums_over_rows_are_their_plain_text(kernels, n):
    generator = np.random.default_rng(n)
    for at in (0, 1, 5, 16):
        a, b = surrounded(generator, n, at), surrounded(generator, n, at + 3)
        x, y = a.astype(np.float64), b.astype(np.float64)
        middle = np.float32(generator.standard_normal())
        size = 1e-6 * (1.0 + n)
        assert abs(kernels.total(a, at, n) - simd.row_sum(x, at, n)) <= size
        off = kernels.inner(a, at, b, at + 3, n) - simd.row_dot(x, at, y, at + 3, n)
        assert abs(off) <= size
        off = kernels.spread(a, at, n, middle) - simd.row_squares(x, at, n, float(middle))
        assert abs(off) <= 4 * size


@pytest.mark.parametrize("n", [0, 1, 7, 8, 15, 16, 17, 33, 300])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_what_is_not_zero_is_found_in_order(kernels, n, share):
    generator = np.random.default_rng(n)
    a = surrounded(generator, n, at := 3)
    a[at : at + n] *= generator.random(n) < share
    if n > 2:
        a[at : at + 2] = np.nan, -0.0
    there = np.flatnonzero(a[at : at + n])
    for most in (len(there), len(there) + 5, max(0, len(there) - 1)):
        found, plain = np.full((2, n + 4), -7, np.int32)
        count = kernels.not_zero(a, at, n, found, 2, most)
        assert count == simd.nonzeros(a, at, n, plain, 2, most)
        if most >= len(there):
            np.testing.assert_array_equal(found[2 : 2 + count], there)
            np.testing.assert_array_equal(found[[0, 1, *range(2 + count, n + 4)]], -7)
        else:
            assert count == -1


@pytest.mark.parametrize("width", [1, 3, 16, 31, 64, 130, 256, 300])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_of_what_is_not_zero_has_the_bits_of_the_whole(kernels, width, turned):
    generator = np.random.default_rng(width)
    depth = 40
    a = generator.standard_normal(depth) * (generator.random(depth) < 0.3)
    a = np.repeat(a, 2 if turned else 1).astype(np.float32)
    ak = 2 if turned else 1
    b = surrounded(generator, depth * width, b0 := 5)
    s = surrounded(generator, width, 1)
    places = np.full(depth + 3, -1, np.int32)
    there = np.flatnonzero(a[::ak]).astype(np.int32)
    places[3 : 3 + len(there)] = there
    whole, part = np.full((2, width + 9), 7.0, np.float32)
    kernels.tile_of_1(a, 0, 0, ak, b, b0, width, s, 1, 0, whole, 4, 0, depth, min(width, 32))
    kernels.sum_picked(a, 0, ak, b, b0, width, places, 3, len(there), s, 1, part, 4, width)
    np.testing.assert_array_equal(part[4 : 4 + min(width, 32)], whole[4 : 4 + min(width, 32)])
    exact = s[1 : 1 + width] + a[::ak].astype(np.float64) @ b[b0 : b0 + depth * width].reshape(
        depth, width
    )
    np.testing.assert_allclose(part[4 : 4 + width], exact, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(part[[0, 1, 2, 3, *range(4 + width, width + 9)]], 7.0)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("rows", "width", "depth"),
    [(1, 1, 1), (5, 3, 0), (13, 33, 17), (32, 64, 64), (31, 30, 5), (128, 65, 4)],
)
def test_how_rows_are_split_changes_no_bit(kernels, rows, width, depth, turned):
    generator = np.random.default_rng(rows + width)
    a, b, s = (
        generator.standard_normal(n).astype(np.float32)
        for n in (rows * depth, depth * width, width)
    )
    ai, ak = (1, rows) if turned else (depth, 1)

    def parts(edges):
        c = np.full(rows * width, np.nan, np.float32)
        for low, high in pairwise(edges):
            kernels.rows_of_product(a, ai, ak, b, s, 0, c, low, high, width, depth)
        return c

    whole = parts([0, rows])
    matrix = a.reshape(depth, rows).T if turned else a.reshape(rows, depth)
    expected = s + matrix.astype(np.float64) @ b.reshape(depth, width)
    np.testing.assert_allclose(whole.reshape(rows, width), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(parts(list(range(rows + 1))), whole)
    for _ in range(5):
        cuts = np.sort(generator.integers(0, rows + 1, int(generator.integers(1, 6))))
        np.testing.assert_array_equal(parts([0, *cuts.tolist(), rows]), whole)
