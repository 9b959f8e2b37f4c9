"""Stages and the clock: whose time counts, and what is left out."""

from __future__ import annotations

import time

import pytest

from qlearn.runs.stages import Clock, Stages


class Learner:
    def __init__(self, **own):
        self.own = own
        self.compile_seconds = 0.0

    def stages(self):
        return self.own


def spent(stages, **seconds):
    for name, amount in seconds.items():
        stages.timed(name, lambda: None)
        stages._sums[name][0] = amount


def begun(**own):
    """Stages of a learner that has spent this since."""
    learner = Learner()
    stages = Stages(learner)
    learner.own = own
    return stages


def shares(stages):
    return {row["name"]: round(row["share"], 3) for row in stages.report()}


def test_a_learner_without_stages_of_its_own_learns():
    stages = Stages(object())
    spent(stages, learn=3.0, eval=1.0)
    assert shares(stages) == {"learn": 0.75, "eval": 0.25}


def test_the_learners_own_stand_in_place_of_learn():
    stages = begun(act=(1.0, 10), env=(2.0, 10))
    spent(stages, learn=3.001, eval=1.0)
    assert shares(stages) == {"act": 0.25, "env": 0.5, "eval": 0.25}
    assert [row["calls"] for row in stages.report()] == [10, 10, 1]


def test_what_they_leave_out_is_other():
    stages = begun(act=(1.0, 10), env=(2.0, 10))
    spent(stages, learn=4.0)
    assert shares(stages) == {"act": 0.25, "env": 0.5, "other": 0.25}


def test_before_the_first_step_there_is_nothing():
    assert Stages(Learner(act=(0.0, 0))).report() == []


@pytest.mark.parametrize("known", [(0.0, 0), (1.0, 5)], ids=["begins at 0", "remembers"])
def test_earlier_processes_count_once(known):
    """Whether the learner's own sums are saved with it or not."""
    before = begun(act=(1.0, 5), env=(1.0, 5))
    spent(before, learn=3.0, eval=1.0)
    learner = Learner()
    after = Stages(learner)
    learner.own = {"act": known, "env": known}
    after.restore(before.sums())
    learner.own = {"act": (known[0] + 2.0, known[1] + 7), "env": known}
    spent(after, learn=2.0, log=4.0)
    assert after.sums() == {
        "act": [3.0, 12], "env": [1.0, 5], "other": [1.0, 1], "eval": [1.0, 1], "log": [4.0, 1],
    }  # fmt: skip
    assert after.sums() == after.sums()  # asking adds nothing


def test_what_fails_has_taken_its_time():
    stages = Stages(object())
    with pytest.raises(ZeroDivisionError):
        stages.timed("learn", lambda: 1 / 0)
    assert stages.report()[0]["calls"] == 1


def test_the_clock_leaves_compiling_out_and_stops():
    learner = Learner()
    learner.compile_seconds = 99.0  # before the first step
    clock = Clock(learner)
    assert clock.seconds == 0.0
    clock.restore(10.0)
    clock.start()
    time.sleep(0.05)
    learner.compile_seconds += 0.04
    clock.stop()
    stopped = clock.seconds
    assert 10.01 <= stopped < 10.05 + 0.5
    time.sleep(0.02)
    assert clock.seconds == stopped
