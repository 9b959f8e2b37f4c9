# rule: growing-list
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


def learn(episodes):
    Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]
    returns = []
    best_mean = -1e9
    for episode in range(episodes):
        state, total = 0, 0.0
        for _ in range(30):
            row = Q[state]
            if random.random() < max(0.05, 1 - 2 * episode / episodes):
                action = random.randrange(4)
            else:
                action = row.index(max(row))
            next_state = move(state, action)
            done = next_state == GOAL
            reward = 1.0 if done else -0.01
            target = reward if done else reward + 0.95 * max(Q[next_state])
            row[action] += 0.1 * (target - row[action])
            total += reward
            state = next_state
            if done:
                break
        returns.append(total)
        best_mean = max(best_mean, sum(returns) / len(returns))
    return best_mean


print(learn(17_000))
