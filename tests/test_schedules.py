"""Schedules: the values of each kind at several times, and mistakes in one clear line."""

from __future__ import annotations

import pytest

from qlearn.errors import UserError
from qlearn.schedules import VISITS, bounds, constant, parse, value_at

BUDGET = 1000


def values(text, times, budget=BUDGET):
    schedule = parse(text, budget, "epsilon")
    return [value_at(schedule, t) for t in times]


@pytest.mark.parametrize("text", [0.25, "0.25", " 0.25 ", "constant:0.25", "2.5e-1"])
def test_a_number_stays_as_it_is(text):
    assert values(text, [0, 1, 10**9]) == [0.25] * 3


@pytest.mark.parametrize(
    ("text", "middle"),
    [
        ("1->0", 500),
        ("1->0@1", 500),
        ("1->0@0.4", 200),
        ("1->0@300", 150),
        ("linear:1->0@0.4", 200),
    ],
)
def test_linear_reaches_its_end_and_stays_there(text, middle):
    before, half, end, after = values(text, [0, middle, 2 * middle, 10 * BUDGET])
    assert (before, half, end, after) == (1.0, 0.5, 0.0, 0.0)


def test_linear_may_rise():
    assert values("0.2->0.6@100", [0, 25, 50, 100, 101]) == pytest.approx([0.2, 0.3, 0.4, 0.6, 0.6])


def test_exponential_multiplies_by_the_same_in_the_same_time():
    found = values("exponential:1->0.0001@0.4", [0, 100, 200, 300, 400, 900])
    assert found == pytest.approx([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-4], rel=1e-12)


def test_stairs():
    found = values("step:1->0.2@100x4", [0, 24, 25, 49, 50, 75, 99, 100, 500])
    assert found == pytest.approx([1.0, 1.0, 0.8, 0.8, 0.6, 0.4, 0.4, 0.2, 0.2])
    ten = values("step:1->0", range(0, BUDGET + 1, 100))
    assert ten == pytest.approx([1.0 - k / 10 for k in range(11)])


def test_visits_fall_by_the_power_down_to_the_floor():
    assert values("visits:1", [0, 1, 3]) == [1.0, 0.5, 0.25]
    assert values("visits:1@0.5", [0, 3, 99]) == pytest.approx([1.0, 0.5, 0.1])
    assert values("visits:0.5->0.1@1", [0, 1, 3, 4, 999]) == pytest.approx(
        [0.5, 0.25, 0.125, 0.1, 0.1]
    )
    assert parse("visits:1@0.6", 1, "lr").kind == VISITS


@pytest.mark.parametrize("text", ["1->0.05", "exponential:1->0.05@0.3", "step:1->0.05@0.5x7", "0.3",
                                  "visits:1->0.05@0.6", "0.1->0.9@20"])  # fmt: skip
def test_no_value_leaves_the_bounds(text):
    schedule = parse(text, BUDGET, "lr")
    low, high = bounds(schedule)
    seen = [value_at(schedule, t) for t in [*range(2 * BUDGET), 10**12]]
    assert low - 1e-12 <= min(seen)
    assert max(seen) <= high + 1e-12
    assert seen[0] in (low, high)


def test_constants_are_made_from_numbers():
    assert value_at(constant(1), 5) == 1.0
    assert isinstance(constant(1).start, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("much", "'much' is no number and no schedule"),
        ("1->", "'' is no number"),
        ("->0.1", "'' is no number"),
        ("1->0.1@", None),
        ("1->0.1@soon", "'soon' is no number"),
        ("1->0.1@0", "cannot be 0 long"),
        ("1->0.1@-5", "cannot be -5 long"),
        ("nan", "'nan' is no number"),
        ("1->inf", "'inf' is no number"),
        ("exponentially:1->0.1", "did you mean 'exponential'"),
        ("exponential:0.5", "needs a start and an end"),
        ("exponential:1->0", "needs both ends above 0"),
        ("exponential:-1->0.1", "needs both ends above 0"),
        ("step:1->0.1@100x0", "stairs are counted in whole numbers"),
        ("step:1->0.1@100x2.5", "stairs are counted in whole numbers"),
        ("step:1->0.1@100xfew", "'few' is no number"),
        ("visits:1@-1", "power of the visits must be above 0"),
        ("visits:1->0.1@0", "power of the visits must be above 0"),
        ("visits:", "'' is no number"),
        (True, "no number"),
        (None, "no number"),
    ],
)
def test_mistakes_name_the_setting_in_one_line(text, message):
    if message is None:  # nothing after the @ is as if it was not there
        assert parse(text, BUDGET, "lr") == parse("1->0.1", BUDGET, "lr")
        return
    with pytest.raises(UserError, match=message) as caught:
        parse(text, BUDGET, "lr")
    assert str(caught.value).startswith("lr: ")
    assert "\n" not in str(caught.value)
