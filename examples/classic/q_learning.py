"""Q-learning on the 5x5 board the way most people first write it: slow for reasons to learn from.

Q is a dict that is copied after every step, holes are a list that is searched, a random action is
drawn by NumPy, and every move makes a new object. `qlearn profile examples/classic/q_learning.py`
says what each of these costs here; q_learning_mended.py is what is left once all of it is mended.

    python examples/classic/q_learning.py [episodes] [--plot]
"""
# ruff: noqa: NPY002 - drawn the way most people first do

import random
import sys

import numpy as np

try:
    profile
except NameError:  # nobody profiles line by line

    def profile(function):
        return function


BOARD_ROWS, BOARD_COLS = 5, 5
START = (0, 0)
WIN_STATE = (4, 4)
HOLE_STATE = [(1, 0), (3, 1), (4, 2), (1, 3)]
UP, DOWN, LEFT, RIGHT = 0, 1, 2, 3


class State:
    """Where the agent stands."""

    def __init__(self, state=START):
        self.state = state
        self.isEnd = False

    def getReward(self):
        for hole in HOLE_STATE:
            if self.state == hole:
                return -5
        if self.state == WIN_STATE:
            return 1
        return -1

    def isEndFunc(self):
        if self.state == WIN_STATE:
            self.isEnd = True
        for hole in HOLE_STATE:
            if self.state == hole:
                self.isEnd = True

    def nxtPosition(self, action):
        row, column = self.state
        if action == UP:
            state = (row - 1, column)
        elif action == DOWN:
            state = (row + 1, column)
        elif action == LEFT:
            state = (row, column - 1)
        else:
            state = (row, column + 1)
        if 0 <= state[0] < BOARD_ROWS and 0 <= state[1] < BOARD_COLS:
            return state
        return self.state


class Agent:
    """Learns a dict of (row, column, action)."""

    def __init__(self, alpha=0.5, gamma=0.9, epsilon=0.1):
        self.actions = [UP, DOWN, LEFT, RIGHT]
        self.State = State()
        self.alpha, self.gamma, self.epsilon = alpha, gamma, epsilon
        self.rewards = 0
        self.plot_reward = []
        self.Q = {}
        for i in range(BOARD_ROWS):
            for j in range(BOARD_COLS):
                for a in self.actions:
                    self.Q[(i, j, a)] = 0
        self.new_Q = self.Q.copy()

    def Action(self):
        """Epsilon-greedy: where it leads, and the action."""
        best, action = -1000, None
        if random.random() <= self.epsilon:
            action = np.random.choice(self.actions)
        else:
            i, j = self.State.state
            for a in self.actions:
                value = self.Q[(i, j, a)]
                if value > best:
                    action, best = a, value
        return self.State.nxtPosition(action), action

    def Q_Learning(self, episodes):
        played = 0
        while played < episodes:
            i, j = self.State.state
            if self.State.isEnd:
                reward = self.State.getReward()
                self.rewards += reward
                self.plot_reward.append(self.rewards)
                for a in self.actions:
                    self.new_Q[(i, j, a)] = round(reward, 3)
                self.State = State()
                self.rewards = 0
                played += 1
            else:
                next_state, action = self.Action()
                reward = self.State.getReward()
                self.rewards += reward
                best = -1000
                for a in self.actions:
                    value = (1 - self.alpha) * self.Q[(i, j, action)] + self.alpha * (
                        reward + self.gamma * self.Q[(next_state[0], next_state[1], a)]
                    )
                    best = max(best, value)
                self.State = State(state=next_state)
                self.State.isEndFunc()
                self.new_Q[(i, j, action)] = round(best, 3)
            self.Q = self.new_Q.copy()

    learn = Q_Learning  # what benchmarks/table_speed.py calls

    def showValues(self):
        for i in range(BOARD_ROWS):
            values = (max(self.Q[(i, j, a)] for a in self.actions) for j in range(BOARD_COLS))
            print(" ".join(f"{value:6.3f}" for value in values))


@profile
def run_q_learning(episodes=10_000, agent=None):
    """The return of every episode; of an agent of its own, unless one is given."""
    ag = agent or Agent()
    ag.Q_Learning(episodes)
    return ag.plot_reward


if __name__ == "__main__":
    numbers = [word for word in sys.argv[1:] if not word.startswith("-")]
    ag = Agent()
    rewards = run_q_learning(int(numbers[0]) if numbers else 10_000, ag)
    ag.showValues()
    last = rewards[-100:]
    print("mean return of the last 100 episodes:", sum(last) / len(last))
    if "--plot" in sys.argv:
        import matplotlib.pyplot as plt

        plt.plot(rewards)
        plt.title("Q-Learning Rewards")
        plt.show()
