"""A user's own file: the same games however it is run, and no edit goes unnoticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import qlearn

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_env.py"
LANDER = f"{EXAMPLE}:Lander"
STEPS = 400


def games(envs: int, engine: str = "numba", threads: int = 1) -> tuple[np.ndarray, ...]:
    """What the first five copies see and are paid over STEPS steps; copy i acts as it always does."""
    actions = np.random.default_rng(0).integers(0, 2, (2000, STEPS))
    seen, paid = [], []
    with qlearn.make(LANDER, envs=envs, seed=3, engine=engine, threads=threads) as batch:
        batch.reset()
        for step in range(STEPS):
            observations, rewards, *_ = batch.step(actions[:envs, step])
            seen.append(observations[:5].copy())
            paid.append(rewards[:5].copy())
    return np.array(seen), np.array(paid)


@pytest.fixture(scope="module")
def plain_games():
    return games(5, "python")


@pytest.mark.parametrize(
    ("envs", "threads"), [(5, 1), (64, 1), (64, 2), (1100, 1), (1100, 2), (2000, 3)]
)
def test_the_example_plays_the_same_games_everywhere(envs, threads, plain_games):
    for plain, compiled in zip(plain_games, games(envs, threads=threads), strict=True):
        np.testing.assert_array_equal(plain, compiled)


def test_one_copy_plays_the_first_game(plain_games):
    for plain, compiled in zip(plain_games, games(1), strict=True):
        np.testing.assert_array_equal(plain[:, :1], compiled)


def test_the_example_is_short():
    lines = [
        line.split("#")[0].strip() for line in EXAMPLE.read_text().split('"""')[2].splitlines()
    ]
    assert len([line for line in lines if line]) + 1 <= 30


def test_the_example_is_as_fast_as_a_built_in():
    def rate(batch) -> float:
        begun = time.perf_counter()
        return batch.rollout(5000) / (time.perf_counter() - begun)

    with qlearn.make(LANDER, envs=64) as own, qlearn.make("cartpole", envs=64) as ours:
        for batch in (own, ours):
            batch.reset()
            batch.rollout(10)
        rates = [(rate(own), rate(ours)) for _ in range(5)]
    assert max(own for own, _ in rates) > max(ours for _, ours in rates) / 3


# Editing what an environment imports.

ENVIRONMENT = """
from middle import moved


class Walk:
    actions = 2
    observation = (1,)
    max_steps = 5
    state = {"x": "float64"}

    def reset(state, rng):
        state.x = 0.0

    def step(state, action, rng):
        state.x = moved(state.x, action)
        return state.x, False

    def observe(state, obs):
        obs[0] = state.x
"""
MIDDLE = """
from deep import FAR, far

WIDE = 1.0


def moved(x, action):
    return x + WIDE * FAR * far(action)
"""
DEEP = """
FAR = 1.0


def far(action):
    return 1.0 + action
"""
RUN = """
import json, sys, qlearn
batch = qlearn.make(sys.argv[1] + ":Walk", envs=1)
batch.reset()
print(json.dumps([batch.kernels.fresh, *[float(batch.step([1])[1][0]) for _ in range(3)]]))
"""


class Folder:
    """Three files that import each other, and fresh processes that run them."""

    def __init__(self, path: Path) -> None:
        self.path, self.saves = path, 0
        for name, text in (("env.py", ENVIRONMENT), ("middle.py", MIDDLE), ("deep.py", DEEP)):
            self.save(name, text)

    def save(self, name: str, text: str) -> None:
        file = self.path / name
        file.write_text(text)
        # Python itself takes a file of the same size and second for unchanged.
        self.saves += 1
        os.utime(file, (time.time() + 2 * self.saves,) * 2)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert old in text
        self.save(name, text.replace(old, new))

    def run(self) -> tuple[bool, list[float]]:
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(self.path / "env.py")],
            capture_output=True, text=True, env={**os.environ, "QLEARN_CACHE": str(self.path / "c")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        fresh, *rewards = json.loads(done.stdout.splitlines()[-1])
        return fresh, rewards


def test_no_edit_of_what_it_imports_goes_unnoticed(tmp_path):
    folder = Folder(tmp_path)
    assert folder.run() == (True, [2.0, 4.0, 6.0])
    assert folder.run() == (False, [2.0, 4.0, 6.0])
    folder.edit("middle.py", "WIDE = 1.0", "WIDE = 3.0")
    assert folder.run() == (True, [6.0, 12.0, 18.0])
    folder.edit("deep.py", "FAR = 1.0", "FAR = 0.5")
    assert folder.run() == (True, [3.0, 6.0, 9.0])
    folder.edit("deep.py", "1.0 + action", "2.0 + action")
    assert folder.run() == (True, [4.5, 9.0, 13.5])
    folder.edit("deep.py", "2.0 + action", "1.0 + action")
    assert folder.run() == (False, [3.0, 6.0, 9.0])  # and what was known is still there
