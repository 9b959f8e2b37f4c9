"""A run that goes on for ever holds no more than it did: a small twin of benchmarks/long_runs.py."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import qlearn
from qlearn.runs import checkpoint
from qlearn.runs.config import RunConfig
from qlearn.runs.driver import save_interval
from qlearn.runs.watchers import Watcher

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import long_runs

FOLDERS = Path("/proc/self/fd"), Path("/proc/self/task")


class Counts(Watcher):
    """What there is at every tenth line: objects, descriptors, threads, returns that are kept."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []
        self.lines = 0

    def logged(self, training, row):
        self.lines += 1
        if self.lines % 10:
            return
        gc.collect()
        descriptors = len(os.listdir(FOLDERS[0])) if FOLDERS[0].exists() else 0
        kept = training.returns.newest.size
        self.seen.append((len(gc.get_objects()), descriptors, threading.active_count(), kept))


def test_nothing_gathers_from_line_to_line(tmp_path):
    counts = Counts()
    qlearn.train("grid", engine="dict", steps=4000, eval_every=20, eval_max_steps=20,
                 checkpoint_seconds=0.02, out=tmp_path / "run", watchers=[counts])  # fmt: skip
    objects, *others = zip(*counts.seen[3:], strict=True)
    assert len(objects) > 15
    assert max(objects) - objects[0] < 30  # one a line would be 160
    assert [set(column) for column in others] == [{column[0]} for column in others]


def test_a_resumed_run_keeps_no_second_copy(tmp_path, monkeypatch):
    run = qlearn.train("grid", engine="dict", steps=300, eval_episodes=2, out=tmp_path / "run")
    loaded, load = [], checkpoint.load

    def noted(path):
        arrays, about = load(path)
        loaded.extend(map(weakref.ref, arrays.values()))
        return arrays, about

    class Looks(Watcher):
        left = None

        def logged(self, training, row):
            if self.left is None:
                gc.collect()
                self.left = [ref() for ref in loaded if ref() is not None]

    looks = Looks()
    monkeypatch.setattr(checkpoint, "load", noted)
    qlearn.train(resume=run.path, steps=600, watchers=[looks])
    assert len(loaded) > 3
    assert looks.left == []


def test_saving_takes_its_share_of_the_time_unless_an_interval_was_set():
    usual = RunConfig().checkpoint_seconds
    assert save_interval(usual, 0.0) == save_interval(usual, 1.0) == usual
    assert save_interval(usual, 5.0) == pytest.approx(250.0)
    assert save_interval(1.0, 5.0) == 1.0


def test_a_slope_and_how_sure_it_is():
    chance = np.random.default_rng(0)
    minutes = np.linspace(0.0, 30.0, 900)
    level = long_runs.slope(minutes, np.full(900, 185.5))
    assert level == (185.5, 0.0, 0.0)
    covered = {"noise": 0, "drift": 0}
    for _ in range(200):
        noise = chance.normal(size=900)
        found = long_runs.slope(minutes, 100.0 + 0.5 * minutes + noise)
        covered["noise"] += abs(found.slope - 0.5) < 2.0 * found.error
        drift = np.convolve(noise, 0.9 ** np.arange(50))[:900]  # each like the one before
        found = long_runs.slope(minutes, drift)
        covered["drift"] += abs(found.slope) < 2.0 * found.error
    assert covered["noise"] > 180
    assert covered["drift"] > 180
