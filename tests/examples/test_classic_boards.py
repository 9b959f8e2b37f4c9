"""The board of the classic script for many agents at once: what both learn is the board's optimum."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qlearn.algorithms.table import exact
from qlearn.envs.model import model_of
from qlearn.envs.registry import find

CLASSIC = Path(__file__).parents[2] / "examples" / "classic"


def load(name):
    """The script as a module of this test's own: which library it found stays with it."""
    spec = importlib.util.spec_from_file_location(f"classic_{name}", CLASSIC / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Board:
    """A script, its library, and what they are called."""

    def __init__(self, name, library):
        self.name, self.library = name, library
        self.script = load(f"{name}_q_learning")
        self.run = getattr(self.script, f"run_{name}_q_learning")

    def array(self, values):
        make = self.library.tensor if self.name == "pytorch" else self.library.array
        return make(values)

    def numbers(self, values):
        return np.array(values.tolist())


@pytest.fixture(params=["pytorch", "cupy as NumPy", "cupy"])
def board(request, monkeypatch):
    monkeypatch.syspath_prepend(str(CLASSIC))
    if request.param == "pytorch":
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        return Board("pytorch", torch)
    if request.param == "cupy":
        cupy = pytest.importorskip("cupy", reason="CuPy is not installed; it needs an NVIDIA GPU")
        if not cupy.is_available():
            pytest.skip("CuPy needs an NVIDIA GPU")
        return Board("cupy", cupy)
    np.random.seed(0)  # noqa: NPY002 - the script draws so
    monkeypatch.setitem(sys.modules, "cupy", np)  # its calls are NumPy's
    return Board("cupy", np)


def test_it_learns_the_optimum(board):
    """Rewards of arrival; a terminal place is left before anything is learned there."""
    table = board.script.new_table()
    rewards = board.run(256, 2000, Q=table)
    environment = find("grid", {"reward": "arrival"})
    model = model_of(environment)
    optimum = exact.solve(model, 0.9)
    learned = board.numbers(table).reshape(25, 4)
    ends = [5 * row + column for row, column in [*board.script.HOLE_STATE, board.script.WIN_STATE]]
    assert (learned[ends] == 0).all()
    places = np.setdiff1d(np.arange(25), ends)
    np.testing.assert_allclose(learned[places], optimum.table[places], atol=0.01)
    assert len(rewards) == 2000
    assert -5 * 256 <= min(rewards) < max(rewards) <= 256


def test_its_moves_and_rewards_are_those_of_the_grid(board):
    environment = find("grid", {"reward": "arrival"})
    model = model_of(environment)
    ended = model.ended[:, :, 0]
    for action in range(4):
        places = [k for k in range(25) if board.script.HOLE_STATE.count(divmod(k, 5)) == 0][:-1]
        states = board.array([divmod(k, 5) for k in places])
        after = board.script.compute_next_states(states, board.array([action] * len(places)))
        assert (board.numbers(after) @ [5, 1] == model.to[places, action, 0]).all()
        rewards = board.numbers(board.script.get_reward(after))
        assert (rewards == model.reward[places, action, 0]).all()
        assert (np.isin(rewards, (1, -5)) == ended[places, action]).all()


def test_it_keeps_one_of_two_equal_updates(board):
    """What is said of it; `profile` finds it as `lost-updates`."""
    table = board.script.new_table()
    twice = board.array([[0, 0], [0, 0]])
    rewards = board.array([-1.0, -1.0])
    board.script.update_q(table, twice, board.array([3, 3]), rewards, board.array([[0, 1], [0, 1]]))
    assert board.numbers(table)[0, 0, 3] == -0.5  # one of them; two would be -0.75


def test_it_makes_a_table_of_its_own(board):
    assert len(board.run(8, 5)) == 5


def test_the_script_prints_its_table():
    pytest.importorskip("torch")
    script = CLASSIC / "pytorch_q_learning.py"
    done = subprocess.run(
        [sys.executable, script, "16", "20"], capture_output=True, text=True, check=True
    )
    assert [len(line.split()) for line in done.stdout.splitlines()] == [5] * 5


def test_main_profiles_and_compares_both(tmp_path):
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, CLASSIC / "main.py", "--repeats", "1", "--json", "--out", "both.html"],
        cwd=tmp_path, env=os.environ | {"QLEARN_RUNS": str(tmp_path / "runs")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    scripts = ["q_learning.py", "pytorch_q_learning.py"]
    assert [Path(row["name"].split()[0]).name for row in found["rows"]] == scripts
    assert [Path(side["target"]).name for side in found["profiles"]] == scripts
    functions = [{spot["function"] for spot in side["hotspots"]} for side in found["profiles"]]
    assert "Agent.Q_Learning" in functions[0]
    assert "update_q" in functions[1]
    page = (tmp_path / "both.html").read_text()
    assert "/q_learning.py 2000" in page
    assert "/pytorch_q_learning.py 64 200" in page


def test_importing_the_scripts_does_nothing(tmp_path):
    pytest.importorskip("torch")
    names = "q_learning_mended, pytorch_q_learning, cartpole_dqn, snake_train, q_trainer, main"
    code = (
        "import sys, random; before = random.getstate(); sys.path.insert(0, sys.argv[1])\n"
        f"import {names}; assert random.getstate() == before\n"
        "assert 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(CLASSIC)], cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
