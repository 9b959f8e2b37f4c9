"""`qlearn compare` at the keyboard: a table on standard output, turns and the report beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qlearn.cli.compare import TAKEN
from qlearn.cli.main import main


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """One that sleeps and scores well, one that is done at once and scores badly."""
    monkeypatch.chdir(tmp_path)
    Path("slow.py").write_text("import time\ntime.sleep(0.5)\nprint('score: 5')\n")
    Path("fast.py").write_text("print('score: 3')\n")


def test_a_person_reads_a_line_for_every_contender(capsys, home):
    words = ["compare", "grid", "--engines", "dict, numpy", "--repeats", "1", "--set",
             "env.max_steps=3", "rule=sarsa", "--episodes", "5"]  # fmt: skip
    assert main(words) == 0
    captured = capsys.readouterr()
    *rows, verdict = [line.split("\t") for line in captured.out.splitlines()]
    assert [row[0] for row in rows] == ["grid dict", "grid numpy"]
    assert rows[0][2] == "1.00x [1.00 .. 1.00]"
    assert verdict == ["no winner: 1 turn is too few to tell; --repeats 5 at least"]
    said = captured.err.splitlines()
    assert "warmed up" in said
    assert "turn 1 of 1" in said
    assert said[-1].startswith(f"report: {home}")
    steps_per_second, seconds = float(rows[0][5].replace(",", "")), float(rows[0][1].split()[0])
    assert steps_per_second * seconds <= 16  # the settings have reached the training


def test_a_person_reads_who_has_won(capsys, scripts):
    assert main(["compare", "slow.py", "fast.py", "--repeats", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("fast.py is ")


def test_faster_but_worse_is_said(capsys, scripts):
    words = ["compare", "slow.py", "fast.py", "--repeats", "5", "--metric", r"score: (\d)"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] is None
    assert found["verdict"].startswith("no winner: fast.py is ")
    assert found["verdict"].endswith(", but scores worse: 3 against 5")
    assert main([*words, "--lower-is-better", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("; scores better: 3 against 5")


def test_nobody_wins_against_itself_by_chance(capsys, scripts):
    """The same script twice; what the clock says of it may differ, what is said may not lie."""
    assert main(["compare", "fast.py", "fast.py again", "--repeats", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    speedup = found["rows"][1]["speedup"]
    assert (found["winner"] is None) == (speedup["low"] <= 1.0 <= speedup["high"])


@pytest.mark.parametrize("key", TAKEN)
def test_what_an_option_says_no_setting_says(key, capsys):
    assert main(["compare", "grid", "--set", f"{key}=1"]) == 2
    assert f"there is no setting '{key}'" in capsys.readouterr().err
