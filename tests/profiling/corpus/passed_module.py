# rule: scalar-numpy
# ruff: noqa
import numpy as np

SIDE = 5
GOAL = SIDE * SIDE - 1


class Agent:
    def __init__(self, rng=np.random):
        self.rng = rng

    def act(self, row, epsilon, rand=np.random):
        if rand.rand() < epsilon:
            return self.rng.choice(4)
        return row.index(max(row))


def move(place, action):
    row, column = divmod(place, SIDE)
    if action < 2:
        row = min(max(row + 2 * action - 1, 0), SIDE - 1)
    else:
        column = min(max(column + 2 * action - 5, 0), SIDE - 1)
    return row * SIDE + column


def learn(steps):
    table = [[0.0] * 4 for _ in range(SIDE * SIDE)]
    agent, place = Agent(), 0
    for step in range(steps):
        action = agent.act(table[place], max(0.05, 1 - 2 * step / steps))
        following = move(place, action)
        target = 1.0 if following == GOAL else -0.01 + 0.95 * max(table[following])
        table[place][action] += 0.1 * (target - table[place][action])
        place = 0 if following == GOAL else following
    return table


print(max(map(max, learn(80_000))))
