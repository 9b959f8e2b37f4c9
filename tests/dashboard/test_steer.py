"""Turning the knobs of a run through the server, with a real trainer and without one."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
from sites import event, write_run

import qlearn
from qlearn.dashboard import steer
from qlearn.runs.driver import Interrupted


@pytest.fixture
def trained(site, home):
    """A training that goes on until it is told to stop."""
    folder = home / "live"
    ended: list[BaseException] = []

    def train() -> None:
        try:
            qlearn.train("grid", engine="dict", steps=10**12, out=folder, seed=0, epsilon=0.3)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    end = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() and not (folder / "run.json").exists():
        assert time.monotonic() < end, "nothing is trained"
        time.sleep(0.05)
    while "live" not in json.loads((folder / "run.json").read_text()):
        assert time.monotonic() < end, "there are no knobs"
        time.sleep(0.05)
    yield folder
    if thread.is_alive():
        site.post("/api/do/live", {"do": "stop"})
        thread.join(60)
    assert [type(error) for error in ended] == [Interrupted]


def test_a_training_is_steered(site, trained, monkeypatch):
    monkeypatch.setattr(steer, "SET_SECONDS", 60.0)  # a loaded machine
    monkeypatch.setattr(steer, "DO_SECONDS", 60.0)
    answer = site.post("/api/set/live", {"epsilon": 0.05})
    assert answer.status == 200
    step = answer.json["applied_at_step"]
    refused = site.post("/api/set/live", {"epsilon": 7}).json
    assert "epsilon" in refused["refused"]
    assert site.post("/api/set/live", {"colour": 1}).json["refused"].startswith("colour")
    saved = site.post("/api/do/live", {"do": "save"}).json
    assert os.path.exists(saved["checkpoint"])
    assert "applied_at_step" in site.post("/api/set/live", {"paused": True}).json
    about = site.get("/api/run/live").json
    assert about["knobs"] == {"epsilon": 0.05, "paused": True}
    assert about["status"] == "running"
    kinds = [one["event"] for one in about["events"]]
    assert kinds == ["set", "refused", "save", "pause"]
    marks = site.get("/api/series/live?keys=return").json["marks"]
    assert marks[0] == {"x": step, "event": "set", "label": "epsilon = 0.05"}
    assert "applied_at_step" in site.post("/api/set/live", {"paused": False}).json
    assert "applied_at_step" in site.post("/api/do/live", {"do": "stop"}).json


def test_a_run_that_nobody_trains_keeps_it_for_later(site, home):
    folder = write_run(home, "a", status="interrupted")
    answer = site.post("/api/set/a", {"epsilon": 0.2}).json
    assert answer == {"pending": steer.NOT_TRAINED}
    assert json.loads((folder / "knobs.json").read_text()) == {"epsilon": 0.2}
    assert "not being trained" in site.post("/api/do/a", {"do": "stop"}).json["refused"]
    assert not (folder / "requests.jsonl").exists()


def test_a_trainer_that_does_not_answer(site, home, monkeypatch):
    monkeypatch.setattr(steer, "SET_SECONDS", 0.1)
    monkeypatch.setattr(steer, "DO_SECONDS", 0.1)
    write_run(home, "a", [event(1, "set", knobs={"epsilon": 0.9})], status="running")
    assert list(site.post("/api/set/a", {"epsilon": 0.2}).json) == ["pending"]
    assert list(site.post("/api/do/a", {"do": "save"}).json) == ["pending"]


@pytest.mark.parametrize(
    "asked",
    [{}, {"epsilon": None}, {"epsilon": [1]}, {"epsilon": {"a": 1}}, {"epsilon": "x" * 300}, {"paused": 1},
     {"paused": "true"}, {"epsilon": True}, {f"k{n}": 1 for n in range(100)}]
)  # fmt: skip
def test_nonsense_is_not_written(site, home, asked):
    folder = write_run(home, "a", status="running")
    answer = site.post("/api/set/a", asked)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert not (folder / "knobs.json").exists()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"{", b'{"epsilon": NaN}', b'{"epsilon": 1e999}', b"[" * 60_000]
)
def test_what_is_no_change(site, home, body):
    folder = write_run(home, "a", status="running")
    assert site.post("/api/set/a", body).status == 400
    assert not (folder / "knobs.json").exists()


@pytest.mark.parametrize("asked", [{}, {"do": "format"}, {"do": None}, {"do": ["save"]}])
def test_only_three_things_can_be_done(site, home, asked):
    write_run(home, "a")
    assert site.post("/api/do/a", asked).status == 400


@pytest.mark.parametrize("file", ["knobs.json", "requests.jsonl"])
def test_nothing_is_written_through_a_link(site, home, file):
    folder = write_run(home, "a", status="interrupted")
    outside = home.parent / "outside"
    outside.write_text("{}")
    (folder / file).symlink_to(outside)
    assert site.post("/api/set/a", {"epsilon": 0.2}).status == 400
    assert outside.read_text() == "{}"


def test_a_run_without_knobs(site, home):
    write_run(home, "a", live=None)
    assert site.post("/api/set/a", {"epsilon": 0.2}).status == 400


def test_a_folder_that_cannot_be_written(site, home, monkeypatch):
    write_run(home, "a", status="interrupted")

    def denied(*_):
        from qlearn.errors import UserError

        raise UserError("cannot write knobs.json: Read-only file system")

    monkeypatch.setattr("qlearn.runs.knobs.write", denied)
    assert "Read-only" in site.post("/api/set/a", {"epsilon": 0.2}).json["refused"]
