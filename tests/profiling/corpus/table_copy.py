# rule: table-copy
# ruff: noqa
import copy
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


class Agent:
    def __init__(self):
        self.Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]
        self.old_Q = [row.copy() for row in self.Q]

    def choose(self, state, epsilon):
        if random.random() < epsilon:
            return random.randrange(4)
        row = self.Q[state]
        return row.index(max(row))

    def learn(self, steps):
        state = 0
        for step in range(steps):
            action = self.choose(state, max(0.05, 1 - 2 * step / steps))
            next_state = move(state, action)
            done = next_state == GOAL
            target = 1.0 if done else -0.01 + 0.95 * max(self.old_Q[next_state])
            self.Q[state][action] += 0.1 * (target - self.Q[state][action])
            self.old_Q = copy.deepcopy(self.Q)
            state = 0 if done else next_state


agent = Agent()
agent.learn(25_000)
print(agent.Q[0])
