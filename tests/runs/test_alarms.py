"""What a training warns of, row by row."""

from __future__ import annotations

import pytest

from qlearn.runs.alarms import Alarms


def said_of(rows):
    alarms = Alarms()
    return [(k, kind, text) for k, row in enumerate(rows) for kind, text in alarms.saw(row)]


def speeds(values, each=1.0):
    return [
        {"env_steps": k, "machine": {"seconds": k * each, "steps_per_second": value}}
        for k, value in enumerate(values)
    ]


def test_slower_than_it_was_is_said_every_ten_rows():
    rows = speeds([100.0] * 30 + [65.0] * 35)
    said = said_of(rows)
    assert [k for k, _, _ in said] == [40, 50, 60]
    assert said[0][1:] == ("slower", "slower than it was: 65 steps/s, and 100 before")


@pytest.mark.parametrize("values", [[100.0] * 30 + [75.0] * 40, [100.0, 50.0] * 40, [None] * 60])
def test_a_little_slower_or_now_and_then_is_nothing(values):
    assert said_of(speeds(values)) == []


def test_what_took_no_time_says_nothing_of_a_speed():
    assert said_of(speeds([100.0] * 30 + [10.0] * 40, each=0.1)) == []


def judged(means, std=1.0):
    return [{"eval": {"mean": mean, "std": std, "episodes": 20}} for mean in means]


def test_three_bad_evaluations_in_a_row_are_a_collapse():
    said = said_of(judged([10, 200, 90, 150, 90, 90, 90, 90]))
    assert [k for k, _, _ in said] == [6]
    assert "3 greedy evaluations in a row far below the best, 200" in said[0][2]
    assert [k for k, *_ in said_of(judged([-200, -10, -190, -180, -150]))] == [4]


@pytest.mark.parametrize(
    "means", [[10, 200, 120, 120, 120], [9.4, 9.6, 9.3, 9.3, 9.3], [5, 4, 6], [-7, -6, -7, -7, -7]]
)
def test_less_than_that_is_none(means):
    assert said_of(judged(means, std=1.0)) == []


def test_an_action_gap_that_all_but_vanishes_is_one_too():
    rows = [{"action_gap": gap} for gap in [1.0] * 30 + [0.2, 0.05, 0.05] + [1.0] * 5]
    said = said_of(rows)
    assert [(k, kind) for k, kind, _ in said] == [(31, "collapsing")]
    assert said_of([{"action_gap": float("nan")}] * 50) == []


def test_event_rows_are_not_seen():
    assert said_of([{"event": "set", "eval": {}, "machine": {}}] * 50) == []
