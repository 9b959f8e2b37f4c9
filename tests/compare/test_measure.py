"""Fair timing: who runs when, and what may be said of the times."""

from __future__ import annotations

import random

import pytest

from qlearn.compare.measure import alternate, difference, ratio, spread, turns


def test_contenders_run_forwards_then_backwards_after_a_warm_up():
    order = []
    contenders = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    found = alternate(contenders, repeats=3)
    assert "".join(order) == "abccbaabccba"
    assert found == {
        "a": [6, 7, 12],
        "b": [5, 8, 11],
        "c": [4, 9, 10],
    }  # the first turn is left out


def test_spread():
    assert spread([3.0, 1.0, 10.0]) == {"median": 3.0, "min": 1.0, "max": 10.0}


def test_the_ratio_of_a_thing_to_itself_is_one():
    values = [1.0, 2.0, 3.0, 4.0]
    assert ratio(values, values) == {"median": 1.0, "low": 1.0, "high": 1.0}


def test_a_ratio_lies_in_its_interval_and_more_repeats_narrow_it():
    chance, widths = random.Random(1), []
    for n in (6, 100):
        slow = [10.0 * chance.uniform(0.9, 1.1) for _ in range(n)]
        fast = [2.0 * chance.uniform(0.9, 1.1) for _ in range(n)]
        found = ratio(slow, fast)
        assert found["low"] <= found["median"] <= found["high"]
        assert found["low"] <= 5.0 <= found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0]


def test_turns_are_resampled_in_pairs():
    """The machine's mood falls on both of a turn, so it does not widen the ratio."""
    moods = [1.0, 7.0, 2.0, 30.0, 4.0]
    found = ratio([3.0 * mood for mood in moods], moods)
    assert found == pytest.approx({"median": 3.0, "low": 3.0, "high": 3.0})


def test_as_many_of_both_are_needed():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        ratio([1.0, 2.0], [1.0])


def test_turns_say_which_of_them_count():
    assert [(turn, "".join(order)) for turn, order in turns("abc", repeats=3, warmup=2)] == [
        (-2, "abc"), (-1, "cba"), (0, "abc"), (1, "cba"), (2, "abc"),
    ]  # fmt: skip


def test_the_interval_of_constants_is_a_point():
    assert ratio([6.0] * 5, [2.0] * 5) == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert difference([6.0] * 5, [2.0] * 5) == {"median": 4.0, "low": 4.0, "high": 4.0}


def test_of_five_pairs_the_interval_reaches_from_the_least_to_the_most():
    """Three equal draws of five make their value the median: once in 17 times, for each end."""
    assert ratio([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5) == {"median": 3.0, "low": 1.0, "high": 5.0}


def test_to_swap_the_sides_turns_the_interval_over():
    first, second = [1.0, 1.3, 0.9, 1.1, 1.2], [2.0, 2.2, 2.6, 1.9, 2.1]
    there, back = ratio(first, second), ratio(second, first)
    assert back["low"] == pytest.approx(1 / there["high"])
    assert back["high"] == pytest.approx(1 / there["low"])
    assert difference(first, second)["low"] == -difference(second, first)["high"]


def test_the_same_values_have_the_same_interval_every_time():
    values, base = [1.0, 1.3, 0.9, 1.1, 1.2], [2.0, 2.2, 2.6, 1.9, 2.1]
    random.seed(1)
    first = ratio(values, base)
    random.seed(2)
    assert ratio(values, base) == first
