# rule: keras-predict
# ruff: noqa
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site-packages"))
from keras import Sequential

AGENTS = 16
rng = np.random.default_rng(0)


class DQNAgent:
    def __init__(self):
        self.model = Sequential([4, 24, 2])
        self.epsilon = 1.0

    def act(self, states):
        values = self.model.predict(states, verbose=0)
        explores = rng.random(AGENTS) < self.epsilon
        return np.where(explores, rng.integers(2, size=AGENTS), values.argmax(axis=1))


def train(steps):
    agent = DQNAgent()
    states = np.zeros((AGENTS, 4))
    for step in range(steps):
        agent.epsilon = max(0.05, 1 - 2 * step / steps)
        actions = agent.act(states)
        states = np.clip(states + (actions * 2 - 1)[:, None] * 0.1, -1, 1)
    return agent


print(train(20_000).epsilon)
