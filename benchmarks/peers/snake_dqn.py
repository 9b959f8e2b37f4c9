"""DQN in PyTorch as people make it faster by hand: one game, a deque, a batch every fourth step.

Arrays before tensors, inference_mode, set_to_none, ReLU in place, a target network, every core. The
game is qlearn's own through Gymnasium, which takes less time than one that is written in Python.
"""

from __future__ import annotations

import os
import random
from collections import deque
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import flatdim
from torch import nn

import qlearn  # noqa: F401  (Gymnasium finds the game by it)

HIDDEN, MEMORY, BATCH, EVERY = 256, 100_000, 32, 4
GAMMA, LR, CLIP = 0.99, 1e-3, 10.0
EPSILON, LEAST_EPSILON, DECAY = 1.0, 0.05, 0.995  # of an episode
TARGET_EVERY, LONGEST = 1000, 500  # steps


def network(inputs: int, actions: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(inplace=True), nn.Linear(HIDDEN, actions),
    )  # fmt: skip


class DQNAgent:
    def __init__(self, inputs: int, actions: int) -> None:
        self.actions, self.epsilon = actions, EPSILON
        self.model, self.target = network(inputs, actions), network(inputs, actions)
        self.follow()
        self.memory: deque[tuple] = deque(maxlen=MEMORY)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)

    def follow(self) -> None:
        self.target.load_state_dict(self.model.state_dict())

    def act(self, state: np.ndarray) -> int:
        if random.random() < self.epsilon:
            return random.randrange(self.actions)
        with torch.inference_mode():
            return int(self.model(torch.from_numpy(state)).argmax())

    def remember(self, *transition: Any) -> None:
        self.memory.append(transition)

    def replay(self) -> None:
        states, actions, rewards, following, done = (
            torch.from_numpy(np.array(column))
            for column in zip(*random.sample(self.memory, BATCH), strict=True)
        )
        with torch.no_grad():
            best = self.target(following).max(dim=1).values
        targets = rewards.float() + GAMMA * best * ~done
        chosen = self.model(states).gather(1, actions[:, None]).squeeze(1)
        loss = nn.functional.mse_loss(chosen, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), max_norm=CLIP)
        self.optimizer.step()


class Trainer:
    """Plays and learns step by step."""

    def __init__(self) -> None:
        self.env: Any = gymnasium.make("qlearn/Snake-v0", observation="flat", actions="absolute")
        self.agent = DQNAgent(flatdim(self.env.observation_space), flatdim(self.env.action_space))
        self.steps = 0
        self._begin()

    def _begin(self) -> None:
        self.state, self.length = self.env.reset()[0], 0

    def step(self) -> None:
        agent = self.agent
        action = agent.act(self.state)
        following, reward, terminated, truncated, _ = self.env.step(action)
        done = terminated or truncated
        agent.remember(self.state, action, reward, following, done)
        self.state = following
        self.steps += 1
        self.length += 1
        if self.steps % EVERY == 0 and len(agent.memory) > BATCH:
            agent.replay()
        if self.steps % TARGET_EVERY == 0:
            agent.follow()
        if done or self.length == LONGEST:
            agent.epsilon = max(LEAST_EPSILON, DECAY * agent.epsilon)
            self._begin()

    def advance(self, steps: int) -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        for _ in range(steps):
            self.step()
