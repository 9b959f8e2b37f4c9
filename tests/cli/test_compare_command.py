"""`qlearn compare` at the keyboard: a table on standard output, turns and the report beside it."""

from __future__ import annotations

import json

import pytest

from qlearn.cli.main import main


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_a_person_reads_a_line_for_every_contender(capsys, home):
    words = ["compare", "grid", "--engines", "dict, numpy", "--repeats", "1", "--steps", "500"]
    assert main(words) == 0
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()]
    assert [row[0] for row in rows] == ["grid dict", "grid numpy"]
    assert rows[0][2] == "1.0x [1.0 .. 1.0]"
    said = captured.err.splitlines()
    assert "warmed up" in said
    assert "turn 1 of 1" in said
    assert said[-1].startswith(f"report: {home}")


def test_settings_reach_every_training(capsys):
    words = ["compare", "grid", "--engines", "dict", "--repeats", "1", "--episodes", "5"]
    assert main([*words, "--set", "env.max_steps=3", "rule=sarsa", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["steps_per_second"] * row["seconds"]["median"] <= 15.0 + 1e-6
