"""Frames without their zeros: the same bits come back, in fewer bytes; what lies is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qlearn
from qlearn.errors import UserError
from qlearn.replay.state import FRAMES
from qlearn.runs import checkpoint, sparse, tensors
from qlearn.runs.exchange import export_csv
from qlearn.runs.files import Damaged

KINDS = ("float32", "float64", "float16", "uint8", "int64")
OTHERS = {"params": np.arange(5.0), "returns": np.zeros(3)}


def frames_of(filled, places=200, width=30, kind="float32"):
    """Of some numbers, a share of which are not zero."""
    chance = np.random.default_rng(0)
    bits = chance.integers(1, 256, (places, width * np.dtype(kind).itemsize), np.uint8).view(kind)
    return np.where(chance.random(bits.shape) < filled, bits, 0).astype(kind)


def saved(path, frames):
    checkpoint.save(path / "last", OTHERS | {FRAMES: frames}, {})
    return tensors.read(path / "last.safetensors")[0]


def test_the_same_bits_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse, "PIECE", 64)

    @settings(max_examples=60, deadline=None)
    @given(
        kind=st.sampled_from(KINDS),
        filled=st.sampled_from((0.0, 0.05, 0.3, 0.6, 1.0)),
        places=st.integers(1, 40),
        width=st.integers(1, 9),
    )
    def check(kind, filled, places, width):
        frames = frames_of(filled, places, width, kind)
        if frames.dtype.kind == "f":
            frames[0, :1], frames[-1, -1:] = -0.0, np.nan
        stored = saved(tmp_path, frames)
        arrays, about = checkpoint.load(tmp_path / "last")
        assert arrays.keys() == about["arrays"].keys() == {*OTHERS, FRAMES}
        found = arrays[FRAMES]
        assert (found.dtype, found.shape) == (frames.dtype, frames.shape)
        assert found.tobytes() == frames.tobytes()
        assert checkpoint.load(tmp_path / "last", frames=False)[0].keys() == OTHERS.keys()
        seen.add(sparse.PLACES in stored)

    seen: set[bool] = set()
    check()
    assert seen == {True, False}


@pytest.mark.parametrize("filled", [0.02, 0.1, 0.3])
def test_as_many_bytes_as_there_are_numbers_that_are_not_zero(tmp_path, filled):
    frames = frames_of(filled, 4000)
    saved(tmp_path, frames)
    bytes_of_frames = frames.size / 8 + 4 * np.count_nonzero(frames)
    assert (tmp_path / "last.safetensors").stat().st_size - bytes_of_frames < 1000
    assert bytes_of_frames < frames.nbytes / 2


def test_what_is_full_is_written_as_it_is(tmp_path):
    frames = frames_of(0.6)
    np.testing.assert_array_equal(saved(tmp_path, frames)[FRAMES], frames)


def test_no_piece_is_held_longer_than_it_is_written(monkeypatch):
    """Saving takes no memory that grows with the replay."""
    monkeypatch.setattr(sparse, "PIECE", 512)
    frames = frames_of(0.2, 1000)
    sizes = [len(part) for part in tensors.parts_of(sparse.without_zeros({FRAMES: frames}))]
    assert max(sizes) <= 512 * frames.itemsize
    assert sum(sizes) > 100 * 64


def test_boards_are_saved_without_zeros_and_judged_without_frames(tmp_path, monkeypatch):
    run = qlearn.train(
        "cartpole", algo="dqn", engine="fused", steps=300, replay=4000, hidden="8", batch=8,
        start=50, envs=4, eval_episodes=2, out=tmp_path / "run",
    )  # fmt: skip
    last = run.path / "checkpoints" / "last"
    assert sparse.PLACES in tensors.read(last.with_suffix(".safetensors"))[0]
    meant = qlearn.load(run.path).evaluate(3).mean

    def refuses(*_):
        raise AssertionError("the frames were put together")

    with monkeypatch.context() as patched:
        patched.setattr(sparse, "with_zeros", refuses)
        again = qlearn.load(run.path)
        assert again.evaluate(3).mean == meant
        export_csv(again, tmp_path / "out.csv")
        with pytest.raises(AssertionError, match="put together"):
            qlearn.train(resume=run.path, steps=400)


LIES = {
    "fewer values": lambda stored: {sparse.VALUES: stored[sparse.VALUES][:-1]},
    "more values": lambda stored: {sparse.VALUES: np.repeat(stored[sparse.VALUES], 2)},
    "values in rows": lambda stored: {sparse.VALUES: stored[sparse.VALUES][None]},
    "fewer places": lambda stored: {sparse.PLACES: stored[sparse.PLACES][:-1]},
    "places of another kind": lambda stored: {sparse.PLACES: stored[sparse.PLACES].view(np.int8)},
    "a petabyte": lambda stored: {sparse.SHAPE: np.array([2**40, 300])},
    "nothing of much": lambda stored: {sparse.SHAPE: np.array([0, 2**61])},
    "negative": lambda stored: {sparse.SHAPE: np.array([-200, -30])},
    "no shape": lambda stored: {sparse.SHAPE: np.zeros(0, np.int64)},
    "shape of fractions": lambda stored: {sparse.SHAPE: np.array([200.0, 30.0])},
    "shape in rows": lambda stored: {sparse.SHAPE: np.array([[200, 30]])},
    "too many dimensions": lambda stored: {sparse.SHAPE: np.array([6000] + [1] * 64)},
}


@pytest.mark.parametrize("lie", LIES)
def test_frames_that_lie_are_refused(tmp_path, lie):
    """By somebody who has made the checksums fit."""
    stored = saved(tmp_path, frames_of(0.1))
    checkpoint.save(tmp_path / "last", stored | LIES[lie](stored), {})
    with pytest.raises(Damaged, match=r"last\.safetensors is damaged: 'replay\.frames'"):
        checkpoint.load(tmp_path / "last")


@pytest.mark.parametrize("name", [sparse.VALUES, sparse.SHAPE])
def test_a_missing_part_is_refused(tmp_path, name):
    stored = saved(tmp_path, frames_of(0.1))
    del stored[name]
    checkpoint.save(tmp_path / "last", stored, {})
    with pytest.raises(Damaged, match="is damaged"):
        checkpoint.load(tmp_path / "last")


def test_frames_larger_than_memory_are_not_put_together(tmp_path, monkeypatch):
    saved(tmp_path, frames_of(0.01, 4000))
    monkeypatch.setattr("qlearn.memory.available_megabytes", lambda: 0.1)
    with pytest.raises(UserError, match=r"the replay in .*last\.safetensors takes .* MB of memory"):
        checkpoint.load(tmp_path / "last")
    assert sorted(os.listdir(tmp_path)) == ["last.json", "last.safetensors"]
