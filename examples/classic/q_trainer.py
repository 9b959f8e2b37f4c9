"""The classic `train_step` on a thousand remembered samples, again and again: slow to learn from.

`Linear_QNet` and `QTrainer` are those of deep_q_learning.py. What a game remembers is a deque of
tuples of arrays; a sample of it is taken apart by `zip`, and goes to `torch.tensor` as tuples of
arrays and through the network sample by sample.

    python examples/classic/q_trainer.py [steps]
"""

import random
import sys
from collections import deque

import numpy as np
import torch
from deep_q_learning import Linear_QNet, QTrainer

STATE_SIZE, ACTIONS = 11, 3
MAX_MEMORY, BATCH_SIZE = 100_000, 1000


def remembered(count=5000):
    """Transitions as a game of Snake leaves them, one-hot actions among them; made by chance."""
    memory = deque(maxlen=MAX_MEMORY)
    chance = np.random.default_rng(0)
    for _ in range(count):
        state, next_state = chance.integers(0, 2, (2, STATE_SIZE))
        action = [0] * ACTIONS
        action[chance.integers(ACTIONS)] = 1
        done = bool(chance.random() < 0.1)
        memory.append((state, action, -10 if done else 0, next_state, done))
    return memory


def train_long_memory(trainer, memory):
    sample = random.sample(memory, BATCH_SIZE)
    states, actions, rewards, next_states, dones = zip(*sample, strict=True)
    trainer.train_step(states, actions, rewards, next_states, dones)


def train(steps=20):
    torch.manual_seed(0)
    trainer = QTrainer(Linear_QNet(STATE_SIZE, 256, ACTIONS), lr=0.001, gamma=0.9)
    memory = remembered()
    for _ in range(steps):
        train_long_memory(trainer, memory)
    return trainer


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    train(steps)
    print(f"{steps} steps on {BATCH_SIZE:,} samples each")
