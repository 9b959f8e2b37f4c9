# rule: none
# ruff: noqa
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


def drift(states, actions):
    """Points on a line: pushed left or right, paid for staying near the middle."""
    states = states * 0.99
    states[:, 0] += np.where(actions == 1, 0.1, -0.1) + rng.normal(0, 0.05, len(states))
    done = np.abs(states[:, 0]) > 1
    rewards = (1 - np.abs(states[:, 0])).astype(np.float32)
    return np.where(done[:, None], np.float32(0), states).astype(np.float32), rewards, done


def train_step(states, actions, rewards, next_states, dones):
    with torch.no_grad():
        targets = rewards + 0.99 * (1 - dones) * target_model(next_states).amax(1)
    values = model(states).gather(1, actions.unsqueeze(1)).squeeze(1)
    loss = nn.functional.smooth_l1_loss(values, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class ReplayBuffer:
    def __init__(self, size):
        self.states = np.zeros((size, 4), dtype=np.float32)
        self.next_states = np.zeros((size, 4), dtype=np.float32)
        self.actions = np.zeros(size, dtype=np.int64)
        self.rewards = np.zeros(size, dtype=np.float32)
        self.dones = np.zeros(size, dtype=np.float32)
        self.size, self.at, self.filled = size, 0, 0

    def add(self, states, actions, rewards, next_states, dones):
        at = slice(self.at, self.at + len(actions))
        self.states[at], self.next_states[at] = states, next_states
        self.actions[at], self.rewards[at], self.dones[at] = actions, rewards, dones
        self.at = (self.at + len(actions)) % self.size
        self.filled = min(self.filled + len(actions), self.size)

    def sample(self, count):
        chosen = rng.integers(self.filled, size=count)
        arrays = (self.states, self.actions, self.rewards, self.next_states, self.dones)
        return [torch.from_numpy(array[chosen]) for array in arrays]


@torch.inference_mode()
def act(states, epsilon):
    greedy = model(torch.from_numpy(states)).argmax(1).numpy()
    explores = rng.random(len(states)) < epsilon
    return np.where(explores, rng.integers(2, size=len(states)), greedy)


def train(steps):
    buffer = ReplayBuffer(65_536)
    states = np.zeros((64, 4), dtype=np.float32)
    for step in range(steps):
        actions = act(states, max(0.05, 1 - 2 * step / steps))
        next_states, rewards, done = drift(states, actions)
        buffer.add(states, actions, rewards, next_states, done)
        train_step(*buffer.sample(128))
        if step % 100 == 0:
            target_model.load_state_dict(model.state_dict())
        states = next_states


train(700)
