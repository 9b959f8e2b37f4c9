"""Watchers: told of everything; one that fails is left out."""

from __future__ import annotations

import pytest

import qlearn
from qlearn.runs.watchers import Watcher


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))


class Diary(Watcher):
    name = "the diary"

    def __init__(self, fails="nothing"):
        self.fails, self.pages = fails, []

    def _write(self, what):
        self.pages.append(what)
        if what == self.fails:
            raise OSError("no ink")

    def begins(self, training):
        self._write("begins")

    def wants(self, now):
        return True

    def looks(self, training):
        assert 0 < training.share <= 1
        self._write("looks")

    def logged(self, training, row):
        assert row["env_steps"] == training.env_steps
        self._write("logged")

    def judged(self, training, row):
        assert training.best_mean >= row["eval"]["mean"]
        self._write("judged")

    def ends(self, training):
        self._write("ends")


HOW = {"engine": "dict", "steps": 1000, "eval_every": 400}


def test_they_are_told_of_everything():
    diary = Diary()
    report = qlearn.train("grid", watchers=[diary], **HOW).report
    assert (diary.pages[0], diary.pages[-1]) == ("begins", "ends")
    assert diary.pages.count("judged") == 3
    assert diary.pages.count("logged") == 200
    assert diary.pages.count("looks") >= 200
    view = next(stage for stage in report["stages"] if stage["name"] == "view")
    assert view["calls"] == diary.pages.count("looks")


@pytest.mark.parametrize("when", ["begins", "looks", "logged", "judged", "ends"])
def test_one_that_fails_is_told_of_and_left_out(when):
    said, diary, other = [], Diary(when), Diary()
    run = qlearn.train("grid", watchers=[diary, other], say=said.append, **HOW)
    assert run.status == "done"
    assert said == ["the diary has stopped (no ink); the training goes on"]
    assert diary.pages.count(when) == 1
    assert diary.pages[-1] == when
    assert other.pages[-1] == "ends"


def test_a_training_that_fails_ends_for_them_too():
    diary = Diary()
    with pytest.raises(qlearn.UserError):
        qlearn.train("grid", watchers=[diary], epsilon="1-", **HOW)
    assert diary.pages == []
