"""What a function mentions means in plain Python what it means compiled."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from numba import njit

from qlearn.envs import registry
from qlearn.envs.loop import score as placeholder
from qlearn.envs.spec import from_class
from qlearn.kernels.bind import bound

BYTES = np.arange(100, 128, dtype=np.int8)
TENTH = np.float32(0.1)


@njit
def bump(state):
    state.n += 1
    return BYTES[27] + state.n


def helper(x):
    return placeholder(x, 0) + 1


def negative(x, world):
    return -x


class Thing:
    n = 0


def test_compiled_helpers_are_run_by_the_interpreter():
    def f(state):
        return bump(state)

    thing = Thing()
    assert bound(f, {})(thing) == 127 + 1  # in int8 that would be -128
    assert thing.n == 1


def test_numbers_of_numpy_are_pythons():
    def f(k):
        return BYTES[27] + BYTES[26], TENTH * 3.0, BYTES[k:].shape

    total, product, shape = bound(f, {})(20)
    assert (total, type(total)) == (253, int)
    assert (product, type(product)) == (float(TENTH) * 3.0, float)
    assert shape == (8,)


def test_placeholders_are_found_in_helpers_and_inner_functions():
    def f(x):
        inner = lambda y: helper(y) * 10  # noqa: E731
        return inner(x) + sum(helper(k) for k in range(2))

    assert bound(f, {placeholder: negative})(4) == -30 + 1 + 0


def test_closures_and_recursion_are_followed():
    table = np.array([120], np.int8)

    def again(n):
        return table[0] + table[0] if n == 0 else again(n - 1) + placeholder(n, 0)

    assert bound(again, {placeholder: negative})(2) == 240 - 1 - 2


def test_defaults_are_kept():
    def f(x, k=2, *, j=3):
        return helper(x) * k * j

    assert bound(f, {placeholder: negative})(0) == 6
    assert bound(f, {placeholder: negative})(0, 1, j=1) == 1


def test_what_needs_no_change_stays_what_it_is():
    def f(x):
        return statistics.mean([x, x])

    assert bound(f, {}) is f
    assert bound(statistics.mean, {}) is statistics.mean


def test_the_originals_are_left_alone():
    def f(x):
        return helper(x), BYTES

    bound(f, {placeholder: negative})
    assert type(BYTES) is np.ndarray
    with pytest.raises(NotImplementedError):
        f(1)


class Tables:
    """Reads narrow numbers from a global table, in a helper that is compiled elsewhere."""

    actions = 2
    observation = (1,)
    state = {"n": "int64"}

    @staticmethod
    def reset(state, rng):
        state.n = 0

    @staticmethod
    def step(state, action, rng):
        return bump(state) * TENTH, state.n > 20

    @staticmethod
    def observe(state, obs):
        obs[0] = BYTES[state.n] + BYTES[state.n]


def test_twins_read_global_tables_alike():
    environment = from_class(Tables, "tables", "file")
    batches = [registry.batch(environment, 1, 0, engine) for engine in ("numba", "python")]
    for batch in batches:
        batch.reset()
    for _ in range(20):
        one, other = (batch.step([0]) for batch in batches)
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert batches[0].observations[0, 0] == 240.0
    np.testing.assert_array_equal(
        batches[0].get_state()["copies"], batches[1].get_state()["copies"]
    )
