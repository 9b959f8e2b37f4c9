"""Many agents at once: each the agent that the single engine trains with its seed."""

from __future__ import annotations

import numpy as np
import pytest
from table_learners import TableConfig, learner, ring

from qlearn.algorithms.table.agents import Agents, train_agents
from qlearn.envs.registry import find
from qlearn.errors import UserError

SEEDS = [0, 5, 2**40, 2**63 - 1, *range(100, 131)]  # more than a task's share, not a multiple of 8


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("env", "settings"),
    [
        ("grid", {"lr": 0.5, "epsilon": 0.1}),
        ("grid", {"lr": "0.9->0.1", "epsilon": "exponential:1->0.1", "initial": 2.0}),
        ("ring", {"lr": 0.5, "epsilon": 0.3}),
    ],
    ids=["classic", "schedules", "three actions"],
)
def test_every_agent_is_bit_for_bit_the_single_one(env, settings, threads):
    environment = find("grid") if env == "grid" else ring(3, max_steps=11)
    agents = Agents(environment, TableConfig(steps=1500, **settings), SEEDS, threads)
    for steps in (1, 64, 700, 1500):
        agents.advance(steps)
    assert agents.updates == 1500 * len(SEEDS)
    for k in (0, 1, 2, 3, 7, 8, 31, 32, len(SEEDS) - 1):
        single = learner("numba", environment, seed=SEEDS[k], steps=1500, **settings)
        single.advance(1500)
        np.testing.assert_array_equal(agents.tables[k], single.values())
    assert len({table.tobytes() for table in agents.tables}) > len(SEEDS) / 2


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"slip": "0.2"}, {"lr": 0.5, "epsilon": 0.2}),
        ({}, {"rule": "sarsa", "lr": 0.5, "epsilon": 0.2}),
        ({}, {"lr": "visits:1", "epsilon": 0.2}),
        ({}, {"lr": 0.5, "epsilon": "decay:1->0.1@0.98/ep"}),
    ],
    ids=str,
)
def test_what_the_fast_twin_cannot_learn_is_learnt_all_the_same(options, settings):
    environment = find("grid", options)
    agents = train_agents(environment, TableConfig(steps=800, **settings), [3, 9], 2)
    for seed, table in zip([3, 9], agents.tables, strict=True):
        single = learner("numba", environment, seed=seed, steps=800, **settings)
        single.advance(800)
        np.testing.assert_array_equal(table, single.values())


def test_a_budget_in_episodes_ends_every_agent_after_its_own():
    config = TableConfig(steps=10**6, episodes=40, lr=0.5)
    agents = train_agents(find("grid"), config, [1, 2])
    single = learner("numba", seed=2, steps=10**6, episodes=40, lr=0.5, epsilon="1->0.1")
    single.advance(10**6)
    np.testing.assert_array_equal(agents.tables[1], single.values())
    assert agents.updates < 10_000


def test_going_back_in_time_does_nothing():
    agents = Agents(find("grid"), TableConfig(steps=500, lr=0.5), [1])
    agents.advance(500)
    before = agents.tables.copy()
    agents.advance(100)
    assert (agents.env_steps, agents.updates) == (500, 500)
    np.testing.assert_array_equal(agents.tables, before)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "one"])
def test_seeds_that_cannot_be(seed):
    with pytest.raises(UserError, match="a seed is a whole number"):
        Agents(find("grid"), TableConfig(steps=10), [0, seed])


def test_tables_that_would_not_fit_say_how_large_they_are(monkeypatch):
    monkeypatch.setattr("qlearn.algorithms.table.plan.LARGEST_TABLE_MB", 1)
    with pytest.raises(UserError, match=r"200,000 entries \(2 MB\), more than 1 MB"):
        Agents(find("grid"), TableConfig(steps=10), range(2000))
