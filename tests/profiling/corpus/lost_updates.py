# rule: lost-updates
# ruff: noqa
import numpy as np

SIDE, AGENTS = 5, 512
rng = np.random.default_rng(0)


def move(rows, columns, actions):
    rows = np.clip(rows - (actions == 0) + (actions == 1), 0, SIDE - 1)
    columns = np.clip(columns - (actions == 2) + (actions == 3), 0, SIDE - 1)
    return rows, columns


def update_q(Q, states, actions, rewards, next_states, alive):
    targets = rewards + 0.95 * alive * Q[next_states].max(axis=1)
    Q[states, actions] = 0.9 * Q[states, actions] + 0.1 * targets


def run(steps):
    Q = np.zeros((SIDE * SIDE, 4))
    rows = np.zeros(AGENTS, dtype=np.int64)
    columns = np.zeros(AGENTS, dtype=np.int64)
    for step in range(steps):
        epsilon = max(0.05, 1 - 2 * step / steps)
        states = rows * SIDE + columns
        greedy = Q[states].argmax(axis=1)
        explores = rng.random(AGENTS) < epsilon
        actions = np.where(explores, rng.integers(4, size=AGENTS), greedy)
        rows, columns = move(rows, columns, actions)
        next_states = rows * SIDE + columns
        done = next_states == SIDE * SIDE - 1
        update_q(Q, states, actions, np.where(done, 1.0, -0.01), next_states, ~done)
        rows, columns = np.where(done, 0, rows), np.where(done, 0, columns)
    return Q


print(run(4_000)[0])
