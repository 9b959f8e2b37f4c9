"""The mean return since the last line: the same bits for any chunks, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.runs import returns
from qlearn.runs.returns import Returns


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(returns, "BLOCK", 64)


def test_no_returns_have_no_mean():
    assert Returns().mean() is None


def test_few_are_their_mean():
    values = np.random.default_rng(0).normal(size=63)
    found = Returns()
    found.add(values)
    assert found.mean() == float(values.mean())
    found.forget()
    assert found.mean() is None


def test_any_chunks_have_the_same_bits_and_so_has_a_checkpoint_between():
    chance = np.random.default_rng(1)
    values = chance.normal(size=1000) * 1e6
    whole = Returns()
    whole.add(values)
    assert whole.mean() == pytest.approx(values.mean())
    assert whole.newest.size < 64
    for _ in range(20):
        pieces = Returns()
        for part in np.split(values, np.sort(chance.integers(0, 1001, 30))):
            pieces.add(part)
            if chance.random() < 0.2:
                saved = pieces.newest.copy(), pieces.before
                pieces = Returns()
                pieces.restore(*saved)
        assert pieces.mean() == whole.mean()
        assert pieces.before[1] == 960
