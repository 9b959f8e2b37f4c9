# rule: dict-table
# ruff: noqa
import random

SIDE = 5
ACTIONS = (0, 1, 2, 3)


def move(row, column, action):
    if action == 0:
        row -= row > 0
    elif action == 1:
        row += row < SIDE - 1
    elif action == 2:
        column -= column > 0
    else:
        column += column < SIDE - 1
    return row, column


def learn(steps):
    Q = {(row, column, a): 0.0 for row in range(SIDE) for column in range(SIDE) for a in ACTIONS}
    row = column = 0
    for step in range(steps):
        epsilon = max(0.05, 1 - 2 * step / steps)
        action = random.randrange(4)
        if random.random() > epsilon:
            best = Q[(row, column, action)]
            for a in ACTIONS:
                if Q[(row, column, a)] > best:
                    action, best = a, Q[(row, column, a)]
        next_row, next_column = move(row, column, action)
        done = next_row == SIDE - 1 and next_column == SIDE - 1
        future = Q[(next_row, next_column, 0)]
        for a in ACTIONS:
            if Q[(next_row, next_column, a)] > future:
                future = Q[(next_row, next_column, a)]
        target = 1.0 if done else -0.01 + 0.95 * future
        Q[(row, column, action)] += 0.1 * (target - Q[(row, column, action)])
        row, column = (0, 0) if done else (next_row, next_column)
    return Q


print(max(learn(200_000).values()))
