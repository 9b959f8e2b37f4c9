"""`qlearn calibrate`: measures once, keeps it whole or not at all, shows it; damage is no harm."""

from __future__ import annotations

import json

import pytest

import qlearn
from qlearn.auto import calibration, machine
from qlearn.auto.calibration import Place
from qlearn.auto.choice import numbers_of_threads
from qlearn.auto.machine import Machine
from qlearn.auto.work import Work
from qlearn.cli.main import main
from qlearn.compare import calibrate as measuring
from qlearn.compare.calibrate import WORKLOADS, Workload

TINY = (
    Workload("CartPole 8", "pqn", "cartpole", {"hidden": "8", "envs": 8, "rollout": 4}),
    Workload("CartPole 8", "dqn", "cartpole", {"hidden": "8", "start": 8, "replay": 400}),
)
RATE = calibration.Rate("pqn", "made up", False, "fused", "cpu", 1, 0.1, 100.0, 1e5)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A cache folder whose calibration is its own; kernels stay where they are."""
    home = tmp_path / "cache"
    home.mkdir()
    monkeypatch.setattr(calibration, "folder", lambda: home)
    monkeypatch.setattr(measuring, "WORKLOADS", TINY)
    monkeypatch.setattr(measuring, "REPEATS", 1)
    return home


@pytest.fixture
def unmeasured(monkeypatch):
    def fail(*_):
        raise AssertionError("it measures")

    monkeypatch.setattr(measuring, "measure", fail)


def keep(*rates):
    measuring.write_json(calibration.path(), calibration.content_of(rates))


def test_the_command_measures_shows_and_keeps(capsys, folder):
    """The real thing on small networks, with next to no time for each."""
    assert main(["calibrate", "--seconds", "0.01"]) == 0
    said = capsys.readouterr()
    cores = machine.here().cores
    rows = [line.split("\t") for line in said.out.splitlines()]
    many = len(numbers_of_threads(cores))
    assert [row[2] for row in rows].count("torch") == 2 * many
    assert 2 <= [row[2] for row in rows].count("fused") <= 2 * many  # small: not all are of use
    assert rows[0][:5] == ["pqn", "CartPole 8", "fused", "cpu", "1"]
    assert [row[6] for row in rows].count("fastest") == 2
    assert all(float(row[5].replace(",", "")) > 0 for row in rows)
    assert "CartPole 8 by pqn: fused on 1 thread" in said.err

    (file,) = folder.iterdir()
    assert str(file) in said.err
    kept = calibration.load()
    assert [str(rate.threads) for rate in kept.rates] == [row[4] for row in rows]
    assert kept.best("dqn", Place("fused"), Work(100, 0.1, 1e5)) is not None


def test_measured_once_unless_asked_again(capsys, folder, monkeypatch, unmeasured):
    keep(RATE)
    assert main(["calibrate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"file", "measured", "machine", "rates"}
    assert found["file"] == str(calibration.path())
    assert found["rates"][0]["steps_per_second"] == 1e5
    assert found["machine"].keys() == {"processor", "cores", "gpu", "torch", "cuda"}
    assert qlearn.compare.calibrate.calibrate() == qlearn.calibrate() == found
    other = RATE.__class__(**{**vars(RATE), "threads": 2})
    monkeypatch.setattr(measuring, "measure", lambda *_: [other])
    assert qlearn.calibrate(again=True)["rates"][0]["threads"] == 2


@pytest.mark.parametrize(
    "damaged",
    [
        "", "{", "[]", "null", '{"key": "KEY"}', '{"key": "KEY", "measured": "", "rates": []}',
        '{"key": "KEY", "measured": "", "rates": [{"algo": "pqn"}]}',
        '{"key": "KEY", "measured": "", "rates": 3}', '{"key": "another", "rates": []}',
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_measured_anew(folder, monkeypatch, damaged):
    calibration.path().write_text(damaged.replace("KEY", calibration.key()))
    assert calibration.load() is None
    monkeypatch.setattr(measuring, "measure", lambda *_: [RATE])
    qlearn.calibrate()
    assert calibration.load().rates == (RATE,)


@pytest.mark.parametrize("wrong", [0, -1.0, "fast", None, float("nan")])
def test_figures_that_cannot_be_are_not_believed(folder, wrong):
    keep(RATE)
    content = json.loads(calibration.path().read_text())
    content["rates"][0]["steps_per_second"] = wrong
    calibration.path().write_text(json.dumps(content))
    assert calibration.load() is None


def test_figures_of_another_machine_or_of_other_versions_do_not_count(folder, monkeypatch):
    keep(RATE)
    assert calibration.load() is not None
    with monkeypatch.context() as other:
        other.setattr(machine, "here", lambda: Machine("another", 2))
        assert calibration.load() is None
        keep(RATE)
        assert len(list(folder.iterdir())) == 2
    for place, name, value in (
        (machine, "version_of", lambda package: "0"), (calibration, "SOURCES", ("rng.py",)),
    ):  # fmt: skip
        with monkeypatch.context() as other:
            other.setattr(place, name, value)
            calibration.key.cache_clear()
            assert calibration.load() is None
        calibration.key.cache_clear()
    assert calibration.load() is not None


def test_interrupted_it_leaves_what_was_known(capsys, folder, monkeypatch):
    keep(RATE)
    before = calibration.path().read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "_steps_per_second", interrupt)
    assert main(["calibrate", "--again"]) == 130
    assert capsys.readouterr().err == "qlearn: interrupted\n"
    assert [file.read_bytes() for file in folder.iterdir()] == [before]


@pytest.mark.parametrize(
    ("words", "message"),
    [("--seconds 0", "must be above 0"), ("--seconds soon", "'soon' is no number"),
     ("cartpole", "unrecognized arguments")],
)  # fmt: skip
def test_bad_options_are_one_line(capsys, folder, unmeasured, words, message):
    assert main(["calibrate", *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_train_says_what_was_measured_and_what_it_chose(capsys, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    words = ["train", "cartpole", "--steps", "300", "--set", "hidden=8", "envs=8"]
    assert main(words) == 0
    assert "by a rule; qlearn calibrate measures" in capsys.readouterr().err.splitlines()[0]
    keep(RATE)
    assert main(words) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("fused on 1 thread: about ")
    assert said.endswith(" steps/s here")
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_resumed_run_keeps_what_was_chosen_for_it(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    how = {"hidden": "8", "envs": 8, "rollout": 8}
    run = qlearn.train("cartpole", engine="torch", steps=64, **how)
    assert (run.report["engine"], run.report["device"], run.report["threads"]) == (
        "torch",
        "cpu",
        1,
    )
    keep(*(RATE.__class__(**{**vars(RATE), "engine": "torch", "threads": 2}),))
    said = []
    more = qlearn.train(resume=run.path, steps=128, threads=0, say=said.append)
    assert (more.report["engine"], more.report["threads"]) == ("torch", 1)
    assert said[0] == f"{run.path.name} goes on at step 64"
    assert not any("thread" in line or "engine" in line for line in said)


def test_without_torch_only_compiled_code_is_measured(monkeypatch):
    monkeypatch.setattr(machine, "here", lambda: Machine("made up", 2, torch=False))
    found = [measuring.places(workload) for workload in WORKLOADS]
    assert {place.engine for places in found for place in places} == {"fused"}
    monkeypatch.setattr(machine, "here", lambda: Machine("made up", 1, gpu="one", cuda=True))
    monkeypatch.setattr(machine, "cuda_works", lambda: True)
    assert measuring.places(TINY[0]) == [
        Place("fused"), Place("torch"), Place("torch", "cuda"),
    ]  # fmt: skip
