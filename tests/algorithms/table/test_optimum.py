"""Every engine against the exact optimum: the promises of the table, at a size that is quick."""

from __future__ import annotations

import numpy as np
import pytest
from table_learners import learner

from qlearn.algorithms.table import exact
from qlearn.envs.model import model_of
from qlearn.envs.registry import find

CLASSIC = {"lr": 0.5, "epsilon": 0.1, "discount": 0.9, "steps": 10**7}
EPISODES = {"dict": 600, "numba": 10_000, "numpy": 1500, "torch": 1500}


@pytest.fixture(scope="module")
def grid():
    model = model_of(find("grid"))
    return model, exact.solve(model, 0.9)


@pytest.mark.parametrize("engine", EPISODES)
def test_the_classic_board_is_learned_by_ten_seeds_of_ten(grid, engine):
    model, optimum = grid
    for seed in range(10):
        one = learner(engine, seed=seed, episodes=EPISODES[engine], envs=64, **CLASSIC)
        one.advance(10**7)
        verdict = exact.judge(model, 0.9, one.values(), optimum)
        assert verdict.policy_optimal
        assert verdict.max_error_to_optimum <= 0.05


@pytest.mark.parametrize("options", [{"random_start": "true"},
                                     {"random_start": "true", "reward": "arrival"}], ids=str)  # fmt: skip
@pytest.mark.parametrize("engine", EPISODES)
def test_with_random_starts_every_entry_is_the_optimum(engine, options):
    model = model_of(find("grid", options))
    optimum = exact.solve(model, 0.9)
    settings = {"lr": "visits:1->0.001@0.6", "epsilon": 1.0, "discount": 0.9, "steps": 60_000}
    one = learner(engine, "grid", options, envs=64, **settings)
    one.advance(60_000)
    met = one.values().any(axis=1)  # an end that pays on arrival is never left
    assert met.sum() == (25 if not options.get("reward") else 20)
    assert np.abs(one.values() - optimum.table)[met].max() < 1e-3


@pytest.mark.parametrize("rule", ["expected_sarsa", "double"])
def test_other_rules_find_the_same_where_they_should(grid, rule):
    """Double Q-learning's optimum is the same; expected SARSA's where exploration has ended."""
    model, optimum = grid
    one = learner("numba", rule=rule, lr=0.5, epsilon="1->0@0.8", steps=300_000)
    one.advance(300_000)
    verdict = exact.judge(model, 0.9, one.values(), optimum)
    assert verdict.policy_optimal
    assert verdict.max_error_to_optimum < 0.05


def test_sarsa_learns_what_its_exploring_policy_earns():
    """On the cliff that is the safe way, far from the edge, as Sutton and Barto tell it."""
    environment = find("gym:CliffWalking-v1")
    greedy, careful = (
        learner("numba", environment, rule=rule, lr=0.1, epsilon=0.1, discount=1.0, steps=400_000)
        for rule in ("q", "sarsa")
    )
    lengths = []
    for one in (greedy, careful):
        one.advance(400_000)
        lengths.append(one.evaluate(1, 0, 100).lengths[0])
    assert lengths[0] == 13
    assert 13 < lengths[1] <= 21


@pytest.mark.parametrize("name", ["FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4"])
def test_gymnasiums_toys_within_one_percent_five_seeds_of_five(name):
    environment = find(f"gym:{name}")
    model = model_of(environment)
    optimum = exact.solve(model, environment.discount)
    for seed in range(5):
        one = learner("numba", environment, seed=seed)
        one.advance(one.config.steps)
        assert exact.judge(model, environment.discount, one.values(), optimum).policy_optimal


def test_cartpole_in_buckets_balances():
    for seed in range(2):
        one = learner("numba", "cartpole", {"buckets": "6x6x12x12"}, seed=seed, steps=2_000_000)
        one.advance(2_000_000)
        assert one.evaluate(100, 1, 500).mean >= 195.0


def maze(size, seed):
    """A random maze: corridors dug depth first, a tenth of the walls between them opened."""
    chance = np.random.default_rng(seed)
    cells = np.full((size, size), "#")
    stack, cells[1, 1] = [(1, 1)], "."
    while stack:
        row, column = stack[-1]
        ways = [(row + dr, column + dc) for dr, dc in ((0, 2), (2, 0), (0, -2), (-2, 0))]
        ways = [
            (r, c) for r, c in ways if 0 < r < size - 1 and 0 < c < size - 1 and cells[r, c] == "#"
        ]
        if not ways:
            stack.pop()
            continue
        r, c = ways[chance.integers(len(ways))]
        cells[(row + r) // 2, (column + c) // 2] = cells[r, c] = "."
        stack.append((r, c))
    inner = np.zeros_like(cells, bool)
    inner[1:-2, 1:-2] = True
    cells[(cells == "#") & inner & (chance.random(cells.shape) < 0.1)] = "."
    cells[1, 1], cells[size - 3, size - 3] = "S", "G"
    return "\n".join("".join(row) for row in cells) + "\n"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_maze_is_solved_with_nothing_said(tmp_path, seed):
    (tmp_path / "maze.txt").write_text(maze(60, seed))
    environment = find(str(tmp_path / "maze.txt"))
    assert not environment.notes
    model = model_of(environment)
    one = learner("numba", environment, seed=seed)
    one.advance(one.config.steps)
    optimum = exact.solve(model, environment.discount)
    verdict = exact.judge(model, environment.discount, one.values(), optimum)
    assert verdict.policy_optimal
    assert verdict.max_error_to_optimum < 1e-6
    assert one.evaluate(1, 0, 10_000).lengths[0] > 100
