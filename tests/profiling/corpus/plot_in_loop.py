# rule: plot-in-loop
# ruff: noqa
import random

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIDE = 5
ACTIONS = (0, 1, 2, 3)
GOAL = SIDE * SIDE - 1


def move(state, action):
    row, column = divmod(state, SIDE)
    if action == 0:
        row -= row > 0
    elif action == 1:
        row += row < SIDE - 1
    elif action == 2:
        column -= column > 0
    else:
        column += column < SIDE - 1
    return row * SIDE + column


def learn(episodes):
    Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]
    lengths = []
    for episode in range(episodes):
        state, length = 0, 0
        while state != GOAL and length < 100:
            row = Q[state]
            if random.random() < max(0.05, 1 - 2 * episode / episodes):
                action = random.randrange(4)
            else:
                action = row.index(max(row))
            next_state = move(state, action)
            future = 0.0 if next_state == GOAL else max(Q[next_state])
            row[action] += 0.1 * ((next_state == GOAL) - 0.01 + 0.95 * future - row[action])
            state, length = next_state, length + 1
        lengths.append(length)
        if episode % 100 == 0:
            plt.clf()
            plt.plot(lengths)
            plt.gcf().canvas.draw()


learn(1_500)
