"""Clips that are written while a run is trained."""

from __future__ import annotations

import pytest

from qlearn.errors import UserError
from qlearn.runs import checkpoint
from qlearn.runs.training import train
from qlearn.watching import recorder
from qlearn.watching.clip import Clip, heading
from qlearn.watching.recorder import Recorder

SETTINGS = {"steps": 6_000, "eval_every": 500, "engine": "numba"}


@pytest.fixture
def eager(monkeypatch):
    """Every evaluation is recorded."""
    monkeypatch.setattr(recorder, "SHARE", 1e9)
    monkeypatch.setattr(recorder, "EVERY", 0.0)


def trained(out, **more):
    watching = Recorder()
    return train("grid", out=out, watchers=[watching], **(SETTINGS | more)), watching


def recorded_steps(run):
    return sorted(int(path.name.partition(".")[0]) for path in (run.path / "clips").iterdir())


def test_every_evaluation_leaves_a_clip(tmp_path, eager):
    run, _ = trained(tmp_path / "run")
    assert recorded_steps(run) == [*range(500, 6_001, 500)]
    clip = Clip.read(run.path / "clips" / "6000.json.gz")
    assert clip["env"] == "grid"
    assert clip["return"] == run.report["eval"]["max"]  # a board without chance


def test_a_run_with_clips_is_the_run_without(tmp_path, eager):
    runs = [trained(tmp_path / "with")[0], train("grid", out=tmp_path / "without", **SETTINGS)]
    states = [checkpoint.load(run.path / "checkpoints" / "last")[0] for run in runs]
    assert set(states[0]) == set(states[1])
    for name, array in states[0].items():
        assert array.tobytes() == states[1][name].tobytes(), name


def test_without_time_to_spare_only_the_last_game_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "SHARE", 0.0)
    run, _ = trained(tmp_path / "run")
    assert recorded_steps(run) == [6_000]


def test_between_two_clips_lies_some_time(tmp_path, eager, monkeypatch):
    monkeypatch.setattr(recorder, "EVERY", 1e9)
    run, _ = trained(tmp_path / "run")
    assert recorded_steps(run) == [500, 6_000]


def test_half_a_game_waits_for_time_to_play_it_whole(tmp_path, eager, monkeypatch):
    monkeypatch.setattr(recorder, "SHARE", 1e-9)
    monkeypatch.setattr(recorder, "LEAST", 0.0)
    run, watching = trained(tmp_path / "run")
    assert recorded_steps(run) == [6_000]
    assert watching.enough > 0.0
    monkeypatch.setattr(recorder, "MOST", 0.0)
    run, _ = trained(tmp_path / "again")
    assert heading(run.path / "clips" / "500.json.gz")["cut_off"]
    assert not heading(run.path / "clips" / "6000.json.gz")["cut_off"]


def test_the_newest_and_the_best_are_kept(tmp_path, eager, monkeypatch):
    monkeypatch.setattr(recorder, "KEPT", 2)
    run, watching = trained(tmp_path / "run")
    kept = recorded_steps(run)
    assert kept[-2:] == [5_500, 6_000]
    returns = {steps: heading(watching.path_of(steps))["return"] for steps in kept}
    assert watching.returns == returns
    watching.returns = {1: 5.0, 2: 1.0, 3: 2.0, 4: 3.0}
    watching._tidy()
    assert sorted(watching.returns) == [1, 3, 4]


def test_a_run_that_goes_on_knows_its_clips(tmp_path, eager):
    run, _ = trained(tmp_path / "run", steps=3_000)
    (run.path / "clips" / "2000.json.gz").write_bytes(b"damaged")
    late = Clip.read(run.path / "clips" / "3000.json.gz")
    late.content["env_steps"] = 9_000
    (run.path / "clips" / "9000.json.gz").write_bytes(late.gzipped())
    again = Recorder()
    train(resume=run.path, steps=4_000, watchers=[again])
    assert 9_000 not in recorded_steps(run)
    assert {500, 3_000, 3_500, 4_000} <= set(again.returns)
    assert 2_000 not in again.returns


def test_a_disk_that_refuses_is_told_of_once(tmp_path, eager, monkeypatch):
    def refused(path, data):
        raise UserError("cannot write: Read-only file system")

    monkeypatch.setattr(recorder, "write_bytes", refused)
    said = []
    run = train("grid", out=tmp_path / "run", watchers=[Recorder(said.append)], **SETTINGS)
    assert run.status == "done"
    assert said == [
        "no clip could be written (cannot write: Read-only file system); the training goes on"
    ]


def test_an_evaluation_never_happened_is_not_recorded(tmp_path):
    watching = Recorder()
    watching.folder = tmp_path
    watching.ends(None)
    assert list(tmp_path.iterdir()) == []
