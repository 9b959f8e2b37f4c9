"""Learners that need no training: whoever plays by hand-made values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from qlearn.envs.registry import find


class HandPlayer:
    """As a network's player: the values of every action for what is seen."""

    def __init__(self, values):
        self.values = lambda observation, scale: np.asarray(values(observation), np.float64)


def by_hand(environment, values, **config):
    return SimpleNamespace(
        environment=environment,
        config=SimpleNamespace(**config),
        player=HandPlayer(values),
        scale=None,
        policy=lambda: None,
        env_steps=12_345,
    )


def balancer(steps=500):
    """Keeps the pole up for as long as it is asked."""

    def values(seen):
        falls_right = 0.3 * seen[0] + 0.5 * seen[1] + 3.0 * seen[2] + seen[3]
        return [10.0 - falls_right, 10.0 + falls_right]

    return by_hand(find("cartpole", {"max_steps": steps}), values)


def wanderer(target="snake", seed=0, **options):
    """Looks at what there is and does something."""
    environment = find(target, options)
    chooser = np.random.default_rng(seed)
    return by_hand(environment, lambda seen: chooser.random(environment.actions))


def tabulated(environment, table, **config):
    return SimpleNamespace(
        environment=environment,
        config=SimpleNamespace(initial=0.0, discount=0.9, **config),
        values=lambda: table,
        env_steps=7,
    )


def optimal(environment, discount=0.9):
    """The table (states, actions) that value iteration finds."""
    model = environment.model(environment.world())
    table = np.zeros((environment.observation, environment.actions))
    for _ in range(200):
        following = np.where(model.ended, 0.0, table.max(axis=1)[model.to])
        table = (model.chance * (model.reward + discount * following)).sum(axis=2)
    return table
