# rule: fixed-schedule
# ruff: noqa
import random

SIDE, EXPLORE = 5, 0.1


def choose_action(row, epsilon):
    draw = random.random()
    if draw < epsilon:
        return random.randrange(4)
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
    place = 0
    for step in range(steps):
        action = choose_action(table[place], EXPLORE)
        following = move(place, action)
        over = following == SIDE * SIDE - 1
        target = 1.0 if over else -0.01 + 0.95 * max(table[following])
        table[place][action] += 0.1 * (target - table[place][action])
        place = 0 if over else following
    return table


print(max(map(max, learn(400_000))))
