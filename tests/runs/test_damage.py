"""One byte changed in a file that a command reads: said so, or nothing changes. And hostile files.

QLEARN_TRIALS=1000 tries more bytes than a test of every day does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import qlearn
from qlearn.cli.main import main
from qlearn.errors import UserError
from qlearn.runs import checkpoint, files
from qlearn.runs.folder import RunFolder, find_run
from qlearn.runs.run import Run
from qlearn.runs.watchers import Watcher

FILES = (
    "run.json", "checkpoints/last.json", "checkpoints/last.safetensors",
    "best.json", "best.safetensors",
)  # fmt: skip
TRIALS = int(os.environ.get("QLEARN_TRIALS", "40"))
HOW = {"env": "grid", "engine": "dict", "steps": 600, "eval_every": 150, "eval_episodes": 2}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


class Ends(Watcher):
    """A process that is gone after so many steps."""

    def logged(self, training, row):
        if training.env_steps >= 400:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped, with a checkpoint and one before it; and where it would have led."""
    home = tmp_path_factory.mktemp("stopped")
    how = HOW | {"checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        qlearn.train(out=home / "run", watchers=[Ends()], **how)
    return home / "run", qlearn.train(out=home / "whole", **how)


def flipped(path, generator):
    data = bytearray(path.read_bytes())
    data[generator.integers(len(data))] ^= generator.integers(1, 256)
    path.write_bytes(data)


def learned(folder, best):
    learner = Run(find_run(folder)).learner(best)
    return learner.values().tobytes(), learner.environment.name


@pytest.mark.parametrize("file", FILES)
def test_a_changed_byte_is_named_or_changes_nothing(stopped, tmp_path, file):
    meant = [learned(stopped[0], best) for best in (False, True)]
    shutil.copytree(stopped[0], tmp_path / "run")
    kept, generator, noticed = (tmp_path / "run" / file).read_bytes(), np.random.default_rng(0), 0
    for _ in range(TRIALS):
        (tmp_path / "run" / file).write_bytes(kept)
        flipped(tmp_path / "run" / file, generator)
        for best in (False, True):
            try:
                assert learned(tmp_path / "run", best) == meant[best]
            except UserError as error:
                said = str(error)
                assert file in said
                assert "\n" not in said
                offered = "run.twin.json" if file == "run.json" else "without --best the last"
                assert ("previous, the one before it" if "last" in file else offered) in said
                noticed += 1
    assert noticed >= TRIALS / 2  # a space that became another changes nothing


@pytest.mark.parametrize("file", FILES)
def test_commands_on_a_changed_byte(stopped, tmp_path, capsys, file):
    """`eval`, `export` and `--resume`; what goes on ends where the whole run ended."""
    straight, run = stopped[1], tmp_path / "run"
    generator = np.random.default_rng(1)
    for _ in range(max(1, TRIALS // 20)):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(stopped[0], run)
        flipped(run / file, generator)
        for words in (["eval", str(run), "--episodes", "2"],
                      ["eval", str(run), "--best", "--episodes", "2"],
                      ["export", str(run), "--csv", str(tmp_path / "out.csv")],
                      ["train", "--resume", str(run), "--quiet"]):  # fmt: skip
            code = main(words)
            said = capsys.readouterr()
            assert code in (0, 2), said.err
            assert said.err.count("\n") == (1 if code == 2 else 0)
            if code == 2:
                assert Path(file).name in said.err
        if code == 0:
            again, _ = checkpoint.load(run / "checkpoints" / "last")
            for name, array in checkpoint.load(straight.path / "checkpoints" / "last")[0].items():
                np.testing.assert_array_equal(again[name], array, err_msg=name)
            assert RunFolder.open(run).record["result"]["eval"] == straight.report["eval"]


def test_a_damaged_last_checkpoint_goes_on_from_the_one_before(stopped, tmp_path):
    run, said = tmp_path / "run", []
    shutil.copytree(stopped[0], run)
    flipped(run / "checkpoints" / "last.safetensors", np.random.default_rng(0))
    step = checkpoint.load(run / "checkpoints" / "previous")[1]["env_steps"]
    again = qlearn.train(resume=run, say=said.append)
    assert f"going on from previous, the one before it (step {step:,})" in said[0]
    assert again.report["eval"] == stopped[1].report["eval"]
    flipped(run / "checkpoints" / "last.safetensors", np.random.default_rng(0))
    assert qlearn.train(resume=run, say=said.append).status == "done"  # a finished one is mended
    assert checkpoint.is_whole(run / "checkpoints" / "last")


def test_the_twin_of_a_record_mends_it(stopped, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(stopped[0], run)
    (run / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run.twin.json beside it is whole: copied over run.json"):
        find_run(run)
    shutil.copy(run / "run.twin.json", run / "run.json")
    assert find_run(run).status == "interrupted"


# ------------------------------------------------------------------------------ older formats

FROZEN = Path(__file__).parent / "frozen"  # runs of format 1, as the code of then wrote them


@pytest.mark.parametrize("name", ["table", "pqn", "dqn", "dqn-prioritized"])
def test_older_checkpoints_are_read(name):
    record = RunFolder.open(FROZEN / name).whole()
    assert record["format"] == 1
    assert record["status"] == "done"
    for place in ("checkpoints/last", "best"):
        arrays, about = checkpoint.load(FROZEN / name / place)
        kinds = {key: [str(array.dtype), list(array.shape)] for key, array in arrays.items()}
        assert kinds == about["arrays"]
    assert about["env_steps"] == record["result"]["env_steps"] or name == "table"


@pytest.mark.parametrize("name", ["table", "dqn"])
def test_older_runs_are_judged_and_go_on(tmp_path, name):
    shutil.copytree(FROZEN / name, tmp_path / "run")
    run = qlearn.load(tmp_path / "run")
    assert np.isfinite(run.evaluate(3).mean)
    if name == "table":
        assert run.evaluate(5).mean == run.report["eval"]["mean"]
    more = qlearn.train(resume=tmp_path / "run", steps=run.report["env_steps"] + 50)
    assert more.report["env_steps"] >= run.report["env_steps"] + 50
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["format"] == 2
    assert files.SEAL in record


# ------------------------------------------------------------------------------ hostile files


def packed(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def claim(dtype="F64", shape=(1,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


TENSORS = {
    "nothing": b"",
    "half a length": b"\1\2\3",
    "giant header": packed({}, length=2**63),
    "large header": packed({}, length=2**33),
    "header beyond the file": packed({}, length=3),
    "deep header": packed(b"[" * 200_000),
    "no header": packed(b"\xff\xfe"),
    "list": packed([]),
    "no offsets": packed({"q": {"dtype": "F64", "shape": [1]}}, bytes(8)),
    "unknown type": packed({"q": claim("F8")}, bytes(8)),
    "type is a list": packed({"q": claim(["F64"])}, bytes(8)),
    "overlapping": packed({"q": claim(), "p": claim(offsets=(4, 12))}, bytes(12)),
    "the same twice": packed({"q": claim(), "p": claim()}, bytes(8)),
    "hole": packed({"q": claim(offsets=(8, 16))}, bytes(16)),
    "backwards": packed({"q": claim(offsets=(8, 0))}, bytes(8)),
    "negative": packed({"q": claim(offsets=(-8, 0))}, bytes(8)),
    "fraction": packed({"q": claim(offsets=(0.0, 8.0))}, bytes(8)),
    "beyond the file": packed({"q": claim(shape=[2**40], offsets=(0, 2**43))}, bytes(8)),
    "another shape": packed({"q": claim(shape=[2])}, bytes(8)),
    "shape that wraps round": packed({"q": claim(shape=[2**32, 2**32, 1])}, bytes(8)),
    "negative shape": packed({"q": claim(shape=[-1, -1])}, bytes(8)),
    "nothing of much": packed({"q": claim(shape=[0, 2**61], offsets=(0, 0))}),
    "too many dimensions": packed({"q": claim(shape=[1] * 65)}, bytes(8)),
    "shape of truth": packed({"q": claim(shape=[True])}, bytes(8)),
    "neither true nor false": packed({"q": claim("BOOL", offsets=(0, 1))}, b"\7"),
    "more than it says": packed({"q": claim()}, bytes(9)),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return qlearn.train(out=tmp_path_factory.mktemp("finished") / "run", **HOW).path


def refused(capsys, *words):
    tracemalloc.start()
    code = main([str(word) for word in words])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = capsys.readouterr()
    assert code == 2, said
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert peak < 32 * 2**20
    return said.err


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_lie_are_refused_before_anything_is_allocated(
    finished, tmp_path, capsys, name
):
    """By somebody who has made the checksums fit."""
    run, data = tmp_path / "run", TENSORS[name]
    shutil.copytree(finished, run)
    (run / "checkpoints" / "last.safetensors").write_bytes(data)
    manifest = json.loads((run / "checkpoints" / "last.json").read_text())
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    del manifest[files.SEAL]
    files.write_sealed(run / "checkpoints" / "last.json", manifest)
    assert "last.safetensors is damaged" in refused(capsys, "eval", run)


def test_a_file_larger_than_memory_is_not_read(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "last", {"q": np.zeros(1000)}, {})
    monkeypatch.setattr("qlearn.runs.tensors.free_megabytes", lambda: 0.001)
    with pytest.raises(UserError, match="more than there is memory free"):
        checkpoint.load(tmp_path / "last")


@pytest.mark.parametrize("file", ["run.json", "checkpoints/last.json", "best.json"])
@pytest.mark.parametrize(
    "text",
    [b"[" * 10**6, b'{"a":' * 10**6, b'{"format": 1' + b"0" * 10**5 + b"}", b"\0" * 100, b"NaN",
     b'{"format": true}', b'{"format": 1e400}', b'{"format": -1}', b'{"format": 0}'],
    ids=str,
)  # fmt: skip
def test_text_that_is_no_record_is_one_line(finished, tmp_path, capsys, file, text):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / file).write_bytes(text)
    words = ["--best"] if file == "best.json" else []
    assert f"{file} is damaged" in refused(capsys, "eval", tmp_path / "run", *words)


@pytest.mark.parametrize("file", ["run.json", "checkpoints/last.json"])
def test_a_gigabyte_of_text_is_not_read(finished, tmp_path, capsys, file):
    shutil.copytree(finished, tmp_path / "run")
    with open(tmp_path / "run" / file, "r+b") as place:
        place.truncate(2**30)  # a hole: nothing is written
    assert "it is larger than 16 MiB" in refused(capsys, "eval", tmp_path / "run")


@pytest.mark.parametrize("file", ["checkpoints/last.json", "checkpoints/last.safetensors"])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(finished, tmp_path, capsys, file):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / file).unlink()
    os.mkfifo(tmp_path / "run" / file)
    refused(capsys, "eval", tmp_path / "run")


def test_a_name_in_a_checkpoint_is_never_a_path(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    arrays, about = checkpoint.load(run / "checkpoints" / "last")
    extra = {"../../evil": np.ones(3), str(tmp_path / "evil"): np.ones(3)}
    del about["sha256"], about["arrays"], about["format"]
    checkpoint.save(run / "checkpoints" / "last", arrays | extra, about)
    before = sorted(os.listdir(tmp_path))
    assert main(["eval", str(run), "--episodes", "2"]) in (0, 2)
    assert main(["train", "--resume", str(run), "--steps", "700", "--quiet"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == before


EVIL = """
from pathlib import Path
Path(MARK).write_text("it ran")
class Evil: pass
def evil(*_): return 0.0
"""


@pytest.mark.parametrize("how", ["env", "reward", "network", "relative"])
def test_a_run_brings_no_program_with_it(finished, tmp_path, capsys, monkeypatch, how):
    """A folder that somebody gave away may name a file, but none that came with it."""
    run, mark = tmp_path / "run", tmp_path / "mark"
    shutil.copytree(finished, run)
    (run / "evil.py").write_text(EVIL.replace("MARK", repr(str(mark))))
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.open(run)
    folder.update(**{
        "env": {"env": f"{run}/evil.py:Evil"},
        "relative": {"env": "run/../run/evil.py:Evil"},
        "reward": {"env_options": {"reward": f"{run}/evil.py:evil"}},
        "network": {"algo": "pqn", "engine": "torch",
                    "config": {**folder.record["config"], "network": f"{run}/evil.py:Evil"}},
    }[how])  # fmt: skip
    for words in (["eval", run], ["train", "--resume", run, "--steps", "900"], ["watch", run]):
        assert "a run brings no program with it" in refused(capsys, *words)
    assert not mark.exists()
