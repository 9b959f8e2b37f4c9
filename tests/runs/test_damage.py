"""One byte changed in a file that a command reads: said so, or nothing changes. And hostile files.

QLEARN_TRIALS=1000 tries more bytes than a test of every day does.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import qlearn
from qlearn.cli.main import main
from qlearn.errors import UserError
from qlearn.runs import checkpoint, files, folder, knobs
from qlearn.runs.ahead import Ahead
from qlearn.runs.config import RunConfig
from qlearn.runs.folder import RunFolder, find_run
from qlearn.runs.run import Run
from qlearn.runs.watchers import Watcher

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import damage

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


def test_every_file_and_every_command(monkeypatch):
    """A few trials of benchmarks/damage.py, which records a thousand; and it would notice."""
    monkeypatch.setattr(damage, "RUNS", {"table": damage.RUNS["table"]})
    ended, wrong = damage.trials(TRIALS // 2)
    assert wrong == []
    assert sum(sum(how.values()) for how in ended.values()) == TRIALS // 2
    assert len(ended) >= 4


def test_another_result_would_be_noticed(stopped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(damage, "COMMANDS", {"eval": []})
    for found in ([0, "another"], [2]):
        monkeypatch.setattr(damage, "result", lambda command, found=found: (found, "qlearn: no\n"))
        _, _, said = damage.trial(stopped[0], {"eval": [0, "as it was"]}, random.Random(0))
        assert said.startswith("eval: byte ")


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


# ---------------------------------------------------------------------- what metrics.jsonl says

TURNED = HOW | {"checkpoint_seconds": 0.0, "epsilon": 0.2}


class TurnsAndDies(Watcher):
    """A knob is turned after the only checkpoint; then the process is gone."""

    def logged(self, training, row):
        if training.env_steps >= 200 and training.settings.checkpoint_seconds == 0.0:
            training.save()
            training.settings = RunConfig(**HOW_OFTEN | {"checkpoint_seconds": 1e9})
        if 300 <= training.env_steps < 303:
            knobs.write(training.folder.path, {"epsilon": 0.7})
        if training.env_steps >= 400:
            raise Gone


class Gone(BaseException):
    pass


HOW_OFTEN = {key: HOW[key] for key in ("eval_every", "eval_episodes")}


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A run that was killed behind a turned knob, and its table where it went on undamaged."""
    home = tmp_path_factory.mktemp("turned")
    with pytest.raises(Gone):
        qlearn.train(out=home / "run", watchers=[TurnsAndDies()], **TURNED)
    folder = RunFolder.open(home / "run")
    seldom = folder.record["run_config"] | {"checkpoint_seconds": 1e9}
    folder.update(status="interrupted", run_config=seldom)
    (home / "run" / "knobs.json").unlink()
    shutil.copytree(home / "run", home / "again")
    return home / "run", qlearn.train(resume=home / "again").learner().values()


