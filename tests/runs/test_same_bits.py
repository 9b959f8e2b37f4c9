"""The same seed, the same bits: for any number of threads, and for chunks of any size."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import qlearn
from qlearn.runs import driver

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from same_bits import chunks, differences

NETWORK = {"env": "cartpole", "envs": 8, "hidden": "16", "eval_episodes": 5}
CASES = {
    "table": {"env": "grid", "engine": "numba", "steps": 700, "eval_every": 150},
    "pqn": {**NETWORK, "algo": "pqn", "rollout": 8, "minibatch": 32, "steps": 1500,
            "eval_every": 200},
    "dqn": {**NETWORK, "algo": "dqn", "start": 100, "every": "16", "batch": 16, "replay": 800,
            "prioritized": True, "steps": 1000, "eval_every": 150},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_threads_and_chunks_change_no_bit(case, tmp_path):
    assert differences(tmp_path, CASES[case], seed=2**63 - 1) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_chunks_are_as_long_as_is_said(tmp_path, monkeypatch):
    """Else nothing above would say anything."""
    asked = []
    train = driver.Training._train_a_chunk

    def notes(self):
        asked.append(self._chunk)
        train(self)

    monkeypatch.setattr(driver.Training, "_train_a_chunk", notes)
    for size in ("of one step", "by the clock"):
        asked.clear()
        with chunks(size):
            qlearn.train("grid", engine="numba", steps=300, out=tmp_path / size)
        assert (set(asked) == {1}) == (size == "of one step")
