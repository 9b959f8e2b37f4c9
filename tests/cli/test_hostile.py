"""Command lines that nobody would write: a correct run, or exit code 2 with one line.

QLEARN_TRIALS=1000 tries more of them than a test of every day does.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import hostile


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="needs signals of POSIX")
def test_hostile_command_lines_end_well(monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", "runs")  # is restored; the trials have a folder of their own
    before = signal.getsignal(signal.SIGALRM)
    try:
        tried, wrong = hostile.trials(int(os.environ.get("QLEARN_TRIALS", "150")))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert wrong == []
    assert tried["train"] > 0.2 * tried.total()
    assert len(tried) > 12


def test_a_bad_line_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def main(words):
        print("qlearn: one", *words, sep="\n", file=sys.stderr)
        if words[0] == "raises":
            raise ValueError("no")
        if words[0] == "leaves":
            Path("left").write_text("")
        return 1 if words[0] == "fails" else 2

    monkeypatch.setattr(hostile.cli, "main", main)
    for word, said in (("raises", "raises ValueError"), ("fails", "exit code 1"), ("", "says 1")):
        assert said in hostile.fault([word], tmp_path)
    monkeypatch.setattr(hostile.cli, "main", lambda words: Path("left").write_text("") or 2)
    assert "says 0 lines" in hostile.fault(["x"], tmp_path)
