"""`qlearn compare` at the keyboard: a table on standard output, turns and the report beside it."""

from __future__ import annotations

import json

import pytest

from qlearn.cli.compare import TAKEN
from qlearn.cli.main import main
from qlearn.compare import compare as module
from qlearn.compare.contenders import Cost, Measurement


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


class Fake:
    """A contender that always takes so long, and scores so much."""

    def __init__(self, name, seconds, score):
        self.name = name
        self._measured = Measurement(Cost(seconds, seconds), 1.0, metric=score)

    def prepare(self):
        pass

    def measure(self, seed):
        return self._measured


@pytest.fixture
def fakes(monkeypatch):
    made = [Fake("slow.py", 2.0, 5.0), Fake("fast.py", 1.0, 3.0)]
    monkeypatch.setattr(module, "contenders", lambda *_: made)


def test_a_person_reads_a_line_for_every_contender(capsys, home):
    words = ["compare", "grid", "--engines", " dict", "--repeats", "1", "--set",
             "env.max_steps=3", "rule=sarsa", "--episodes", "5"]  # fmt: skip
    assert main(words) == 0
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()]
    assert [row[0] for row in rows] == ["grid dict"]
    assert rows[0][2] == "1.00x [1.00 .. 1.00]"
    said = captured.err.splitlines()
    assert "warmed up" in said
    assert "turn 1 of 1" in said
    assert said[-1].startswith(f"report: {home}")
    steps_per_second, seconds = float(rows[0][5].replace(",", "")), float(rows[0][1].split()[0])
    assert steps_per_second * seconds <= 16  # the settings have reached the training


def test_faster_but_worse_is_said(capsys, fakes):
    assert main(["compare", "slow.py", "fast.py", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] is None
    words = "fast.py is 2.00x as fast as slow.py (2.00 to 2.00)"
    assert found["verdict"] == f"no winner: {words}, but scores worse: 3 against 5"
    assert main(["compare", "slow.py", "fast.py", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == found["verdict"]


def test_of_a_loss_less_is_better(capsys, fakes):
    assert main(["compare", "slow.py", "fast.py", "--lower-is-better", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] == "fast.py"
    assert found["verdict"].endswith("; scores better: 3 against 5")


def test_the_sides_are_shown_side_by_side(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("def work():\n    return sum(range(5_000_000))\nwork()\n")
    words = ["compare", "one.py", "two.py", "--repeats", "1", "--profile", "--plot", "both.png"]
    assert main(words) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split() for line in lines if line.startswith("stage ")] == [
        ["stage", "one.py", "two.py"]
    ]
    first = next(line for line in lines if line.startswith("1 "))
    assert first.count("work") == 2
    assert captured.err.splitlines()[-1] == f"plot: {tmp_path}/both.png"


@pytest.mark.parametrize("key", TAKEN)
def test_what_an_option_says_no_setting_says(key, capsys):
    assert main(["compare", "grid", "--set", f"{key}=1"]) == 2
    assert f"there is no setting '{key}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grid", "--metric", "x"], "--metric is for scripts"),
        (["a.py", "--engines", "dict"], "--engines is for trainings of qlearn"),
        (["a.py", "--set", "lr=0.1"], "--set is for trainings of qlearn"),
        (["a.py", "--plot", "a.gif"], "must end in .png or .svg, not 'a.gif'"),
    ],
)
def test_what_cannot_be_heeded_is_one_line(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("")
    assert main(["compare", *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
