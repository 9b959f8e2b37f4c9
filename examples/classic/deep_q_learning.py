"""Deep Q-learning's update the way most people first write it: slow for reasons to learn from.

The target is filled in sample by sample, with a forward of the network for each; and the gradient
flows through it, because nothing is detached. `qlearn.QTrainer` takes the same calls and makes the
same steps without the loop.

    python examples/classic/deep_q_learning.py
"""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Linear_QNet(nn.Module):
    """One hidden layer."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.linear1 = nn.Linear(input_size, hidden_size)
        self.linear2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.linear2(F.relu(self.linear1(x)))

    def save(self, file_name="model.pth"):
        folder = "./model"
        os.makedirs(folder, exist_ok=True)
        torch.save(self.state_dict(), os.path.join(folder, file_name))


class QTrainer:
    """Adam on the mean squared error of all outputs, of which one a sample is wrong."""

    def __init__(self, model, lr, gamma):
        self.model, self.lr, self.gamma = model, lr, gamma
        self.optimizer = optim.Adam(model.parameters(), lr=lr)
        self.criterion = nn.MSELoss()

    def train_step(self, state, action, reward, next_state, done):
        state = torch.tensor(state, dtype=torch.float)
        next_state = torch.tensor(next_state, dtype=torch.float)
        action = torch.tensor(action, dtype=torch.long)
        reward = torch.tensor(reward, dtype=torch.float)
        if state.dim() == 1:  # a single sample is a batch of one
            state, next_state = state.unsqueeze(0), next_state.unsqueeze(0)
            action, reward = action.unsqueeze(0), reward.unsqueeze(0)
            done = (done,)

        pred = self.model(state)
        target = pred.clone()
        for i in range(len(done)):
            q_new = reward[i]
            if not done[i]:
                q_new = reward[i] + self.gamma * torch.max(self.model(next_state[i]))
            target[i][torch.argmax(action[i]).item()] = q_new

        self.optimizer.zero_grad()
        loss = self.criterion(target, pred)
        loss.backward()
        self.optimizer.step()


if __name__ == "__main__":
    torch.manual_seed(0)
    model = Linear_QNet(11, 256, 3)
    trainer = QTrainer(model, lr=0.001, gamma=0.9)
    states = torch.rand(1000, 11).round()
    actions = F.one_hot(torch.randint(3, (1000,)), 3)
    dones = (torch.rand(1000) < 0.1).tolist()
    rewards = [-10.0 if done else 0.0 for done in dones]
    trainer.train_step(
        states.tolist(), actions.tolist(), rewards, states.roll(-1, 0).tolist(), dones
    )
    model.save()
    print("one step on 1,000 samples; the model is in ./model/model.pth")
