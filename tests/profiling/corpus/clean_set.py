# rule: none
# ruff: noqa
import random

SIDE = 20
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


WALLS = {row * SIDE + column for row in range(2, 18, 2) for column in range(1, 19)}


def step_to(state, action):
    place = move(state, action)
    if place in WALLS:
        return state
    return place


def learn(steps):
    Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]
    state = 0
    for step in range(steps):
        row = Q[state]
        if random.random() < max(0.05, 1 - 2 * step / steps):
            action = random.randrange(4)
        else:
            action = row.index(max(row))
        next_state = step_to(state, action)
        done = next_state == GOAL
        target = 1.0 if done else -0.01 + 0.95 * max(Q[next_state])
        row[action] += 0.1 * (target - row[action])
        state = 0 if done else next_state
    return Q


print(learn(300_000)[0])
