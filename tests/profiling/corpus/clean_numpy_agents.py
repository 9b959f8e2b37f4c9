# rule: none
# ruff: noqa
import numpy as np

SIDE, AGENTS = 5, 512
rng = np.random.default_rng(0)
each = np.arange(AGENTS)


def move(states, actions):
    rows, columns = np.divmod(states, SIDE)
    rows = np.clip(rows - (actions == 0) + (actions == 1), 0, SIDE - 1)
    columns = np.clip(columns - (actions == 2) + (actions == 3), 0, SIDE - 1)
    return rows * SIDE + columns


def run(steps):
    """Every agent learns a table of its own."""
    Q = np.zeros((AGENTS, SIDE * SIDE, 4), dtype=np.float32)
    states = np.zeros(AGENTS, dtype=np.int64)
    for step in range(steps):
        explores = rng.random(AGENTS) < max(0.05, 1 - 2 * step / steps)
        actions = np.where(explores, rng.integers(4, size=AGENTS), Q[each, states].argmax(axis=1))
        next_states = move(states, actions)
        done = next_states == SIDE * SIDE - 1
        targets = np.where(done, 1.0, -0.01 + 0.95 * Q[each, next_states].max(axis=1))
        Q[each, states, actions] += 0.1 * (targets - Q[each, states, actions])
        states = np.where(done, 0, next_states)
    return Q


print(run(4_000).mean())
