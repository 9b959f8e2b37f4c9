"""`qlearn set` and `qlearn save`: what they write, wait for and say."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

import qlearn
from qlearn.cli import set as command
from qlearn.cli.main import main
from qlearn.runs import requests


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def answer(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def trained():
    return qlearn.train("grid", engine="dict", steps=500)


def test_a_run_in_training_obeys(capsys, home):
    process = subprocess.Popen(
        [sys.executable, "-m", "qlearn", "train", "grid", "--engine", "dict", "--steps", "1e8"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(home.glob("*/run.json")) and process.poll() is None:
        time.sleep(0.01)
    (place,) = home.iterdir()
    found = answer(capsys, "set", "last", "epsilon=0.25", "lr=0.5->0.1@0.5")
    assert found["run"] == str(place)
    assert found["applied_at_step"] >= 0
    assert json.loads((place / "knobs.json").read_text()) == {"epsilon": 0.25, "lr": "0.5->0.1@0.5"}
    events = [json.loads(line) for line in (place / "metrics.jsonl").open() if '"event"' in line]
    assert events[0]["knobs"] == {"epsilon": 0.25, "lr": "0.5->0.1@0.5"}
    assert main(["set", "last", "epsilon=7"]) == 2
    assert capsys.readouterr().err == "qlearn: epsilon must be between 0 and 1, not 7\n"
    saved = answer(capsys, "save", "last")["checkpoint"]
    assert saved == str(place / "checkpoints" / "last.safetensors")
    requests.ask(qlearn.load("last").folder, "stop")
    assert process.wait() == 130
    assert "interrupted; qlearn train --resume" in process.stderr.read()


def test_of_a_run_that_nobody_trains_it_says_so(capsys, trained):
    assert answer(capsys, "set", "last", "epsilon=0.5") == {
        "run": str(trained.path), "applied_at_step": None,
    }  # fmt: skip
    assert main(["set", "last", "paused=true"]) == 0
    assert "from the next qlearn train --resume on" in capsys.readouterr().out
    assert json.loads((trained.path / "knobs.json").read_text()) == {"epsilon": 0.5, "paused": True}
    assert main(["save", "last"]) == 0
    assert capsys.readouterr().out.strip().endswith("checkpoints/last.safetensors")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epsilon"], "'epsilon' is not key=value"),
        (["=3"], "'=3' is not key=value"),
        (["epsilom=3"], "epsilom cannot change while"),
        (["paused=maybe"], "paused must be true or false, not maybe"),
        (["lr=" + "x" * 300], "lr must be a number or the text of a schedule"),
        (["lr=nan"], "lr must be a number, not nan"),
        (["lr=" + "1" * 300], "lr must be a number, not infinite"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(capsys, trained, words, message):
    assert main(["set", "last", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (trained.path / "knobs.json").exists()


def test_text_becomes_what_json_has():
    assert [command._value(text) for text in ("5", "5e-4", "True", "1->0", "10ep")] == [
        5, 5e-4, True, "1->0", "10ep",
    ]  # fmt: skip
