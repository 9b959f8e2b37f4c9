# rule: loop-over-batch
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


def train_step(states, actions, rewards, next_states, dones):
    pred = model(states)
    target = pred.detach().clone()
    with torch.no_grad():
        for i in range(len(dones)):
            q_new = rewards[i]
            if not dones[i]:
                q_new = rewards[i] + 0.99 * torch.max(target_model(next_states[i]))
            target[i][actions[i]] = q_new
    loss = nn.functional.mse_loss(pred, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


for _ in range(25):
    train_step(*batch(512))
