"""Random streams: the published cipher, even draws, streams that have nothing in common."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from qlearn import rng as streams
from qlearn.kernels.build import build

# Known answers published with Random123: counter, key -> Philox4x32-10.
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def fill_words(rng, out):
    for k in range(out.shape[0]):
        out[k] = streams.word(rng)


def fill_uniform(rng, out):
    for k in range(out.shape[0]):
        out[k] = streams.uniform(rng)


def fill_normal(rng, out):
    for k in range(out.shape[0]):
        out[k] = streams.normal(rng)


def fill_integers(rng, out, n):
    for k in range(out.shape[0]):
        out[k] = streams.integers(rng, n)


@pytest.fixture(scope="module")
def compiled():
    return build("test rng", [fill_words, fill_uniform, fill_normal, fill_integers], {})


def row(seed=0, copy=0, purpose=0):
    return np.array(streams.stream(seed, copy, purpose), np.int64)


def words(compiled, rng, count):
    out = np.zeros(count, np.int64)
    compiled.fill_words(rng, out)
    return out


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_words_are_the_published_philox(compiled, counter, key, expected):
    plain = [*counter, *key, 0, 0, 0, 0, 4]
    assert [streams.word(plain) for _ in range(4)] == expected
    assert words(compiled, np.array([*counter, *key, 0, 0, 0, 0, 4], np.int64), 4).tolist() == (
        expected
    )


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1])
def test_list_and_compiled_draw_the_same_bits(compiled, seed):
    plain, fast = streams.stream(seed, 5, 2), row(seed, 5, 2)
    for kernel, draw in (
        (compiled.fill_words, streams.word),
        (compiled.fill_uniform, streams.uniform),
    ):
        out = np.zeros(101)
        kernel(fast, out)
        assert out.tolist() == [draw(plain) for _ in range(101)]
    for n in (1, 2, 3, 7, 1000, 3 * 2**29, 2**31 - 1):
        drawn = np.zeros(50, np.int64)
        compiled.fill_integers(fast, drawn, n)
        assert drawn.tolist() == [streams.integers(plain, n) for _ in range(50)]
    assert fast.tolist() == plain
    drawn = np.zeros(50)
    compiled.fill_normal(fast, drawn)
    # libm's log and cosine may round otherwise than the compiler's.
    np.testing.assert_allclose(drawn, [streams.normal(plain) for _ in range(50)], rtol=1e-12)


def test_an_array_of_streams_holds_each_single_stream():
    rows = streams.streams(2**40 + 3, 4, streams.EVALUATION, first=10)
    assert rows.dtype == np.int64
    assert rows.tolist() == [
        streams.stream(2**40 + 3, copy, streams.EVALUATION) for copy in range(10, 14)
    ]


def test_the_counter_carries_past_32_bits():
    rng = streams.stream(9)
    rng[streams.BLOCK_LOW] = 2**32 - 1
    for _ in range(4):
        streams.word(rng)
    assert rng[: streams.COPY] == [0, 1]
    after = [streams.word(rng) for _ in range(4)]
    start = streams.stream(9)
    assert after != [streams.word(start) for _ in range(4)]
    start = streams.stream(9)
    start[streams.BLOCK_HIGH] = 1
    assert after == [streams.word(start) for _ in range(4)]


def test_compiled_counter_carries_like_the_list(compiled):
    plain = [2**32 - 2, 2**32 - 1, *streams.stream(3)[2:]]
    fast = np.array(plain, np.int64)
    assert words(compiled, fast, 12).tolist() == [streams.word(plain) for _ in range(12)]
    assert fast.tolist() == plain
    assert plain[:2] == [1, 0]


def test_every_seed_copy_and_purpose_has_its_own_stream(compiled):
    keys = [
        (seed, copy, purpose)
        for seed in (0, 1, 2**32, 2**32 + 1, 2**62)
        for copy in (0, 1, 2, 99_999)
        for purpose in (streams.WORLD, streams.PLAYER, streams.LEARNER, streams.EVALUATION)
    ]
    drawn = np.concatenate([words(compiled, row(*key), 64) for key in keys])
    # 5,120 words of 32 bits: one chance pair in 300 such tests, and these are fixed.
    assert len(np.unique(drawn)) == drawn.size


def test_neighbouring_streams_are_uncorrelated(compiled):
    count = 20_000
    first = np.zeros(count)
    compiled.fill_uniform(row(0, 0, 0), first)
    for key in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2**32, 0, 0)]:
        other = np.zeros(count)
        compiled.fill_uniform(row(*key), other)
        for lag in (0, 1, 2, 3, 4):
            r = np.corrcoef(first[: count - lag], other[lag:])[0, 1]
            assert abs(r) < 5 / math.sqrt(count), (key, lag)


def test_uniform_lies_in_0_to_1_with_the_right_moments(compiled):
    out = np.zeros(200_000)
    compiled.fill_uniform(row(7), out)
    assert out.min() >= 0.0
    assert out.max() < 1.0
    assert abs(out.mean() - 1 / 2) < 5 * math.sqrt(1 / 12 / out.size)
    assert abs((out**2).mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / out.size)
    assert stats.kstest(out, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(out[:-1], out[1:])[0, 1]) < 5 / math.sqrt(out.size)


def test_uniform_uses_53_bits():
    rng = streams.stream(0)
    rng[streams.WORDS : streams.LENGTH] = [0xFFFFFFFF] * 4 + [0]
    assert streams.uniform(rng) == 1.0 - 2.0**-53
    rng[streams.WORDS : streams.LENGTH] = [0, 64, 0, 0, 0]
    assert streams.uniform(rng) == 2.0**-53


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7, 10, 97, 1000])
def test_integers_are_evenly_spread(compiled, n):
    out = np.zeros(100_000, np.int64)
    compiled.fill_integers(row(n), out, n)
    counts = np.bincount(out, minlength=n)
    assert counts.size == n
    assert n == 1 or stats.chisquare(counts).pvalue > 1e-4


def test_integers_have_no_bias_where_a_plain_product_would(compiled):
    # Without rejection every third number would come twice for the three times of the others.
    n = 3 * 2**29
    out = np.zeros(90_000, np.int64)
    compiled.fill_integers(row(5), out, n)
    assert stats.chisquare(np.bincount(out % 3, minlength=3)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(out // (n // 3), minlength=3)).pvalue > 1e-4


def test_integers_reject_the_words_that_would_be_one_too_many():
    n = 3 * 2**29
    threshold = 2**32 % n
    rng = streams.stream(0)
    # The first word's low half is below the threshold, the second's is not.
    rejected = next(w for w in range(1000) if (w * n) % 2**32 < threshold)
    kept = next(w for w in range(2**31, 2**32) if (w * n) % 2**32 >= threshold)
    rng[streams.WORDS : streams.LENGTH] = [rejected, kept, 0, 0, 0]
    assert streams.integers(rng, n) == (kept * n) >> 32
    assert rng[streams.USED] == 2


def test_chance_is_true_that_often(compiled):
    rng = streams.stream(4)
    draws = [streams.chance(rng, 0.3) for _ in range(20_000)]
    assert abs(np.mean(draws) - 0.3) < 5 * math.sqrt(0.21 / 20_000)
    assert not any(streams.chance(rng, 0.0) for _ in range(1000))
    assert all(streams.chance(rng, 1.0) for _ in range(1000))


def test_normal_is_normal(compiled):
    out = np.zeros(100_000)
    compiled.fill_normal(row(11), out)
    assert stats.kstest(out, "norm").pvalue > 1e-4
    assert np.isfinite(out).all()
