"""Samples at the expressions of real small scripts go to the stages a person would name."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest
from synthetic import lib, make_raw

from qlearn.profiling.stages import Attribution

CALL = lib("torch/nn/modules/module.py", "_wrapped_call_impl")
LINEAR = lib("torch/nn/modules/linear.py", "forward")
WRAPPER = lib("gymnasium/wrappers/common.py", "step")
IMPORT = ("<frozen importlib._bootstrap>", "_find_and_load")

DQN = textwrap.dedent(
    """
    import random
    import time
    from collections import deque

    import gymnasium as gym
    import matplotlib.pyplot as plt
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.optim as optim


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))

        def forward(self, x):
            return self.layers(x)


    class DQNAgent:
        def __init__(self):
            self.memory = deque(maxlen=10000)
            self.model, self.target = Net(), Net()
            self.optimizer = optim.Adam(self.model.parameters())
            self.criterion = nn.MSELoss()
            self.epsilon = 1.0

        def act(self, state):
            if random.random() < self.epsilon:
                return random.randrange(2)
            with torch.no_grad():
                values = self.model(torch.FloatTensor(state))
            return values.argmax().item()

        def remember(self, *transition):
            self.memory.append(transition)

        def replay(self, size):
            if len(self.memory) < size:
                return
            batch = random.sample(self.memory, size)
            states, actions, rewards, after, dones = zip(*batch)
            states = torch.tensor(np.array(states))
            q = self.model(states).gather(1, actions)
            best = self.target(after).max(1)[0]
            expected = rewards + 0.99 * best * (1 - dones)
            loss = self.criterion(q, expected)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.epsilon = max(0.01, self.epsilon * 0.995)

        def update_target_model(self):
            self.target.load_state_dict(self.model.state_dict())


    env = gym.make("CartPole-v1")
    agent = DQNAgent()
    scores = []
    for episode in range(100):
        state, _ = env.reset()
        done = False
        score = 0
        while not done:
            action = agent.act(state)
            after, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            agent.remember(state, action, reward, after, done)
            agent.replay(32)
            state = after
            score += reward
            time.sleep(0.001)
        scores.append(score)
        agent.update_target_model()
        print(episode, np.mean(scores[-100:]))
    plt.plot(scores)
    plt.show()
    """
)

ACT, REPLAY = "agent.act(state)", "agent.replay(32)"


def stage_of(tmp_path, text, *stack):
    script = tmp_path / "script.py"
    script.write_text(text)
    return Attribution(make_raw(tmp_path, script, [(1.0, *stack)])).of_samples[0]


@pytest.mark.parametrize(
    ("stage", "stack"),
    [
        ("imports", ["import torch", IMPORT]),
        ("environment", ['gym.make("CartPole-v1")', lib("gymnasium/envs/registration.py", "make")]),
        ("environment", ["env.reset()"]),
        ("environment", ["env.step(action)", WRAPPER]),
        ("plotting", ["env.step(action)", WRAPPER, lib("gymnasium/envs/cartpole.py", "render")]),
        ("environment", ["terminated or truncated"]),
        ("acting", [ACT, "random.random()"]),
        ("acting", [ACT, "torch.FloatTensor(state)"]),
        ("acting", [ACT, "self.model(torch.FloatTensor(state))", CALL, LINEAR]),
        ("acting", [ACT]),
        ("storing", ["agent.remember(state, action, reward, after, done)",
                     "self.memory.append(transition)"]),
        ("sampling", [REPLAY, "random.sample(self.memory, size)",
                      ("/usr/lib/python3.11/random.py", "sample")]),
        ("sampling", [REPLAY, "zip(*batch)"]),
        ("converting", [REPLAY, "np.array(states)"]),
        ("converting", [REPLAY, "torch.tensor(np.array(states))"]),
        ("forward", [REPLAY, "self.model(states)", CALL, LINEAR]),
        ("forward", [REPLAY, "self.target(after)", CALL, "self.layers(x)", CALL, LINEAR]),
        ("loss", [REPLAY, "self.model(states).gather(1, actions)"]),
        ("loss", [REPLAY, "rewards + 0.99 * best * (1 - dones)"]),
        ("loss", [REPLAY, "self.criterion(q, expected)", CALL,
                  lib("torch/nn/modules/loss.py", "forward"),
                  lib("torch/nn/functional.py", "mse_loss")]),
        ("optimiser", [REPLAY, "self.optimizer.zero_grad()"]),
        ("backward", [REPLAY, "loss.backward()", lib("torch/_tensor.py", "backward")]),
        ("optimiser", [REPLAY, "self.optimizer.step()", lib("torch/optim/adam.py", "step")]),
        ("acting", [REPLAY, "max(0.01, self.epsilon * 0.995)"]),
        ("target_update", ["agent.update_target_model()",
                           "self.target.load_state_dict(self.model.state_dict())",
                           lib("torch/nn/modules/module.py", "load_state_dict")]),
        ("logging", ["print(episode, np.mean(scores[-100:]))"]),
        ("logging", ["np.mean(scores[-100:])", lib("numpy/_core/fromnumeric.py", "mean")]),
        ("logging", ["scores.append(score)"]),
        ("sleeping", ["time.sleep(0.001)"]),
        ("plotting", ["plt.plot(scores)", lib("matplotlib/pyplot.py", "plot")]),
        ("plotting", ["plt.show()", lib("matplotlib/pyplot.py", "show")]),
        ("imports", ["plt.plot(scores)", lib("matplotlib/pyplot.py", "plot"), IMPORT]),
    ],
)  # fmt: skip
def test_a_classic_dqn(tmp_path, stage, stack):
    assert stage_of(tmp_path, DQN, *stack) == stage


TABLE = textwrap.dedent(
    """
    import random

    HOLES = [(1, 0), (3, 1)]


    class State:
        def __init__(self, place=(0, 0)):
            self.place = place

        def getReward(self):
            for hole in HOLES:
                if self.place == hole:
                    return -5
            return -1

        def nxtPosition(self, action):
            return max(self.place, action)


    class Agent:
        def __init__(self):
            self.Q = {}
            self.new_Q = {}

        def Action(self):
            if random.random() <= 0.1:
                return random.choice([0, 1])
            return self.State.nxtPosition(1)

        def Q_Learning(self, episodes):
            x = 0
            while x < episodes:
                i, j = self.State.place
                reward = self.State.getReward()
                best = -10
                for a in range(4):
                    value = round(self.Q[(i, j, a)], 3)
                    best = max(best, value)
                self.State = State(state=(1, 1))
                self.new_Q[(i, j, 0)] = round(best, 3)
                self.Q = self.new_Q.copy()
                self.plot_reward.append(reward)
                x += abs(1)


    Agent().Q_Learning(10)
    """
)
LEARN = "Agent().Q_Learning(10)"


@pytest.mark.parametrize(
    ("stage", "stack"),
    [
        ("acting", ["self.Action()", "random.random()"]),
        ("environment", ["self.State.getReward()", "HOLES"]),
        ("environment", ["State(state=(1, 1))", "self.place = place"]),
        ("update", ["round(self.Q[(i, j, a)], 3)"]),
        ("update", ["max(best, value)"]),
        ("update", ["range(4)"]),
        ("update", ["round(best, 3)"]),
        ("table_copy", ["self.new_Q.copy()"]),
        ("logging", ["self.plot_reward.append(reward)"]),
        ("update", ["abs(1)"]),
    ],
)
def test_a_table_in_a_dict(tmp_path, stage, stack):
    text = TABLE.replace("reward = self", "place = self.Action()\n            reward = self")
    assert stage_of(tmp_path, text, LEARN, *stack) == stage


NUMPY = textwrap.dedent(
    """
    import numpy as np

    rng = np.random.default_rng(0)
    Q = np.zeros((25, 4))
    states = np.zeros(64, dtype=int)
    for t in range(1000):
        greedy = Q[states].argmax(axis=1)
        explore = rng.random(64) < 0.1
        actions = np.where(explore, rng.integers(0, 4, 64), greedy)
        next_states = NEXT[states, actions].astype(int)
        rewards = REWARD[states, actions].astype(float)
        target = rewards + 0.9 * Q[next_states].max(axis=1)
        np.add.at(Q, (states, actions), 0.1 * (target - Q[states, actions]))
        Q[states, actions] += 0.1 * np.clip(target, -1, 1)
        states = np.where(next_states == 24, 0, next_states)
    np.save("q.npy", Q)
    """
)


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("acting", "Q[states].argmax(axis=1)"),
        ("acting", "rng.random(64)"),
        ("acting", "rng.integers(0, 4, 64)"),
        ("environment", "NEXT[states, actions].astype(int)"),
        ("environment", "REWARD[states, actions].astype(float)"),
        ("update", "Q[next_states].max(axis=1)"),
        ("update", "np.add.at(Q, (states, actions), 0.1 * (target - Q[states, actions]))"),
        ("update", "np.clip(target, -1, 1)"),
        ("environment", "np.where(next_states == 24, 0, next_states)"),
        ("logging", 'np.save("q.npy", Q)'),
    ],
)
def test_a_vectorised_table(tmp_path, stage, text):
    assert stage_of(tmp_path, NUMPY, text) == stage


def test_what_nobody_names_is_other(tmp_path):
    text = "def helper(a):\n    return sum(a)\n\n\nfor k in range(9):\n    helper([k])\n"
    assert stage_of(tmp_path, text, "helper([k])", "sum(a)") == "other"


def test_a_training_that_begins_on_import_is_no_import(tmp_path):
    module = tmp_path / "training.py"
    module.write_text("import json\nQ = {}\nfor s in range(9):\n    Q[s] = max(s, 1)\n")
    text = "import training\n"
    loop = (module, "max(s, 1)")
    assert stage_of(tmp_path, text, "import training", IMPORT, loop) == "update"
    assert stage_of(tmp_path, text, "import training", IMPORT, (module, "Q = {}")) == "imports"
    assert (
        stage_of(tmp_path, text, "import training", IMPORT, (module, "import json"), IMPORT)
        == "imports"
    )


def test_compiling_is_compiling_whoever_asked(tmp_path):
    compile_it = lib("numba/core/dispatcher.py", "_compile_for_args")
    assert (
        stage_of(tmp_path, "def act(s):\n    return abs(s)\n", "abs(s)", compile_it) == "compiling"
    )


def test_the_stages_add_up_to_the_whole(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(DQN)
    rows = [(0.5, "env.step(action)", WRAPPER), (0.25, "print(episode, np.mean(scores[-100:]))")]
    seconds = Attribution(make_raw(tmp_path, script, rows, wall=1.0)).seconds
    assert seconds == pytest.approx({"environment": 0.5, "logging": 0.25, "other": 0.25})


def test_other_threads_are_no_part_of_the_whole(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(DQN)
    raw = make_raw(
        tmp_path, script, [(0.5, "env.reset()"), (0.5, "env.step(action)", WRAPPER)], wall=0.5
    )
    raw.samples[1] = replace(raw.samples[1], thread="loader")
    assert Attribution(raw).seconds == {"environment": 0.5}


def test_an_agents_own_step_is_not_the_worlds(tmp_path):
    text = "class Agent:\n    def step(self, s):\n        return abs(s)\n"
    assert stage_of(tmp_path, text, "abs(s)") == "other"
    text = "class World:\n    def step(self, s):\n        return abs(s)\n"
    assert stage_of(tmp_path, text, "abs(s)") == "environment"
