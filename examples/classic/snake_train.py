"""Snake by DQN on the whole board, the way most people first write it: slow for reasons to learn from.

One game at a time on a board of numbers that is made anew for every step, a body that is searched
cell by cell, and a replay after every step. The rules and the numbers on the board (1 body, 2 head,
3 food) are those of qlearn's `snake` with `env.observation=flat env.actions=absolute`.

    python examples/classic/snake_train.py [episodes] [max_steps]
"""

import random
import sys
from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

CONFIG = {
    "train_mode": True,  # False plays greedily what `model_file` has learned
    "episodes": 50_000,
    "max_steps": 500,
    "batch_size": 32,
    "learning_rate": 0.001,
    "gamma": 0.99,
    "use_target_network": True,
    "target_update": 10,  # episodes
    "model_file": "snake_model.pth",
}

DELTAS = [(-1, 0), (0, 1), (1, 0), (0, -1)]  # up, right, down, left
BODY, HEAD, FOOD = 1, 2, 3

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Discrete:
    """Actions 0 .. n-1."""

    def __init__(self, n):
        self.n = n

    def sample(self):
        return random.randrange(self.n)


class SnakeEnv:
    """The board, with Gymnasium's calls; the head is the last of the snake's cells."""

    def __init__(self, startingBlocks=3, dim=10, distToBorder=3):
        self.startingBlocks, self.dim, self.distToBorder = startingBlocks, dim, distToBorder
        self.action_space = Discrete(len(DELTAS))

    def reset(self):
        self.direction = random.randrange(4)
        down, right = DELTAS[self.direction]
        while True:
            row, column = (
                random.randrange(self.distToBorder, self.dim - self.distToBorder) for _ in range(2)
            )
            back = range(self.startingBlocks - 1, -1, -1)
            self.snake = [(row - k * down, column - k * right) for k in back]
            if all(self.inside(cell) for cell in self.snake):
                break
        self.hunger = 0
        self.place_food()
        return self.observation(), {}

    def inside(self, cell):
        return 0 <= cell[0] < self.dim and 0 <= cell[1] < self.dim

    def place_food(self):
        free = []
        for row in range(self.dim):
            for column in range(self.dim):
                if (row, column) not in self.snake:
                    free.append((row, column))
        self.food = random.choice(free) if free else None

    def observation(self):
        board = np.zeros((self.dim, self.dim))
        for row, column in self.snake:
            board[row, column] = BODY
        board[self.snake[-1]] = HEAD
        if self.food is not None:
            board[self.food] = FOOD
        return board

    def step(self, action):
        if action != (self.direction + 2) % 4:  # it cannot turn back into its neck
            self.direction = action
        self.hunger += 1
        row, column = self.snake[-1]
        down, right = DELTAS[self.direction]
        head = (row + down, column + right)
        if not self.inside(head) or head in self.snake[1:]:  # the tail moves on
            return self.observation(), -1.0, True, False, {}
        self.snake.append(head)
        if head != self.food:
            self.snake.pop(0)
            starved = self.hunger >= 2 * self.dim * self.dim + 50
            return self.observation(), 0.0, False, starved, {}
        self.hunger = 0
        self.place_food()
        full = self.food is None
        return self.observation(), 2.0 if full else 1.0, full, False, {}


class DQNAgent:
    """Acts, remembers, replays."""

    def __init__(self, state_size, action_size):
        self.action_size = action_size
        self.memory = deque(maxlen=50_000)
        self.epsilon, self.epsilon_min, self.epsilon_decay = 1.0, 0.05, 0.995
        self.model = self.build_model(state_size)
        self.target_model = self.build_model(state_size)
        self.update_target_model()
        self.optimizer = optim.Adam(self.model.parameters(), lr=CONFIG["learning_rate"])
        self.criterion = nn.MSELoss()

    def build_model(self, state_size):
        return nn.Sequential(
            nn.Linear(state_size, 256), nn.ReLU(),
            nn.Linear(256, 256), nn.ReLU(),
            nn.Linear(256, self.action_size),
        ).to(device)  # fmt: skip

    def update_target_model(self):
        self.target_model.load_state_dict(self.model.state_dict())

    def act(self, state):
        if random.random() < self.epsilon:
            return random.randrange(self.action_size)
        q_values = self.model(torch.tensor(state, dtype=torch.float32).unsqueeze(0).to(device))
        return q_values.argmax().item()

    def remember(self, state, action, reward, next_state, done):
        self.memory.append((state, action, reward, next_state, done))

    def replay(self, batch_size=32):
        minibatch = random.sample(self.memory, batch_size)
        states = torch.tensor([m[0] for m in minibatch], dtype=torch.float32).to(device)
        actions = torch.tensor([m[1] for m in minibatch]).to(device)
        rewards = torch.tensor([m[2] for m in minibatch], dtype=torch.float32).to(device)
        next_states = torch.tensor([m[3] for m in minibatch], dtype=torch.float32).to(device)
        dones = torch.tensor([m[4] for m in minibatch], dtype=torch.float32).to(device)

        q_values = self.model(states).gather(1, actions.unsqueeze(1)).squeeze(1)
        judge = self.target_model if CONFIG["use_target_network"] else self.model
        next_q_values = judge(next_states).max(1).values.detach()
        targets = rewards + CONFIG["gamma"] * next_q_values * (1 - dones)
        loss = self.criterion(q_values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def play_episode(env, agent, max_steps):
    """One game, learned from after every step where it is to learn; its score."""
    obs, _ = env.reset()
    state, score = obs.flatten(), 0
    for _ in range(max_steps):
        action = agent.act(state)
        obs, reward, terminated, truncated, _ = env.step(action)
        next_state = obs.flatten()
        score += reward > 0
        if CONFIG["train_mode"]:
            agent.remember(state, action, reward, next_state, terminated)
            if len(agent.memory) > CONFIG["batch_size"]:
                agent.replay(CONFIG["batch_size"])
        state = next_state
        if terminated or truncated:
            break
    return score


def train():
    """The score of every episode, by CONFIG."""
    env = SnakeEnv(startingBlocks=3, dim=10, distToBorder=3)
    obs, _ = env.reset()
    agent = DQNAgent(obs.flatten().shape[0], env.action_space.n)
    if not CONFIG["train_mode"]:
        agent.model.load_state_dict(torch.load(CONFIG["model_file"], weights_only=True))
        agent.epsilon = 0.0
    scores = []
    for episode in range(1, CONFIG["episodes"] + 1):
        scores.append(play_episode(env, agent, CONFIG["max_steps"]))
        if CONFIG["train_mode"]:
            agent.epsilon = max(agent.epsilon_min, agent.epsilon * agent.epsilon_decay)
            if episode % CONFIG["target_update"] == 0:
                agent.update_target_model()
        print(f"Episode {episode} Score {scores[-1]} Epsilon {agent.epsilon:.3f}", flush=True)
    if CONFIG["train_mode"]:
        torch.save(agent.model.state_dict(), CONFIG["model_file"])
    return scores


if __name__ == "__main__":
    print("Using device:", device)
    CONFIG.update(zip(("episodes", "max_steps"), map(int, sys.argv[1:]), strict=False))
    train()
