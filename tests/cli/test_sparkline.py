"""Curves in one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qlearn.cli.sparkline import BLOCKS, PLAIN, sparkline


def test_from_the_lowest_to_the_highest():
    assert sparkline(range(8), 8) == BLOCKS
    assert sparkline([7, 0, 7], 10) == "█▁█"
    assert sparkline([0, 1], 2, PLAIN) == "_@"


def test_too_many_are_means():
    assert sparkline([0, 0, 7, 7], 2) == "▁█"
    assert sparkline([0] * 50 + [1] * 50, 10) == "▁" * 5 + "█" * 5


def test_all_alike_is_a_level_line():
    assert sparkline([3, 3, 3], 5) == "▅▅▅"


def test_what_is_no_number_is_left_out():
    assert sparkline([0, float("nan"), float("inf"), 7], 5) == "▁█"
    assert sparkline([], 5) == sparkline([float("nan")], 5) == sparkline([1, 2], 0) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 80))
def test_never_wider_than_asked_and_every_value_counts(values, width):
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(BLOCKS)
    assert BLOCKS[0] in line or len(set(line)) == 1
