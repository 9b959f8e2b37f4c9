"""Tabular Q-learning beside the classic script: 10,000 episodes one after another, and many agents.

The classic script is examples/classic/q_learning.py, unchanged, its learning timed without its
import. Every contender learns the same board with alpha 0.5, gamma 0.9, epsilon 0.1.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import arguments, rates, record
from qlearn.algorithms import registry
from qlearn.algorithms.table.agents import Agents
from qlearn.compare.measure import alternate
from qlearn.envs.registry import find

EPISODES = 10_000
AGENTS, STEPS_EACH = 512, 200_000

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "classic"))


def classic() -> float:
    """Episodes a second of the script as people write it."""
    import q_learning

    agent = q_learning.Agent()
    begun = time.perf_counter()
    agent.learn(EPISODES)
    return EPISODES / (time.perf_counter() - begun)


def engine(name: str) -> Callable[[], float]:
    environment = find("grid")
    config: Any = registry.configure(
        "table", {"episodes": EPISODES, "steps": 10**9}, environment, name
    )

    def measure() -> float:
        learner = registry.make_learner("table", name, environment, config, 0)
        begun = time.perf_counter()
        learner.advance(config.steps)
        return learner.episodes / (time.perf_counter() - begun)

    return measure


def agents(threads: int) -> Callable[[], float]:
    environment = find("grid")
    config: Any = registry.configure("table", {"steps": STEPS_EACH}, environment, "numba")

    def measure() -> float:
        together = Agents(environment, config, range(AGENTS), threads)
        begun = time.perf_counter()
        together.advance(STEPS_EACH)
        return together.updates / (time.perf_counter() - begun)

    return measure


def main() -> None:
    options = arguments(__doc__)
    episodes = alternate(
        {"classic script": classic, **{name: engine(name) for name in ENGINES}}, options.repeats
    )
    many = alternate(
        {f"{AGENTS} agents, 1 thread": agents(1), f"{AGENTS} agents, 2 threads": agents(2)},
        options.repeats,
    )
    tables = {
        "episodes": rates(f"{EPISODES:,} episodes", episodes, "classic script", "episodes/s"),
        "episodes_dict": rates(
            "The same beside our dict engine",
            {name: episodes[name] for name in ("dict", "numba")},
            "dict",
            "episodes/s",
        ),
        "agents": rates("Independent agents", many, f"{AGENTS} agents, 1 thread", "updates/s"),
    }
    record("table_speed", tables, options.record)


ENGINES = ("dict", "numba", "numpy", "torch")

if __name__ == "__main__":
    main()
