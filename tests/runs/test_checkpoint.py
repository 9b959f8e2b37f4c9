"""Named arrays on disk: whole or not there, never silently another's, never lost half way."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlearn.errors import UserError
from qlearn.runs import checkpoint, files, tensors

ARRAYS = {
    "table": np.arange(12.0).reshape(3, 4),
    "counts": np.array([3, -1, 2**62]),
    "bytes": np.arange(7, dtype=np.uint8),
    "nothing": np.zeros((0, 4)),
    "turned": np.arange(6.0).reshape(2, 3).T,
}


def assert_holds(path, arrays=ARRAYS):
    found, _ = checkpoint.load(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_what_was_saved_comes_back(tmp_path):
    assert not checkpoint.exists(tmp_path / "last")
    checkpoint.save(tmp_path / "last", ARRAYS, {"env_steps": 17, "best": None})
    assert checkpoint.exists(tmp_path / "last")
    assert_holds(tmp_path / "last")
    assert checkpoint.load(tmp_path / "last")[1]["env_steps"] == 17
    assert sorted(os.listdir(tmp_path)) == ["last.json", "last.safetensors"]


def test_anyone_can_read_it(tmp_path):
    from safetensors.numpy import load_file

    checkpoint.save(tmp_path / "last", ARRAYS, {})
    np.testing.assert_array_equal(
        load_file(tmp_path / "last.safetensors")["table"], ARRAYS["table"]
    )


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def test_whatever_arrays_were_saved_come_back(tmp_path):
    from safetensors.numpy import load_file

    @settings(max_examples=40, deadline=None)
    @given(
        kinds=st.dictionaries(
            names.filter(lambda name: name != "__metadata__"),
            st.tuples(st.sampled_from(sorted(tensors.DTYPES)), shapes), max_size=6,
        ),
        seed=st.integers(0, 2**32),
    )  # fmt: skip
    def check(kinds, seed):
        chance, arrays = np.random.default_rng(seed), {}
        for name, (dtype, shape) in kinds.items():
            data = chance.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
            bits = np.frombuffer(data, np.uint8 if dtype == "bool" else dtype).reshape(shape)
            arrays[name] = bits % 2 == 1 if dtype == "bool" else bits
        checkpoint.save(tmp_path / "last", arrays, {"env_steps": seed})
        found, about = checkpoint.load(tmp_path / "last")
        assert about["env_steps"] == seed
        for theirs in (found, load_file(tmp_path / "last.safetensors")):
            assert theirs.keys() == arrays.keys()
            for name, array in arrays.items():
                assert (theirs[name].dtype, theirs[name].shape) == (array.dtype, array.shape)
                assert theirs[name].tobytes() == array.tobytes()

    check()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("keep", [0, 1, 3])
@pytest.mark.parametrize("at", range(1, 14))
def test_killed_anywhere_in_a_save_the_one_before_is_there(tmp_path, monkeypatch, at, keep):
    """Every rename and removal is a moment; after it the process is gone."""
    path = tmp_path / "last"
    older, newer, newest = ({name: array + k for name, array in ARRAYS.items()} for k in (3, 1, 2))
    for arrays in (older, older, ARRAYS):
        checkpoint.save(path, arrays, {}, keep)
    moments = iter(range(1, 100))

    def dies(real):
        def done(*arguments, **how):
            if next(moments) == at:
                raise Killed
            return real(*arguments, **how)

        return done

    with monkeypatch.context() as patched:
        for name in ("replace", "fsync", "unlink"):
            patched.setattr(os, name, dies(getattr(os, name)))
        try:
            checkpoint.save(path, newer, {}, keep)
            finished = True
        except Killed:
            finished = False
    if finished:
        assert next(moments) <= at
        assert_holds(path, newer)
    else:
        found, _ = checkpoint.load(path)
        assert_holds(path, newer if found["table"][0, 1] == 2.0 else ARRAYS)
    checkpoint.save(path, newer, {}, keep)
    assert_holds(path, newer)
    checkpoint.save(path, newest, {}, keep)
    assert_holds(path, newest)
    if keep:
        assert_holds(tmp_path / "previous", newer)
    assert len(os.listdir(tmp_path)) == 2 * (1 + keep)


def test_as_many_as_are_asked_for_stay(tmp_path):
    def holds():
        return {
            file.stem: int(checkpoint.load(file.with_suffix(""))[0]["x"][0])
            for file in tmp_path.glob("*.json")
        }

    for k in range(6):
        checkpoint.save(tmp_path / "last", {"x": np.array([k])}, {"env_steps": k}, keep=3)
    assert holds() == {"last": 5, "previous": 4, "previous-2": 3, "previous-3": 2}
    checkpoint.save(tmp_path / "last", {"x": np.array([6])}, {})
    assert holds() == {"last": 6, "previous": 5}
    flip(tmp_path / "last.safetensors")
    older, arrays, _ = checkpoint.load_whole_before(tmp_path / "last")
    assert older.name == "previous"
    assert arrays["x"] == [5]
    (tmp_path / "last.json").unlink()
    assert checkpoint.exists(tmp_path / "last")
    assert not checkpoint.is_whole(tmp_path / "last")
    checkpoint.save(tmp_path / "last", {"x": np.array([7])}, {})
    assert holds() == {"last": 7, "previous": 5}  # what was damaged does not push it out


def test_what_the_disk_has_not_kept_replaces_nothing(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "last", ARRAYS, {})
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(checkpoint.tensors, "digest_of", lambda path: "another")
    with pytest.raises(UserError, match=r"the disk did not keep what was written to .*last"):
        checkpoint.save(tmp_path / "last", {"x": np.ones(3)}, {})
    assert_holds(tmp_path / "last")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, failing):
    checkpoint.save(tmp_path / "last", ARRAYS, {})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files.os, failing, full)
        with pytest.raises((UserError, OSError)) as caught:
            checkpoint.save(tmp_path / "last", {"table": np.ones(3)}, {})
    if caught.type is UserError:
        assert "the disk is full" in str(caught.value)
    assert_holds(tmp_path / "last")
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]  # no drafts


def truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def edited(**changes):
    """By somebody who seals it again."""

    def edit(path):
        content = json.loads(path.read_text()) | changes
        content.pop(files.SEAL)
        path.write_text(json.dumps(files.sealed(content)))

    return edit


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("last.safetensors", truncate, r"is damaged: it has [\d,]+ bytes, its header [\d,]+"),
        ("last.safetensors", flip, "is damaged: its checksum does not match last.json"),
        ("last.safetensors", lambda path: path.unlink(), "cannot read .*last.safetensors: no such"),
        ("last.json", truncate, "last.json is damaged"),
        ("last.json", lambda path: path.write_text("[]"), "describes no checkpoint"),
        ("last.json", lambda path: path.write_text("{}"), "describes no checkpoint"),
        ("last.json", lambda path: path.write_bytes(b"\xff\xfe\x00"), "last.json is damaged"),
        ("last.json", edited(format=99), r"newer qlearn \(format 99, .*pip install --upgrade"),
        ("last.json", edited(format="two"), "describes no checkpoint"),
        ("last.json", edited(sha256=None), "checksum does not match"),
    ],
)
def test_damage_is_one_clear_line(tmp_path, name, damage, message):
    checkpoint.save(tmp_path / "last", ARRAYS, {})
    damage(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        checkpoint.load(tmp_path / "last")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_arrays_are_said_so(tmp_path):
    import hashlib

    checkpoint.save(tmp_path / "last", ARRAYS, {})
    (tmp_path / "last.safetensors").write_bytes(b"no arrays at all")
    edited(sha256=hashlib.sha256(b"no arrays at all").hexdigest())(tmp_path / "last.json")
    with pytest.raises(UserError, match=r"last\.safetensors is damaged"):
        checkpoint.load(tmp_path / "last")