def test_a_changed_byte_of_the_metrics_is_said_or_changes_nothing(turned, tmp_path):
    killed, values = turned
    about = checkpoint.load(killed / "checkpoints" / "last")[1]
    kept = (killed / "metrics.jsonl").read_bytes()
    end, later = about["metrics_bytes"], kept[about["metrics_bytes"] :]
    at = end + later.index(b'"event": "set"')  # in a row after the checkpoint
    row = range(kept.rindex(b"\n", 0, at) + 1, kept.index(b"\n", at))
    generator, noticed = np.random.default_rng(3), 0
    places = [*generator.choice(end, TRIALS // 4), *generator.choice(row, TRIALS // 4)]
    for place in places:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(killed, tmp_path / "run")
        data, said = bytearray(kept), []
        data[place] ^= generator.integers(1, 256)
        (tmp_path / "run" / "metrics.jsonl").write_bytes(data)
        run = qlearn.train(resume=tmp_path / "run", say=said.append)
        told = [text for text in said if "metrics.jsonl is damaged" in text]
        assert len(told) <= 1
        if place < end or not told:
            np.testing.assert_array_equal(run.learner().values(), values)
        assert told or place >= end
        noticed += len(told)
    assert noticed >= 0.9 * len(places)


def test_what_is_ahead_is_believed_whole_or_not_at_all(turned, tmp_path):
    killed, values = turned
    shutil.copytree(killed, tmp_path / "run")
    ahead = Ahead(tmp_path / "run")
    rows = [json.loads(row) for row in (killed / "metrics.jsonl").read_text().splitlines()]
    ahead.plan(0, [], [(row["env_steps"], row["knobs"]) for row in rows if "knobs" in row])
    whole = (tmp_path / "run" / "ahead.json").read_text()
    (tmp_path / "run" / "ahead.json").write_text(whole.replace("0.7", "0.1"))
    with pytest.raises(UserError, match=r"ahead.json is damaged.*without that file the run goes"):
        qlearn.train(resume=tmp_path / "run")
    (tmp_path / "run" / "ahead.json").write_text(whole)
    run = qlearn.train(resume=tmp_path / "run")
    np.testing.assert_array_equal(run.learner().values(), values)


@pytest.mark.parametrize("named", ["map", "reward"])
def test_a_map_or_program_that_was_edited_is_said(tmp_path, capsys, named):
    """They are the user's own: played as they are."""
    file = tmp_path / {"map": "maze.txt", "reward": "mine.py"}[named]
    file.write_text(
        {
            "map": "S..\n..G\n",
            "reward": "def mine(before, action, after, reward, terminated):\n    return 1.0\n",
        }[named]
    )
    how = {"env": str(file)} if named == "map" else {"env_reward": f"{file}:mine"}
    run = str(qlearn.train(out=tmp_path / "run", **HOW | how).path)
    words = (["eval", run, "--episodes", "2"], ["export", run, "--csv", str(tmp_path / "q.csv")],
             ["train", "--resume", run])  # fmt: skip
    for changed in (False, True):
        if changed:
            file.write_text(file.read_text().replace(".G", "OG").replace("1.0", "2.0"))
        for each in words:
            assert main(each) == 0
            said = capsys.readouterr().err
            assert (f"{file} is not what it was when run began" in said) == changed


# ------------------------------------------------------------------------------ older formats

FROZEN = Path(__file__).parent / "frozen"  # FORMAT/NAME, as the code of then wrote them
OLDER = [f"{form}/{name}" for form in (1, 2) for name in ("table", "pqn", "dqn", "dqn-prioritized")]
OLDER += ["3/dqn"]  # its replay is mostly empty, and saved without zeros; all else is as in 2


def test_every_format_is_frozen():
    assert sorted(path.name for path in FROZEN.iterdir()) == [
        str(n + 1) for n in range(checkpoint.FORMAT)
    ]


@pytest.mark.parametrize("name", OLDER)
def test_older_runs_are_read_judged_and_go_on(tmp_path, name):
    run_path = tmp_path / "run"
    shutil.copytree(FROZEN / name, run_path)
    record = RunFolder.open(run_path).whole()
    assert (record["format"], record["status"]) == (min(int(name[0]), folder.FORMAT), "done")
    for place in ("checkpoints/last", "best"):
        arrays, about = checkpoint.load(run_path / place)
        kinds = {key: [str(array.dtype), list(array.shape)] for key, array in arrays.items()}
        assert kinds == about["arrays"]
        assert about["format"] == int(name[0])
    run = qlearn.load(run_path)
    for best in (False, True):
        assert np.isfinite(run.evaluate(3, best=best).mean)
    if name.endswith("table"):
        assert run.evaluate(5).mean == run.report["eval"]["mean"]
    arrays, _ = checkpoint.load(run_path / "checkpoints" / "last")
    begun = Begins()
    steps = run.report["env_steps"] + 50
    more = qlearn.train(resume=run_path, steps=steps, watchers=[begun])
    arrays.pop("returns")
    assert begun.state.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(begun.state[key], array, err_msg=key)
    assert more.report["env_steps"] >= steps
    assert more.report["updates"] > run.report["updates"]
    assert RunFolder.open(run_path).record["format"] == folder.FORMAT
    assert checkpoint.load(run_path / "checkpoints" / "last")[1]["format"] == checkpoint.FORMAT
    assert files.SEAL in json.loads((run_path / "run.json").read_text())


def test_an_older_run_without_its_games_goes_on_with_new_ones(tmp_path):
    run_path, said = tmp_path / "run", []
    shutil.copytree(FROZEN / "2/gymnasium", run_path)
    assert not any("games" in name for name in arrays_of(run_path))
    assert qlearn.reproduce(run_path)["identical"]
    qlearn.train(resume=run_path, steps=80, say=said.append)
    assert said[-1] == (
        "what was learned goes on exactly; gym:MountainCar-v0 was saved without its games and"
        " begins new games"
    )
    found = arrays_of(run_path)
    assert found["batch.taken_up"] == 1
    assert "batch.games" in found
    qlearn.train(resume=run_path, steps=100)
    assert arrays_of(run_path)["batch.taken_up"] == 1
    assert qlearn.reproduce(run_path)["identical"]


def arrays_of(run_path):
    return checkpoint.load(run_path / "checkpoints" / "last")[0]


class Begins(Watcher):
    """What a learner has before its first step."""

    def begins(self, training):
        self.state = {key: array.copy() for key, array in training.learner.get_state().items()}


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
    ids=lambda text: repr(text)[2:22] if isinstance(text, bytes) else text,
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
