"""What an environment practises is seen by every learner, and by nobody who judges it."""

from __future__ import annotations

import pytest

from qlearn.algorithms import registry
from qlearn.envs.registry import find

NETWORK = {"envs": 4, "hidden": "8", "steps": 100, "threads": 1}
LEARNERS = {
    ("pqn", "fused"): {**NETWORK, "rollout": 4, "minibatch": 16},
    ("pqn", "torch"): {**NETWORK, "rollout": 4, "minibatch": 16},
    ("dqn", "fused"): {**NETWORK, "replay": 200, "start": 20, "batch": 8},
    ("table", "numba"): {},
    ("table", "numpy"): {"envs": 4},
}


@pytest.mark.parametrize(("algo", "engine"), LEARNERS)
def test_learners_practise(algo, engine):
    options = {"size": 5, "retry": 0.25, "observation": "features"}
    if algo == "table":
        options["buckets"] = 2
    environment = find("snake", options)
    config = registry.configure(algo, LEARNERS[algo, engine], environment, engine)
    learner = registry.make_learner(algo, engine, environment, config, 0)
    games = getattr(learner, "batch", None) or learner
    world = games.world if hasattr(games.world, "retry") else games.world.world
    assert world.retry == 0.25
    judge = getattr(learner, "player", None) or learner.evaluator
    assert judge.world.retry == 0.0
