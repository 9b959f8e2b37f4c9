"""The view in the terminal: its lines, when it shows, and that nobody else pays for it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from qlearn.cli import view
from qlearn.cli.console import Console
from qlearn.cli.sparkline import PLAIN
from qlearn.cli.view import Facts, TrainingView, lines

FACTS = Facts(
    share=0.25,
    env_steps=50_000,
    episodes=310,
    elapsed=61.2,
    remaining=183.4,
    steps_per_second=817.0,
    returns=[1.0, 2.0, 8.0],
    greedy=(195.5, 200.0, 48_000),
    stages=[("act", 0.2), ("learn", 0.78)],
)


def test_the_lines():
    assert lines(FACTS, 100) == [
        "training  ██████░░░░░░░░░░░░░░░░░░  25 %  1 min 01 s elapsed, 3 min 03 s left",
        "          50,000 steps, 310 episodes, 817 steps/s",
        "return    ▁▂█ 8",
        "greedy    195.5 at 48,000 steps (best 200)",
        "time      act 20 %  learn 78 %",
    ]


def test_before_anything_is_known_and_in_narrow_terminals():
    young = Facts(share=0.0, env_steps=0, episodes=0, elapsed=0.0, remaining=None,
                  steps_per_second=0.0)  # fmt: skip
    assert lines(young, 100, PLAIN)[0] == "training  ------------------------   0 %  0 s elapsed"
    assert len(lines(young, 100)) == 2
    for width in (1, 10, 30):
        assert max(map(len, lines(FACTS, width))) < max(width, 2)
        assert all(line.isascii() for line in lines(FACTS, width, PLAIN))


class Screen:
    def isatty(self):
        return True


def test_only_a_terminal_is_watched(monkeypatch):
    console = Console()
    assert view.for_console(console) == []  # pytest is no terminal
    monkeypatch.setattr(sys, "stderr", Screen())
    assert len(view.for_console(console)) == 1
    console.quiet = True
    assert view.for_console(console) == []
    console.quiet, console.json = False, True
    assert view.for_console(console) == []


class FakeTraining:
    env_steps, steps_per_second, train_seconds, best_mean = 500, 10.0, 50.0, 3.0
    share = 0.5

    class learner:
        episodes = 4

    class stages:
        @staticmethod
        def report():
            return []


class FakeLive:
    def __init__(self, took=0.0):
        self.took, self.pictures, self.stopped = took, [], False

    def update(self, text, refresh):
        self.pictures.append(text)
        time.sleep(self.took)

    def stop(self):
        self.stopped = True


@pytest.fixture
def shown(monkeypatch):
    def make(took):
        shows = TrainingView()

        def opens(self):
            self._live, self._blocks, self._text = FakeLive(took), PLAIN, lambda text, **_: text

        monkeypatch.setattr(TrainingView, "_open", opens)
        shows.begins(FakeTraining)
        return shows

    return make


def test_short_trainings_show_nothing(shown):
    shows = shown(0.0)
    assert not shows.wants(time.perf_counter())
    shows.ends(FakeTraining)
    assert shows.wants(time.perf_counter() + view.AFTER_SECONDS)


@pytest.mark.parametrize("took", [0.0, 0.01])
def test_pictures_take_less_than_one_percent(shown, took):
    shows = shown(took)
    begun = time.perf_counter()
    shows.looks(FakeTraining)
    assert not shows.wants(begun + view.LEAST_SECONDS - 0.01)
    assert not shows.wants(begun + 99 * took)
    shows.logged(FakeTraining, {"return": None})
    for value in range(300):
        shows.logged(FakeTraining, {"return": value})
    shows.judged(FakeTraining, {"eval": {"mean": 2.0}, "env_steps": 400})
    shows.looks(FakeTraining)
    assert "greedy    2 at 400 steps (best 3)" in shows._live.pictures[-1]
    assert len(shows._returns) == view.KEPT_RETURNS
    shows.ends(FakeTraining)
    assert shows._live.stopped


def in_a_terminal(command, folder):
    """What appears on a terminal, and the exit code."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "QLEARN_RUNS": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "qlearn", *command],
        stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, env=environment,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(leader)
    return seen.decode(), process.wait()


LONG = ["train", "grid", "--engine", "dict", "--seconds", "2.5", "--set", "eval_every=5000"]


def test_a_person_sees_it_and_it_is_gone_afterwards(tmp_path):
    seen, code = in_a_terminal(LONG, tmp_path)
    assert code == 0, seen
    assert re.search(r"training  [█░]{24} +\d+ % +\d\.\d s elapsed, .* left", seen)
    assert re.search(r"return    [▁▂▃▄▅▆▇█]+ -?\d", seen)
    assert re.search(r"greedy    -?\d+ at [\d,]+ steps \(best -?\d+\)", seen)
    assert re.search(r"time      .*learn \d+ %", seen)
    stages = re.findall(r"^  view +[\d.]+ s +([\d.]+) %", seen.replace("\r", ""), re.M)
    assert float(stages[0]) < 20  # rich was imported in it
    last = seen[seen.rindex("training  ") :]
    assert "\x1b[2K" in last  # the lines are wiped
    assert "grid by table on dict: greedy mean" in last


def test_quiet_it_is_not_there(tmp_path):
    seen, code = in_a_terminal([*LONG, "--quiet"], tmp_path)
    assert code == 0
    assert "training  " not in seen
    assert "\x1b" not in seen


def test_short_trainings_never_import_rich(tmp_path):
    script = (
        "import sys\nfrom qlearn.cli import view\nview.for_console = lambda console:"
        " [view.TrainingView()]\nfrom qlearn.cli.main import main\n"
        "main(['train', 'grid', '--engine', 'dict', '--steps', '2000'])\n"
        "print('rich' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env=os.environ | {"QLEARN_RUNS": str(tmp_path)}, check=True)  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"
