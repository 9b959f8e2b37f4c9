"""The classic script: importable, and the reference that the dict engine behaves like."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qlearn.algorithms.registry import configure, make_learner
from qlearn.algorithms.table import exact
from qlearn.envs.model import model_of
from qlearn.envs.registry import find

SCRIPT = Path(__file__).parents[2] / "examples" / "classic" / "q_learning.py"


@pytest.fixture(scope="module")
def classic():
    spec = importlib.util.spec_from_file_location("classic_q_learning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def learned(classic):
    random.seed(0)
    agent = classic.Agent()
    agent.learn(3000)
    table = np.zeros((25, 4))
    for (row, column, action), value in agent.Q.items():
        table[5 * row + column, action] = value
    return agent, table


def test_importing_it_does_nothing():
    code = (
        "import sys, random; before = random.getstate(); sys.path.insert(0, sys.argv[1])\n"
        "import q_learning; assert random.getstate() == before\n"
        "assert 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPT.parent)], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_as_a_script_it_prints_what_it_learned():
    done = subprocess.run(
        [sys.executable, SCRIPT, "300"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [len(line.split()) for line in lines[:5]] == [5] * 5
    assert lines[4].split()[4] == "1.000"
    assert lines[5].startswith("mean return of the last 100 episodes: -")


def test_it_learns_the_optimal_policy(learned):
    model = model_of(find("grid"))
    verdict = exact.judge(model, 0.9, learned[1], exact.solve(model, 0.9))
    assert verdict.policy_optimal
    assert verdict.max_error_to_optimum < 0.01


def test_the_dict_engine_with_three_decimals_finds_the_same_optimum(learned):
    environment = find("grid")
    settings = {"lr": 0.5, "epsilon": 0.1, "round_to": 3, "episodes": 3000, "steps": 10**7}
    config = configure("table", settings, environment, "dict")
    ours = make_learner("table", "dict", environment, config, 0)
    ours.advance(10**7)
    model = model_of(environment)
    on_the_way = exact.reachable(model, ours.values().argmax(axis=1))
    best = ours.values().max(axis=1)[on_the_way]
    np.testing.assert_allclose(best, learned[1].max(axis=1)[on_the_way], atol=0.005)
    assert (ours.values().argmax(axis=1) == learned[1].argmax(axis=1))[on_the_way].all()


def test_its_board_is_the_grid(classic):
    """Same rewards, same moves, same ends, at every place and for every action."""
    model = model_of(find("grid"))
    for place, action in np.ndindex(25, 4):
        state = classic.State(divmod(place, 5))
        state.look_whether_ended()
        assert model.reward[place, action, 0] == state.reward()
        assert model.ended[place, action, 0] == state.is_end
        if not state.is_end:
            row, column = state.next_place(action)
            assert model.to[place, action, 0] == 5 * row + column


def test_its_returns_are_those_of_whole_episodes(learned):
    agent, _ = learned
    assert len(agent.rewards) == 3000
    assert max(agent.rewards) == -6  # the first hole is one step away
    assert np.median(agent.rewards[-500:]) == -7  # eight steps, and the goal
    assert np.mean(agent.rewards[-500:]) > np.mean(agent.rewards[:50])
