# rule: none
# ruff: noqa
import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
rng = np.random.default_rng(0)


def drift(states, actions):
    """Points on a line: pushed left or right, paid for staying near the middle."""
    states = states * 0.99
    states[:, 0] += np.where(actions == 1, 0.1, -0.1) + rng.normal(0, 0.05, len(states))
    done = np.abs(states[:, 0]) > 1
    rewards = (1 - np.abs(states[:, 0])).astype(np.float32)
    return np.where(done[:, None], np.float32(0), states).astype(np.float32), rewards, done


class QNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(4, 64)
        self.linear2 = nn.Linear(64, 2)

    def forward(self, x):
        return self.linear2(torch.relu(self.linear1(x)))


class Agent:
    """Double DQN on fresh batches."""

    def __init__(self):
        self.net, self.target_net = QNet(), QNet()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.epsilon, self.updates = 1.0, 0

    def act(self, states):
        with torch.no_grad():
            greedy = self.net(torch.from_numpy(states)).argmax(1).numpy()
        explores = rng.random(len(states)) < self.epsilon
        return np.where(explores, rng.integers(2, size=len(states)), greedy)

    def learn(self, states, actions, rewards, next_states, dones):
        values = self.net(states).gather(1, actions.unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            best = self.net(next_states).argmax(1, keepdim=True)
            next_values = self.target_net(next_states).gather(1, best).squeeze(1)
            targets = rewards + 0.99 * next_values * (1 - dones)
        loss = nn.functional.smooth_l1_loss(values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        self.epsilon = max(0.05, self.epsilon * 0.998)
        if self.updates % 200 == 0:
            self.target_net.load_state_dict(self.net.state_dict())
        return loss.detach()


def train(steps):
    agent = Agent()
    states = np.zeros((128, 4), dtype=np.float32)
    total_loss = torch.zeros(())
    for _ in range(steps):
        actions = agent.act(states)
        next_states, rewards, done = drift(states, actions)
        total_loss += agent.learn(
            torch.from_numpy(states),
            torch.from_numpy(actions),
            torch.from_numpy(rewards),
            torch.from_numpy(next_states),
            torch.from_numpy(done).float(),
        )
        states = next_states
    return total_loss.item() / steps


print(train(700))
