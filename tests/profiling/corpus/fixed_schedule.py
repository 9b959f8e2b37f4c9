# rule: fixed-schedule
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


class Agent:
    def __init__(self):
        self.Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]
        self.epsilon = 1.0
        self.epsilon_min = 0.01
        self.epsilon_decay = 0.9

    def act(self, state):
        if random.random() < self.epsilon:
            return random.randrange(4)
        row = self.Q[state]
        return row.index(max(row))

    def learn(self, state, action, reward, next_state, done):
        target = reward if done else reward + 0.95 * max(self.Q[next_state])
        self.Q[state][action] += 0.1 * (target - self.Q[state][action])
        if self.epsilon > self.epsilon_min:
            self.epsilon *= self.epsilon_decay


def train(steps):
    agent = Agent()
    state = 0
    for _ in range(steps):
        action = agent.act(state)
        next_state = move(state, action)
        done = next_state == GOAL
        agent.learn(state, action, 1.0 if done else -0.01, next_state, done)
        state = 0 if done else next_state
    return agent


print(train(250_000).Q[0])
