"""Who is said to have won, and when nobody is."""

from __future__ import annotations

import pytest

from qlearn.compare.verdict import verdict

SLOW, FAST = [2.0, 2.1, 1.9, 2.0, 2.2], [1.0, 1.05, 0.95, 1.0, 1.1]
LEVEL = [2.1, 2.0, 2.0, 1.9, 2.2]


def said(seconds, scores=None, **how):
    scores = scores or {}
    every = {name: scores.get(name, [None] * len(of)) for name, of in seconds.items()}
    found = verdict(seconds, every, **how)
    return found.winner, found.words


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")], ids=["first", "last"])
def test_a_clear_difference_has_a_winner_wherever_it_stands(names):
    times = {"a": SLOW, "b": FAST}
    winner, words = said({name: times[name] for name in names})
    assert winner == "b"
    assert words == "b is 2.00x as fast as a (2.00 to 2.00)"


def test_while_the_interval_includes_1_nobody_has_won():
    seconds = {"a": [1.0, 1.06, 1.0, 0.97, 1.0], "b": [1.0] * 5}
    assert said(seconds) == (None, "no winner: 0.97 to 1.06 includes 1")


def test_the_interval_is_the_one_of_the_rows_whoever_was_faster():
    seconds = {"a": [1.0] * 5, "b": [1.0, 1.06, 1.01, 0.97, 1.01]}
    assert said(seconds) == (None, "no winner: 0.94 to 1.03 includes 1")


def test_what_takes_the_same_time_has_no_winner():
    assert said({"a": [1.0] * 5, "b": [1.0] * 5}) == (None, "no winner: 1.00 to 1.00 includes 1")


def test_a_small_but_certain_difference_is_not_rounded_to_none():
    winner, words = said({"a": [1.003] * 5, "b": [1.0] * 5})
    assert (winner, words) == ("b", "b is 1.003x as fast as a (1.003 to 1.003)")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_turns_tell_nothing(count):
    winner, words = said({"a": SLOW[:count], "b": FAST[:count]})
    assert winner is None
    assert words.startswith(f"no winner: {count} turn")
    assert words.endswith("too few to tell; --repeats 5 at least")


def test_alone_nobody_wins():
    assert said({"a": SLOW}) == (None, "")


def test_of_several_the_fastest_must_be_faster_than_each():
    assert said({"a": SLOW, "b": FAST, "c": LEVEL})[0] == "b"
    winner, words = said({"a": SLOW, "b": LEVEL, "c": [9.0] * 5})
    assert winner is None
    assert words.startswith("no winner: b against a, ")
    assert words.endswith(" includes 1")


def test_scripts_are_called_without_their_folders():
    winner, words = said({"one/a.py 5": SLOW, "two/b.py 5": FAST})
    assert winner == "two/b.py 5"
    assert words.startswith("b.py 5 is 2.00x as fast as a.py 5 ")
    assert said({"one/a.py": SLOW, "two/a.py": FAST})[1].startswith("two/a.py is 2.00x as fast")


# Faster is not enough.
SCORES = {"a": [5.0, 5.1, 4.9, 5.0, 5.2], "b": [3.0, 3.1, 3.0, 2.9, 3.1]}


def test_faster_but_worse_does_not_win():
    winner, words = said({"a": SLOW, "b": FAST}, SCORES)
    assert winner is None
    assert words == (
        "no winner: b is 2.00x as fast as a (2.00 to 2.00), but scores worse: 3 against 5"
    )


def test_of_a_loss_less_is_better():
    winner, words = said({"a": SLOW, "b": FAST}, SCORES, lower_is_better=True)
    assert winner == "b"
    assert words.endswith("; scores better: 3 against 5")


def test_scores_that_differ_by_chance_take_no_win_away():
    scores = {"a": [5.0, 5.3, 4.8, 5.0, 5.2], "b": [4.9, 5.4, 4.8, 5.1, 4.9]}
    winner, words = said({"a": SLOW, "b": FAST}, scores)
    assert winner == "b"
    assert words.endswith("; scores about the same: 4.9 against 5")


def test_the_same_scores_and_none_are_not_worth_a_word():
    for scores in ({"a": [1.0] * 5, "b": [1.0] * 5}, {"a": [1.0] * 5}):
        assert said({"a": SLOW, "b": FAST}, scores)[1].endswith("(2.00 to 2.00)")


def test_of_several_the_fastest_scores_no_worse_than_each():
    scores = {**SCORES, "c": SCORES["b"]}
    winner, words = said({"a": SLOW, "b": FAST, "c": LEVEL}, scores)
    assert winner is None
    assert words.endswith("but scores worse than a: 3 against 5")
