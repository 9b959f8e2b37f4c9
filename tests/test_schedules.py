"""Schedules: the values of each kind at several times, and mistakes in one clear line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.schedules import VISITS, bounds, constant, counts_episodes, parse, value_at

BUDGET = 1000


def values(text, times, budget=BUDGET):
    schedule = parse(text, budget, "epsilon")
    return [value_at(schedule, t, 0) for t in times]


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


def test_a_horizon_multiplies_by_the_same_in_the_same_time():
    found = values("horizon:0.9->0.9999@300", [0, 100, 200, 300, 900])
    assert found == pytest.approx([0.9, 0.99, 0.999, 0.9999, 0.9999], abs=1e-12)
    assert values("horizon:0.999->0@300", [100, 200, 300]) == pytest.approx([0.99, 0.9, 0.0])


def test_stairs():
    found = values("step:1->0.2@100x4", [0, 24, 25, 49, 50, 75, 99, 100, 500])
    assert found == pytest.approx([1.0, 1.0, 0.8, 0.8, 0.6, 0.4, 0.4, 0.2, 0.2])
    ten = values("step:1->0", range(0, BUDGET + 1, 100))
    assert ten == pytest.approx([1.0 - k / 10 for k in range(11)])


def by_episodes(text, episodes, budget=0):
    schedule = parse(text, BUDGET, "epsilon", budget)
    return [value_at(schedule, 10 * n, n) for n in episodes]


def test_lengths_may_be_counted_in_episodes():
    assert by_episodes("1->0@2000ep", [0, 500, 1000, 2000, 3000]) == [1.0, 0.75, 0.5, 0.0, 0.0]
    found = by_episodes("step:1->0.2@100epx4", [0, 24, 25, 50, 99, 100])
    assert found == pytest.approx([1.0, 1.0, 0.8, 0.6, 0.4, 0.2])
    found = by_episodes("exponential:1->0.01@200 episodes", [0, 100, 200, 900])
    assert found == pytest.approx([1.0, 0.1, 0.01, 0.01])
    assert by_episodes("1->0@1ep", [0, 1]) == [1.0, 0.0]  # one episode, not the whole budget


def test_steps_may_be_named():
    assert parse("1->0@300 steps", BUDGET, "lr") == parse("1->0@300", BUDGET, "lr")
    assert parse("1->0@1step", BUDGET, "lr").steps == 1.0


def test_the_classic_decay_multiplies_each_episode_and_stops_at_its_floor():
    epsilon, seen = 1.0, []
    for _ in range(800):
        seen.append(epsilon)
        epsilon = max(0.05, epsilon * 0.995)
    assert by_episodes("decay:1->0.05@0.995/ep", range(800)) == pytest.approx(seen, rel=1e-12)
    assert seen[-1] == 0.05
    schedule = parse("decay:1->0.05@0.995/ep", BUDGET, "epsilon")
    assert value_at(schedule, 10**9, 0) == 1.0  # steps do not count


def test_a_decay_of_steps_needs_no_floor():
    assert values("decay:0.5@0.5/step", [0, 1, 3]) == pytest.approx([0.5, 0.25, 0.0625])


def test_a_share_of_two_budgets_is_passed_with_the_first():
    """1,000 steps, 40 episodes: half of either is half of the way."""
    schedule = parse("1->0", BUDGET, "epsilon", 40)
    found = [value_at(schedule, *at) for at in ((0, 0), (500, 3), (3, 20), (999, 40), (1000, 0))]
    assert found == [1.0, 0.5, 0.5, 0.0, 0.0]
    assert value_at(parse("1->0@0.5", BUDGET, "epsilon", 40), 0, 10) == 0.5


def test_what_counts_episodes_says_so():
    assert counts_episodes(parse("1->0@9ep", BUDGET, "lr"))
    assert counts_episodes(parse("decay:1@0.9/ep", BUDGET, "lr"))
    assert counts_episodes(parse("1->0", BUDGET, "lr", 30))
    for text in ("0.3", "1->0", "1->0@20", "decay:1@0.9/step", "visits:1@0.6"):
        assert not counts_episodes(parse(text, BUDGET, "lr"))


def fill(schedule, found):
    for k in range(found.shape[0]):
        found[k] = value_at(schedule, 3 * k, k)


@pytest.mark.parametrize("text", ["0.3", "1->0.05", "exponential:1->0.05@90ep", "step:1->0@90epx7",
                                  "decay:1->0.05@0.97/ep", "decay:1->0.05@0.99/step",
                                  "visits:1->0.01@0.6", "horizon:0.999->0.9"])  # fmt: skip
def test_compiled_they_say_the_same(text):
    schedule, found = parse(text, BUDGET, "epsilon", 200), np.zeros(400)
    kernels = build("schedules", [fill], {})
    kernels.prepare("fill", schedule, found)
    kernels.fill(schedule, found)
    assert found.tolist() == [value_at(schedule, 3 * k, k) for k in range(400)]
    assert text == "0.3" or found[0] > found[50] > found[99]


ends = st.floats(1e-6, 1.0)
units = st.sampled_from(("", "ep", "steps"))


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(("linear", "exponential", "step")), start=ends, end=ends,
    length=st.floats(1e-3, 5e3), unit=units, stairs=st.integers(1, 40),
    budget=st.integers(1, 10**6), episodes=st.integers(0, 10**4), steps=st.integers(0, 2 * 10**6),
    played=st.integers(0, 2 * 10**4),
)  # fmt: skip
def test_ways_are_their_formulas(
    kind, start, end, length, unit, stairs, budget, episodes, steps, played
):
    text = f"{kind}:{start}->{end}@{length}{unit}" + (f"x{stairs}" if kind == "step" else "")
    if unit == "ep":
        passed = played / length
    elif unit == "steps" or length > 1.0:
        passed = steps / length
    else:  # a share of whichever budget is used up first
        passed = max(steps / budget, played / episodes if episodes else 0.0) / length
    share = min(1.0, passed)
    formula = {
        "linear": start * (1 - share) + end * share,
        "exponential": math.exp(math.log(start) * (1 - share) + math.log(end) * share),
        "step": start + (end - start) * math.floor(share * stairs) / stairs,
    }[kind]
    if kind == "step" and abs(share * stairs - round(share * stairs)) < 1e-9:
        return  # which side of a stair's edge a rounded time is on
    schedule = parse(text, budget, "lr", episodes)
    assert value_at(schedule, steps, played) == pytest.approx(formula, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    start=ends, floor=ends, factor=st.floats(0.5, 1.0), power=st.floats(0.05, 2.0),
    unit=st.sampled_from(("ep", "step")), steps=st.integers(0, 3000), played=st.integers(0, 300),
)  # fmt: skip
def test_decays_and_visits_are_their_formulas(start, floor, factor, power, unit, steps, played):
    start, floor = max(start, floor), min(start, floor)
    decay = parse(f"decay:{start}->{floor}@{factor}/{unit}", BUDGET, "lr")
    often = played if unit == "ep" else steps
    multiplied = start
    for _ in range(often):
        multiplied *= factor
    assert value_at(decay, steps, played) == pytest.approx(max(floor, multiplied), rel=1e-9)
    visits = parse(f"visits:{start}->{floor}@{power}", BUDGET, "lr")
    assert value_at(visits, steps, played) == pytest.approx(
        max(floor, start * (1 + steps) ** -power), rel=1e-9
    )


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text("0123456789.e->@x/:epstdcaynlir ", max_size=40))
def test_whatever_is_written_is_a_schedule_or_one_line(text):
    try:
        schedule = parse(text, BUDGET, "epsilon", 100)
    except UserError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.startswith("epsilon: ")
        return
    low, high = bounds(schedule)
    assert all(math.isfinite(number) for number in (low, high))
    for steps in (0, 1, BUDGET, 10**12):
        value = value_at(schedule, steps, steps // 10)
        assert min(low, high) - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high)


def test_visits_fall_by_the_power_down_to_the_floor():
    assert values("visits:1", [0, 1, 3]) == [1.0, 0.5, 0.25]
    assert values("visits:1@0.5", [0, 3, 99]) == pytest.approx([1.0, 0.5, 0.1])
    assert values("visits:0.5->0.1@1", [0, 1, 3, 4, 999]) == pytest.approx(
        [0.5, 0.25, 0.125, 0.1, 0.1]
    )
    assert parse("visits:1@0.6", 1, "lr").kind == VISITS


@pytest.mark.parametrize("text", ["1->0.05", "exponential:1->0.05@0.3", "step:1->0.05@0.5x7", "0.3",
                                  "visits:1->0.05@0.6", "0.1->0.9@20", "1->0.05@40ep",
                                  "decay:0.9->0.1@0.995/ep", "decay:1@0.99/step", "horizon:0.5->0.99"])  # fmt: skip
def test_no_value_leaves_the_bounds(text):
    schedule = parse(text, BUDGET, "lr")
    low, high = bounds(schedule)
    seen = [value_at(schedule, t, t // 7) for t in [*range(2 * BUDGET), 10**12]]
    assert low - 1e-12 <= min(seen)
    assert max(seen) <= high + 1e-12
    assert seen[0] in (low, high)


def test_constants_are_made_from_numbers():
    assert value_at(constant(1), 5, 6) == 1.0
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
        ("horizon:0.9->1", "needs both ends below 1"),
        ("step:1->0.1@100x0", "stairs are counted in whole numbers"),
        ("step:1->0.1@100x2.5", "stairs are counted in whole numbers"),
        ("step:1->0.1@100xfew", "'few' is no number"),
        ("visits:1@-1", "power of the visits must be above 0"),
        ("visits:1->0.1@0", "power of the visits must be above 0"),
        ("visits:", "'' is no number"),
        ("1->0.1@0ep", "cannot be 0 long"),
        ("1->0.1@manyep", "'many' is no number"),
        ("1-", r"in quotes: '1->0.05@0.3'"),
        ("decay:1->0.05", "a decay says its factor and how often"),
        ("decay:1->0.05@0.995", "a decay says its factor and how often"),
        ("decay:1->0.05@0.995/day", "a decay says its factor and how often"),
        ("decay:1->0.05@1.1/ep", "factor of a decay must be above 0 and at most 1, not 1.1"),
        ("decay:1->0.05@0/ep", "factor of a decay must be above 0"),
        ("decay:0.01->0.05@0.9/ep", "0.01 is below its floor 0.05"),
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
