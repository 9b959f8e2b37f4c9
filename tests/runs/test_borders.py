"""Borders: what is due after how many steps and episodes."""

from __future__ import annotations

from itertools import pairwise

from qlearn.runs.borders import Border


def times(border, ways):
    """At which (steps, episodes) it was done, one look after the other."""
    done = []
    for at in ways:
        if border.due(*at):
            border.passed(*at)
            done.append(at)
    return done


def test_by_steps():
    found = times(Border(10), [(k, 0) for k in range(35)])
    assert found == [(10, 0), (20, 0), (30, 0)]
    assert times(Border(10), [(9, 5), (13, 6), (22, 7), (23, 8)]) == [(13, 6), (23, 8)]


def test_by_episodes():
    assert times(Border(0, 2), [(9 * k, k) for k in range(6)]) == [(18, 2), (36, 4)]


def test_by_whichever_is_first():
    border = Border(100, 3)
    assert times(border, [(50, 3), (149, 4), (150, 5)]) == [(50, 3), (150, 5)]


def test_nothing_is_never_due():
    assert times(Border(0), [(k, k) for k in range(50)]) == []
    assert Border(0).next_steps(9) == 0


def test_not_before_so_many_steps():
    border = Border(0, 2, least=100)
    assert border.next_steps(0) == 0  # steps alone bring nothing yet
    assert not border.due(60, 5)
    assert border.next_steps(5) == 100
    assert times(border, [(99, 7), (100, 8), (150, 20), (200, 21)]) == [(100, 8), (200, 21)]
    assert times(Border(5, least=100), [(5, 0), (99, 0), (100, 0)]) == [(100, 0)]


def test_what_is_never_solved_is_judged_less_and_less_often():
    found = times(Border(10, least=5, least_share=0.1), [(k, 0) for k in range(20_001)])
    steps = [at for at, _ in found]
    assert steps[:11] == [*range(10, 101, 10), 110]
    assert steps[-1] > 15_000
    assert len(steps) < 80
    assert all(later - at >= 0.1 * at - 1 for at, later in pairwise(steps))
    by_episodes = Border(0, 1, least_share=0.1)
    by_episodes.passed(1000, 3)
    assert not by_episodes.due(1099, 9)
    assert by_episodes.due(1100, 9)


def test_what_is_saved_goes_on():
    one, other = Border(10, 3, least=4), Border(10, 3, least=4)
    one.passed(7, 2)
    other.set_state(one.get_state())
    assert other.get_state() == one.get_state() == [17, 5, 11]
    assert other.due(11, 5)
    assert not other.due(11, 4)
