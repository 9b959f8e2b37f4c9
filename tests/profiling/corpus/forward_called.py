# rule: batch-of-one, grad-when-acting
# ruff: noqa
import random

import torch
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 64)
        self.out = nn.Linear(64, 2)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))


class Player:
    def __init__(self):
        self.network = Network()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)

    def choose(self, state, epsilon):
        values = self.network.forward(torch.unsqueeze(state, 0))
        return random.randrange(2) if random.random() < epsilon else values.argmax().item()

    def learn(self, states, actions, rewards):
        chosen = self.network.forward(states).gather(1, actions.unsqueeze(1)).squeeze(1)
        self.optimizer.zero_grad()
        ((chosen - rewards) ** 2).mean().backward()
        self.optimizer.step()


def play(steps):
    player, states = Player(), torch.rand(steps, 4)
    good = (states.sum(dim=1) > 2).long()
    actions = torch.zeros(steps, dtype=torch.long)
    for step in range(steps):
        actions[step] = player.choose(states[step], max(0.05, 1 - 2 * step / steps))
        if step % 100 == 99:
            recent = slice(step - 99, step + 1)
            rewards = (actions[recent] == good[recent]).float()
            player.learn(states[recent], actions[recent], rewards)
    return (actions == good).float().mean().item()


print(play(12_000))
