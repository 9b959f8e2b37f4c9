"""Command lines that nobody would write: a correct run, or exit code 2 with one line.

QLEARN_TRIALS=1000 tries more of them than a test of every day does.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import hostile

TRIALS = int(os.environ.get("QLEARN_TRIALS", "150"))


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="needs signals of POSIX")
def test_hostile_command_lines_end_well():
    settings = list(hostile.every_setting())
    random.Random(0).shuffle(settings)
    tried, wrong = hostile.trials(TRIALS, networks=0.2, more=islice(settings, TRIALS // 3))
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
