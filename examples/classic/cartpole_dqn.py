"""CartPole by DQN the way most people first write it: slow for reasons to learn from.

One environment, a deque of tuples, a forward of one state for every action (with its graph), and
after every step a batch that is drawn from the deque, taken apart by `zip`, and made into tensors
out of lists of arrays.

    python examples/classic/cartpole_dqn.py [episodes] [seed]
"""

import random
import sys
from collections import deque

import gymnasium as gym
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

BATCH_SIZE = 32
MEMORY_SIZE = 50_000
GAMMA = 0.99
LEARNING_RATE = 0.001
EPSILON_DECAY, EPSILON_MIN = 0.995, 0.05
TARGET_UPDATE = 10  # episodes


def build_model(state_size, action_size):
    return nn.Sequential(
        nn.Linear(state_size, 64), nn.ReLU(),
        nn.Linear(64, 64), nn.ReLU(),
        nn.Linear(64, action_size),
    )  # fmt: skip


class DQNAgent:
    """Acts, remembers, replays."""

    def __init__(self, state_size, action_size):
        self.action_size = action_size
        self.memory = deque(maxlen=MEMORY_SIZE)
        self.epsilon = 1.0
        self.model = build_model(state_size, action_size)
        self.target_model = build_model(state_size, action_size)
        self.optimizer = optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.criterion = nn.MSELoss()
        self.update_target_model()

    def update_target_model(self):
        self.target_model.load_state_dict(self.model.state_dict())

    def remember(self, state, action, reward, next_state, done):
        self.memory.append((state, action, reward, next_state, done))

    def act(self, state):
        if random.random() < self.epsilon:
            return random.randrange(self.action_size)
        q_values = self.model(torch.tensor(state, dtype=torch.float32).unsqueeze(0))
        return torch.argmax(q_values).item()

    def replay(self, batch_size=BATCH_SIZE):
        if len(self.memory) < batch_size:
            return
        minibatch = random.sample(self.memory, batch_size)
        states, actions, rewards, next_states, dones = zip(*minibatch, strict=True)
        states = torch.tensor(states, dtype=torch.float32)
        actions = torch.tensor(actions, dtype=torch.int64)
        rewards = torch.tensor(rewards, dtype=torch.float32)
        next_states = torch.tensor(next_states, dtype=torch.float32)
        dones = torch.tensor(dones, dtype=torch.float32)

        q_values = self.model(states).gather(1, actions.unsqueeze(1)).squeeze(1)
        next_q_values = self.target_model(next_states).max(1).values.detach()
        targets = rewards + GAMMA * next_q_values * (1 - dones)
        loss = self.criterion(q_values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def decay_epsilon(self):
        self.epsilon = max(EPSILON_MIN, self.epsilon * EPSILON_DECAY)


def play_episode(env, agent, seed=None):
    """One episode, learned from at every step; how long the pole stood."""
    state, _ = env.reset(seed=seed)
    score, over = 0, False
    while not over:
        action = agent.act(state)
        next_state, reward, terminated, truncated, _ = env.step(action)
        agent.remember(state, action, reward, next_state, terminated)
        agent.replay()
        state = next_state
        score += 1
        over = terminated or truncated
    agent.decay_epsilon()
    return score


def train(episodes=300, seed=None):
    """The score of every episode."""
    random.seed(seed)
    if seed is not None:
        torch.manual_seed(seed)
    env = gym.make("CartPole-v1")
    agent = DQNAgent(env.observation_space.shape[0], int(env.action_space.n))
    scores = []
    for episode in range(1, episodes + 1):
        scores.append(play_episode(env, agent, seed if episode == 1 else None))
        if episode % TARGET_UPDATE == 0:
            agent.update_target_model()
        print(f"Episode {episode}/{episodes} Score {scores[-1]} Epsilon {agent.epsilon:.3f}")
    print("mean score of the last 20 episodes:", np.mean(scores[-20:]))
    return scores


if __name__ == "__main__":
    train(*map(int, sys.argv[1:]))
