# rule: repeated-loop
# ruff: noqa
import random

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


def value(Q, state, action):
    return Q[state][action]


def learn(steps):
    Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]
    state = 0
    for step in range(steps):
        next_state = state
        if random.random() < max(0.05, 1 - 2 * step / steps):
            action = random.randrange(4)
        else:
            best = -1e9
            for a in ACTIONS:
                best = max(best, value(Q, state, a))
            ties = []
            for a in ACTIONS:
                if value(Q, state, a) == best:
                    ties.append(a)
            action = random.choice(ties)
        next_state = move(state, action)
        done = next_state == GOAL
        target = 1.0 if done else -0.01 + 0.95 * max(Q[next_state])
        Q[state][action] += 0.1 * (target - Q[state][action])
        state = 0 if done else next_state
    return Q


print(learn(500_000)[0])
