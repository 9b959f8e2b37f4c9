# rule: object-per-step
# ruff: noqa
import random

SIDE = 5


class Place:
    def __init__(self, row=0, column=0):
        self.row = row
        self.column = column
        self.index = row * SIDE + column
        self.done = row == SIDE - 1 and column == SIDE - 1
        self.reward = 1.0 if self.done else -0.01

    def after(self, action):
        row, column = self.row, self.column
        if action == 0:
            row -= row > 0
        elif action == 1:
            row += row < SIDE - 1
        elif action == 2:
            column -= column > 0
        else:
            column += column < SIDE - 1
        return row, column


class Agent:
    def __init__(self):
        self.place = Place()
        self.Q = [[0.0] * 4 for _ in range(SIDE * SIDE)]

    def learn(self, steps):
        for step in range(steps):
            row = self.Q[self.place.index]
            if random.random() < max(0.05, 1 - 2 * step / steps):
                action = random.randrange(4)
            else:
                action = row.index(max(row))
            i, j = self.place.after(action)
            self.place = Place(i, j)
            future = 0.0 if self.place.done else max(self.Q[self.place.index])
            row[action] += 0.1 * (self.place.reward + 0.95 * future - row[action])
            if self.place.done:
                self.place = Place()


agent = Agent()
agent.learn(400_000)
print(agent.Q[0])
