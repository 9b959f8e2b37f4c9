# rule: learn-every-step
# ruff: noqa
import random

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
rng = np.random.default_rng(0)

model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
target_model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
target_model.load_state_dict(model.state_dict())
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def train_step(states, actions, rewards, next_states, dones):
    with torch.no_grad():
        targets = rewards + 0.99 * (1 - dones) * target_model(next_states).amax(1)
    values = model(states).gather(1, actions.unsqueeze(1)).squeeze(1)
    loss = nn.functional.smooth_l1_loss(values, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Line:
    def __init__(self):
        self.x = 0.0

    def reset(self):
        self.x = 0.0
        return self.x

    def step(self, action):
        self.x += (0.1 if action else -0.1) + random.gauss(0, 0.05)
        return self.x, 1 - abs(self.x), abs(self.x) > 1


def train(steps):
    env = Line()
    states = np.zeros((10_000, 4), dtype=np.float32)
    next_states = np.zeros((10_000, 4), dtype=np.float32)
    actions = np.zeros(10_000, dtype=np.int64)
    rewards = np.zeros(10_000, dtype=np.float32)
    dones = np.zeros(10_000, dtype=np.float32)
    x = env.reset()
    for step in range(steps):
        action = random.randrange(2)
        next_x, reward, done = env.step(action)
        at = step % 10_000
        states[at, 0], next_states[at, 0], actions[at] = x, next_x, action
        rewards[at], dones[at] = reward, done
        chosen = rng.integers(min(step + 1, 10_000), size=64)
        train_step(
            torch.from_numpy(states[chosen]),
            torch.from_numpy(actions[chosen]),
            torch.from_numpy(rewards[chosen]),
            torch.from_numpy(next_states[chosen]),
            torch.from_numpy(dones[chosen]),
        )
        x = env.reset() if done else next_x


train(800)
