"""`--init FILE`: a run that begins with another's weights; files that are none, or another network's."""

from __future__ import annotations

import json
import pickle
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import qlearn
from qlearn.errors import UserError
from qlearn.runs import checkpoint
from qlearn.runs.watchers import Watcher

HOW = {"env": "cartpole", "algo": "dqn", "engine": "fused", "hidden": "8", "steps": 60,
       "eval_episodes": 1}  # fmt: skip
SIZE = 4 * 8 + 3 * 8 + 8 * 2 + 2


@pytest.fixture(scope="module")
def giver(tmp_path_factory):
    return qlearn.train(out=tmp_path_factory.mktemp("giver") / "run", seed=5, **HOW).path


class Begins(Watcher):
    def begins(self, training):
        self.params = training.learner.get_state()["params"].copy()


@pytest.mark.parametrize("name", ["checkpoints/last.safetensors", "checkpoints/last"])
def test_a_run_begins_with_anothers_weights_and_needs_them_no_more(giver, tmp_path, name):
    other, begins = tmp_path / "other", Begins()
    shutil.copytree(giver, other)
    run = qlearn.train(out=tmp_path / "run", init=other / name, watchers=[begins], **HOW)
    given = checkpoint.load(giver / "checkpoints" / "last")[0]["params"]
    np.testing.assert_array_equal(begins.params, given)
    expected = run.evaluate(2).mean
    shutil.rmtree(other)
    assert qlearn.load(run.path).evaluate(2).mean == expected
    more = qlearn.train(resume=run.path, steps=100)
    assert more.report["env_steps"] >= 100
    assert more.folder.record["init"] == str(other / "checkpoints/last.safetensors")


def claimed(dtype, shape, size, name="params", held=None):
    """A file whose header is right, and whose numbers may be a hole on the disk."""

    def write(path):
        text = {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}
        header = json.dumps(text).encode()
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(file.tell() + (size if held is None else held))

    return write


def arrays(**named):
    return lambda path: save_file(named, path)


class Exploit:
    def __reduce__(self):
        return (Path.touch, (Path("taken"),))


WRONG = {
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(Exploit())), "is no checkpoint"),
    "nothing": (lambda path: path.write_bytes(b""), "is no checkpoint"),
    "a giant header": (lambda path: path.write_bytes(b"\xff" * 7 + b"\x3f{}"), "is no checkpoint"),
    "less than it says": (claimed("F32", [SIZE], 4 * SIZE, held=8), "is no checkpoint"),
    "gigabytes": (claimed("F32", [2**32], 2**34), f"'params' is 4294967296 float32, not {SIZE}"),
    "numbers that NumPy lacks": (claimed("BF16", [SIZE], 2 * SIZE), f"is {SIZE} BF16, not {SIZE}"),
    "and others": (claimed("F8_E4M3", [SIZE], SIZE), f"is {SIZE} F8_E4M3, not {SIZE} float32"),
    "other numbers": (arrays(params=np.zeros(SIZE)), f"is {SIZE} float64, not {SIZE} float32"),
    "fewer": (arrays(params=np.zeros(3, np.float32)), "this network (4-8-2): 'params' is 3 float32"),
    "another shape": (arrays(params=np.zeros((SIZE, 1), np.float32)), f"'params' is {SIZE}x1"),
    "a table": (arrays(table=np.zeros((3, 2))), "it has no 'params'"),
    "no numbers": (arrays(params=np.full(SIZE, np.nan, np.float32)), "that are not finite"),
    "a folder": (lambda path: path.mkdir(), "takes a seed or a checkpoint's .safetensors"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_not_of_this_network_is_one_line(tmp_path, monkeypatch, name):
    write, said = WRONG[name]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.safetensors")
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            qlearn.train(out=tmp_path / "run", init=tmp_path / "x.safetensors", **HOW)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said in str(caught.value)
    assert "x.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 32 * 2**20
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_changed_byte_is_noticed(giver, tmp_path):
    shutil.copytree(giver, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "last.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"last\.safetensors is damaged: its checksum"):
        qlearn.train(init=file, **HOW)


def test_every_layer_that_does_not_fit_is_named(tmp_path):
    pytest.importorskip("torch")
    from qlearn.algorithms import registry
    from qlearn.algorithms.network.networks import network_of
    from qlearn.envs.registry import find
    from qlearn.nets.module import packed

    snake = find("snake", {"observation": "board"})

    def network(hidden, conv, init=""):
        settings = {"hidden": hidden, "conv": conv, "init": init}
        return network_of(snake, registry.configure("pqn", settings, snake, "torch"), seed=1)[0]

    file = tmp_path / "x.safetensors"
    given = packed(None, "params", network("8", "4x3x1").state_dict())
    save_file(given, file)
    same = packed(None, "params", network("8", "4x3x1", str(file)).state_dict())
    assert all(np.array_equal(same[name], given[name]) for name in given)
    with pytest.raises(UserError) as caught:
        network("16", "4x3x1,4x3x1", str(file))
    said = str(caught.value)
    assert "'params.head.layers.0.weight' is 8x400 float32, not 16x400 float32" in said
    assert "it has no 'params." in said
    assert said.endswith(" and 3 more")
    assert "\n" not in said
