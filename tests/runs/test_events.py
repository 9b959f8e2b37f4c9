"""Event files: what TensorBoard itself reads in them."""

from __future__ import annotations

import errno
import json
import sys

import pytest

import qlearn
from qlearn.cli.main import main
from qlearn.runs import driver, events


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def scalars(folder):
    """{tag: [(step, value)]} of all event files of a folder."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def rows(run, key):
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if key in row]


HOW = {"engine": "dict", "steps": 2000, "eval_every": 500, "epsilon": "1->0.1", "tensorboard": True}


def test_they_hold_the_lines_of_the_metrics():
    run = qlearn.train("grid", **HOW)
    found = scalars(run.path)
    for key in ("epsilon", "lr", "episodes", "updates"):
        assert found[key] == [(row["env_steps"], pytest.approx(row[key])) for row in rows(run, key)
                              if "eval" not in row]  # fmt: skip
    returns = [(row["env_steps"], row["return"]) for row in rows(run, "return")]
    assert found["return"] == [(step, pytest.approx(value)) for step, value in returns
                               if value is not None]  # fmt: skip
    judged = [(row["env_steps"], pytest.approx(row["eval"]["mean"])) for row in rows(run, "eval")]
    assert found["eval/mean"] == judged
    assert found["eval/best"][-1][1] == pytest.approx(run.report["best_eval"]["mean"])
    assert 0 < found["stages/learn"][-1][1] <= 1
    assert found["steps_per_second"][-1][1] > 0
    assert "tensorboard" in run.folder.record["log"]


def test_a_resumed_run_goes_on_in_a_file_of_its_own():
    run = qlearn.train("grid", **HOW)
    more = qlearn.train(resume=run.path, steps=4000)
    assert len(list(run.path.glob("events.out.tfevents.*"))) == 2
    found = scalars(run.path)["epsilon"]
    assert len(found) > 300
    assert [step for step, _ in found] == [
        row["env_steps"] for row in rows(more, "epsilon") if "eval" not in row
    ]


def test_without_the_library_one_line_before_training(capsys, monkeypatch, home):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["train", "grid", "--engine", "dict", "--tensorboard"]) == 2
    assert capsys.readouterr().err == (
        "qlearn: tensorboard is not installed: pip install 'qlearn[tensorboard]'\n"
    )
    assert not home.exists()


@pytest.mark.parametrize("broken", ["begins", "_write"])
def test_a_full_disk_does_not_stop_the_training(broken, monkeypatch):
    pytest.importorskip("tensorboard")
    work, calls = getattr(events.EventFile, broken), []

    def full(self, *arguments):
        calls.append(1)
        if broken == "begins" or len(calls) > 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        return work(self, *arguments)

    monkeypatch.setattr(events.EventFile, broken, full)
    said = []
    run = qlearn.train("grid", say=said.append, **HOW)
    assert (run.status, run.report["env_steps"]) == ("done", 2000)
    assert len(said) == 1
    assert said[0].startswith("the TensorBoard event file has stopped ([Errno 28]")


def test_nobody_pays_for_what_is_not_asked(home):
    assert driver.Watchers([], print).wants(1e9) is False
    run = qlearn.train("grid", engine="dict", steps=500)
    assert not list(run.path.glob("events*"))
