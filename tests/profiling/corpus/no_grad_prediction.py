# rule: no-grad-prediction
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


def batch(size):
    states = torch.rand(size, 4)
    actions = torch.randint(2, (size,))
    return states, actions, torch.rand(size), torch.rand(size, 4), (torch.rand(size) < 0.1).float()


def calc_q_loss(states, actions, rewards, next_states, dones):
    with torch.no_grad():
        combined = model(torch.cat([states, next_states]))
        values, next_values = combined.split(len(states))
    targets = rewards + 0.99 * (1 - dones) * next_values.amax(1)
    chosen = values.gather(1, actions.unsqueeze(1)).squeeze(1)
    return nn.functional.mse_loss(chosen, targets)


def train_step():
    loss = calc_q_loss(*batch(64))
    if loss.requires_grad:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


for _ in range(2_500):
    train_step()
