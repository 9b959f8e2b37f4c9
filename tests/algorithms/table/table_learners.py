"""What the tests of the table engines share: learners by name, a toy world, equal states."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn.algorithms.registry import configure, make_learner
from qlearn.algorithms.table.config import TableConfig
from qlearn.envs import spec
from qlearn.envs.model import Model
from qlearn.envs.registry import find


def learner(engine: str, env: Any = "grid", options: dict | None = None, seed: int = 0, **settings):
    environment = find(env, options or {}) if isinstance(env, str) else env
    if env == "grid":
        settings = {"steps": 20_000, **settings}
    config = configure("table", settings, environment, engine)
    return make_learner("table", engine, environment, config, seed)


def copied(learner) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in learner.get_state().items()}


def assert_same_state(one, other) -> None:
    first, second = one.get_state(), other.get_state()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def ring(actions: int, states: int = 7, max_steps: int = 0):
    """A deterministic toy world: some places end the episode, every way has its own reward."""
    to = np.array([[(s * 3 + a * 2 + 1) % states for a in range(actions)] for s in range(states)])
    rewards = np.array(
        [[((s * 5 + a * 7) % 11) / 4 - 1 for a in range(actions)] for s in range(states)]
    )
    ends = to == states - 1

    class Ring:
        """Go round."""

        observation = states
        state = {"place": "int64"}
        state_number = "place"
        world = {"to": to.reshape(-1), "rewards": rewards.reshape(-1), "ends": ends.reshape(-1),
                  "ways": actions, "start": 2 % states}  # fmt: skip

        @staticmethod
        def reset(state, rng, world):
            state.place = world.start

        @staticmethod
        def step(state, action, rng, world):
            row = state.place * world.ways + action
            state.place = int(world.to[row])
            return world.rewards[row], world.ends[row]

        @staticmethod
        def observe(state, obs):
            obs[0] = state.place

        @staticmethod
        def model(world):
            start = np.zeros(states)
            start[2 % states] = 1.0
            shape = (states, actions, 1)
            return Model(to.reshape(shape), np.ones(shape), rewards.reshape(shape),
                         ends.reshape(shape), start)  # fmt: skip

    Ring.actions = actions
    Ring.max_steps = max_steps
    return spec.from_class(Ring, f"ring{actions}", "builtin")


__all__ = ["TableConfig", "assert_same_state", "copied", "learner", "ring"]
