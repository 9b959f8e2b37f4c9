"""What happens around a run: a second trainer, a number used again, a disk that is full."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import import_module

import pytest

import qlearn
from qlearn.cli.main import main
from qlearn.errors import UserError
from qlearn.runs import checkpoint, process
from qlearn.runs.files import write_json
from qlearn.runs.folder import LOCK, RunFolder

HOW = {"env": "grid", "engine": "dict", "steps": 300, "eval_episodes": 2}
RECORD = {"env": "grid", "env_name": "grid", "env_options": {}, "algo": "table", "engine": "dict",
          "seed": 0, "config": {}, "run_config": {}}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def other():
    """A process that only waits."""
    waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield waiting
    waiting.kill()
    waiting.wait()


def test_a_process_is_known_by_when_it_began(other):
    since = process.started(other.pid)
    assert process.lives(other.pid, since)
    assert process.lives(other.pid)
    assert not process.lives(other.pid, f"{since}0")  # its number, used again
    other.kill()
    while process.started(other.pid):
        time.sleep(0.01)
    assert not process.lives(other.pid, since)  # ended, though nobody has asked how
    for nobody in (None, 0, -1, True, "1", 2**31, 2**80):
        assert not process.lives(nobody)


def test_a_second_trainer_is_refused(tmp_path, other, capsys):
    run = qlearn.train(out=tmp_path / "r", **HOW)
    holder = {"pid": other.pid, "pid_started": process.started(other.pid)}
    write_json(run.path / LOCK, holder)
    words = ["train", "--resume", str(run.path), "--steps", "600"]
    assert main(words) == 2
    assert f"r is still being trained by process {other.pid}" in capsys.readouterr().err
    assert RunFolder.open(run.path).status == "done"
    RunFolder.open(run.path).update(status="running", **holder)
    assert RunFolder.open(run.path).status == "running"
    assert main(words) == 2
    again = {**holder, "pid_started": "another"}  # the number is another process's by now
    write_json(run.path / LOCK, again)
    RunFolder.open(run.path).update(**again)
    assert RunFolder.open(run.path).status == "interrupted"
    assert main([*words, "--quiet"]) == 0
    assert not (run.path / LOCK).exists()


def test_two_who_make_the_same_folder(tmp_path):
    first = RunFolder.create(tmp_path / "r", "x", RECORD)
    (tmp_path / "r" / "run.json").unlink()
    with pytest.raises(UserError, match="still being trained by process"):
        RunFolder.create(tmp_path / "r", "x", RECORD)
    first.close()
    RunFolder.create(tmp_path / "r", "x", RECORD).close()


def test_a_lock_that_says_nothing_holds_nobody_out(tmp_path):
    run = qlearn.train(out=tmp_path / "r", **HOW)
    for text in ("", "[]", "{}", '{"pid": "x"}', "\0"):
        (run.path / LOCK).write_text(text)
        folder = RunFolder.open(run.path)
        folder.lock()
        folder.close()


def test_a_folder_that_could_not_be_filled_is_not_left(tmp_path, monkeypatch):
    def full(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr("qlearn.runs.folder.write_sealed", full)
    with pytest.raises(UserError, match="the disk is full"):
        RunFolder.create(tmp_path / "a" / "b", "x", RECORD)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of POSIX")
def test_a_file_that_may_not_grow_keeps_what_was_there(tmp_path):
    """As where a quota is used up: the system itself refuses."""
    run = qlearn.train(out=tmp_path / "r", **HOW)
    before = {path: path.read_bytes() for path in (run.path / "checkpoints").iterdir()}
    code = (
        "import resource, sys; from qlearn.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900));"
        f"sys.exit(main(['train', '--resume', {str(run.path)!r}, '--steps', '600', '--quiet']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "cannot write" in ended.stderr
    assert ended.stderr.count("qlearn: ") == 1
    assert "Traceback" not in ended.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert checkpoint.is_whole(run.path / "checkpoints" / "last")
    assert qlearn.train(resume=run.path, steps=600).report["env_steps"] == 600


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root mounts")
def test_a_disk_that_is_full(tmp_path):
    """A small one of its own, in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        run = qlearn.train(out=disk / "r", **HOW)
        straight = qlearn.train(out=tmp_path / "s", **HOW | {"steps": 600})
        (disk / "fill").write_bytes(bytes(disk.stat().st_blksize))
        try:
            with open(disk / "fill", "ab", buffering=0) as file:
                while True:
                    file.write(bytes(1024))
        except OSError:
            pass
        with pytest.raises(UserError, match="the disk is full"):
            qlearn.train(resume=run.path, steps=600)
        assert checkpoint.is_whole(run.path / "checkpoints" / "last")
        with pytest.raises(UserError, match="the disk is full"):
            qlearn.train(out=disk / "other", **HOW)
        assert not (disk / "other").exists()
        (disk / "fill").unlink()
        again = qlearn.train(resume=run.path, steps=600)
        assert again.report["env_steps"] == straight.report["env_steps"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_as_many_checkpoints_stay_as_are_asked_for(tmp_path, keep):
    run = qlearn.train(
        out=tmp_path / "r", keep=keep, checkpoint_seconds=0.0, **HOW | {"steps": 4000}
    )
    older = ["previous", *(f"previous-{number}" for number in range(2, keep + 1))][:keep]
    names = {path.name for path in (run.path / "checkpoints").iterdir()}
    assert names == {
        f"{name}.{kind}" for name in ("last", *older) for kind in ("json", "safetensors")
    }
    steps = [
        checkpoint.load(run.path / "checkpoints" / name)[1]["env_steps"]
        for name in ("last", *older)
    ]
    assert steps[0] == 4000
    assert steps[1:] == sorted(steps[1:], reverse=True)


@pytest.mark.parametrize("keep", ["-1", "1001", "some", "0.5", "nan"])
def test_as_many_as_cannot_be_are_one_line(keep, home, capsys):
    for words in (["--keep", keep], ["--set", f"keep={keep}"]):
        assert main(["train", "grid", "--steps", "100", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not home.exists()


def test_a_clock_that_is_set_back_changes_nothing(monkeypatch, home):
    """Every look at it, a day earlier."""
    straight = qlearn.train(**HOW | {"steps": 4000})
    days = itertools.count(1)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - next(days) * 86_400 * 10**9)
    monkeypatch.setattr(time, "time", lambda: time.time_ns() / 1e9)
    run = qlearn.train(checkpoint_seconds=0.0, **HOW | {"steps": 4000})
    calls = {stage["name"]: stage["calls"] for stage in run.report["stages"]}
    assert calls["checkpoint"] > 3
    assert run.report["train_seconds"] > 0.0
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    seconds = [row["machine"]["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert run.report["eval"] == straight.report["eval"]
    assert qlearn.load("last").path == run.path
    assert qlearn.train(resume="last", steps=5000).path == run.path


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "grid", "--out"],
        ["profile", "grid", "--html"],
        ["export", "run", "--csv"],
        ["watch", "run", "--png"],
    ],
    ids=" ".join,
)
def test_what_is_no_file_is_not_written_over(tmp_path, monkeypatch, capsys, words):
    """A pipe stands for the devices: renamed over, /dev/null would be a file for everybody."""
    monkeypatch.chdir(tmp_path)
    qlearn.train(out=tmp_path / "run", **HOW)
    measuring = import_module("qlearn.compare.compare"), import_module("qlearn.profiling.own")
    monkeypatch.setattr(measuring[0], "_measure", None)  # it is refused before
    monkeypatch.setattr(measuring[1], "profile", None)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("folder.png", "pipe.png"):
        assert main([*words, name]) == 2
        said = capsys.readouterr().err
        assert name in said
        assert said.count("\n") == 1
    assert (tmp_path / "pipe.png").is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["folder.png", "pipe.png", "run"]
