# rule: scalar-numpy
# ruff: noqa
import numpy as np

SIDE = 5
rng = np.random.default_rng(0)


class Explorer:
    def __init__(self):
        self.rng = np.random.RandomState(1)

    def pick(self, row, epsilon):
        if rng.uniform(0, 1) < epsilon:
            return int(self.rng.randint(4))
        best = [a for a in range(4) if row[a] == max(row)]
        return int(rng.choice(best))


def move(place, action):
    row, column = divmod(place, SIDE)
    if action < 2:
        row = min(max(row + 2 * action - 1, 0), SIDE - 1)
    else:
        column = min(max(column + 2 * action - 5, 0), SIDE - 1)
    return row * SIDE + column


def learn(steps):
    table = [[0.0] * 4 for _ in range(SIDE * SIDE)]
    explorer, place = Explorer(), 0
    for step in range(steps):
        epsilon = max(0.05, 1 - 2 * step / steps)
        action = explorer.pick(table[place], epsilon)
        following = move(place, action)
        over = following == SIDE * SIDE - 1
        target = 1.0 if over else -0.01 + 0.95 * max(table[following])
        table[place][action] += 0.1 * (target - table[place][action])
        place = 0 if over else following
    return table


print(max(map(max, learn(100_000))))
