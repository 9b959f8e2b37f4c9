"""Run folders: found by name, listed whatever state they are in, honest about their status."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import qlearn
from qlearn.errors import UserError
from qlearn.runs import files
from qlearn.runs.folder import RunFolder, find_run, list_runs, runs_folder

RECORD = {"env": "grid", "env_name": "grid", "env_options": {}, "algo": "table", "engine": "dict",
          "seed": 0, "config": {}, "run_config": {}}  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_the_runs_folder_is_here_or_where_the_variable_says(home, monkeypatch, tmp_path):
    assert runs_folder() == home
    monkeypatch.delenv("QLEARN_RUNS")
    monkeypatch.chdir(tmp_path)
    assert runs_folder() == tmp_path / "runs"


def test_a_run_is_found_by_folder_name_and_last(home, tmp_path):
    first = RunFolder.create(None, "one", RECORD)
    second = RunFolder.create(tmp_path / "elsewhere", "two", RECORD)
    third = RunFolder.create(None, "one", RECORD)
    assert first.path != third.path
    assert find_run(first.path.name).path == first.path
    assert find_run(str(second.path)).path == second.path
    assert find_run("last").path == third.path
    assert find_run("last").record["env"] == "grid"
    assert [run.path for run in list_runs(home)] == [first.path, third.path]


def test_no_run_and_misspelt_runs_are_one_clear_line(home):
    with pytest.raises(UserError, match=r"there is no run in .*; qlearn train ENV makes one"):
        find_run("last")
    assert list_runs(home) == []
    name = RunFolder.create(None, "grid-table-s0", RECORD).path.name
    with pytest.raises(UserError, match=f"no run '{name[:-1]}'; did you mean '{name}'"):
        find_run(name[:-1])


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path):
    RunFolder.create(tmp_path / "mine", "x", RECORD)
    with pytest.raises(UserError, match="already holds a run; choose another --out, or --resume"):
        RunFolder.create(tmp_path / "mine", "x", RECORD)


def test_a_place_that_cannot_be_a_folder_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        RunFolder.create(tmp_path / "file" / "run", "x", RECORD)


def test_a_run_whose_process_is_gone_was_interrupted(home, gone):
    folder = RunFolder.create(None, "x", RECORD)
    assert folder.status == "running"
    folder.update(pid=gone)
    assert find_run("last").status == "interrupted"
    for status in ("done", "failed", "interrupted"):
        folder.update(status=status)
        assert find_run("last").status == status


def resealed(text, **changes):
    content = json.loads(text) | changes
    content.pop(files.SEAL)
    return json.dumps(files.sealed(content))


DAMAGES = {
    "torn": (lambda text: text[: len(text) // 2], "is damaged"),
    "empty": (lambda text: "", "is damaged"),
    "list": (lambda text: "[1, 2]", "describes no run"),
    "other": (lambda text: '{"name": "x"}', "describes no run"),
    "worded": (lambda text: text.replace('"format": 2', '"format": "two"'), "describes no run"),
    "newer": (lambda text: resealed(text, format=7), "newer qlearn .format 7"),
    "unsealed": (lambda text: text.replace('"checksum"', '"checkedsum"'), "has no checksum"),
    "changed": (lambda text: text.replace('"seed": 0', '"seed": 1'), "not what its checksum"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_one_clear_line_and_hides_no_other(home, damage):
    change, message = DAMAGES[damage]
    good = RunFolder.create(None, "good", RECORD)
    bad = RunFolder.create(None, "zbad", RECORD)
    place = bad.path / "run.json"
    place.write_text(change(place.read_text()))
    with pytest.raises(UserError, match=message) as caught:
        find_run(bad.path.name)
    assert "\n" not in str(caught.value)
    listed = {run.path: run.status for run in list_runs(home)}
    assert listed == {good.path: "running", bad.path: "failed"}
    assert find_run("last").path == good.path
    (good.path / "run.json").unlink()
    with pytest.raises(UserError, match=message):
        find_run("last")


def test_a_record_with_a_hole_names_what_is_missing(home):
    folder = RunFolder.create(None, "x", RECORD)
    for key in RECORD:
        if key == "env_name":
            continue
        folder.record = {**folder.record, **RECORD}
        del folder.record[key]
        with pytest.raises(UserError, match=f"run.json is damaged: it has no '{key}'"):
            folder.whole()


def test_files_and_strange_folders_among_the_runs_are_left_out(home):
    good = RunFolder.create(None, "good", RECORD)
    (home / "notes.txt").write_text("mine")
    (home / "empty").mkdir()
    (home / "odd" / "run.json").mkdir(parents=True)
    assert [run.path for run in list_runs(home)] == [good.path]


def test_metrics_are_one_object_a_line(home):
    folder = RunFolder.create(None, "x", RECORD)
    for k in range(3):
        folder.log({"env_steps": k})
    folder.close()
    folder.log({"env_steps": 3})
    folder.close()
    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["env_steps"] for line in lines] == [0, 1, 2, 3]


def test_a_failing_disk_does_not_stop_the_log(home):
    folder = RunFolder.create(None, "x", RECORD)
    (folder.path / "metrics.jsonl").mkdir()
    folder.log({"env_steps": 1})
    assert os.listdir(folder.path / "metrics.jsonl") == []


def test_the_record_says_with_what_it_was_made(home):
    record = RunFolder.create(None, "x", RECORD).record
    assert {"python", "numpy", "numba", "qlearn"} <= record["versions"].keys()
    assert record["processor"]["cores"] == os.cpu_count()
    assert record["pid"] == os.getpid()


def test_a_run_says_how_it_sees_and_an_older_one_saw_the_board(tmp_path):
    small = {"envs": 4, "rollout": 4, "minibatch": 16, "hidden": "8", "steps": 64, "env.size": 5}
    path = qlearn.train("snake", out=tmp_path / "run", **small).path
    folder = RunFolder.open(path)
    assert folder.record["env_options"]["observation"] == "around"
    del folder.record["env_options"]["observation"]
    folder.save()
    assert RunFolder.open(path).record["env_options"]["observation"] == "board"
