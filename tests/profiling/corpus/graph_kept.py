# rule: graph-kept
# ruff: noqa
import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
rng = np.random.default_rng(0)

model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def batch(size):
    states = torch.rand(size, 4)
    actions = torch.randint(2, (size,))
    return states, actions, torch.rand(size), torch.rand(size, 4), (torch.rand(size) < 0.1).float()


def train(steps):
    total_loss = 0
    for _ in range(steps):
        states, actions, rewards, next_states, dones = batch(8)
        with torch.no_grad():
            targets = rewards + 0.99 * (1 - dones) * model(next_states).amax(1)
        values = model(states).gather(1, actions.unsqueeze(1)).squeeze(1)
        loss = nn.functional.mse_loss(values, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss
    return total_loss


print(train(2_500))
