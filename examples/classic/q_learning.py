"""Q-learning on the 5x5 board the way most people first write it: slow for reasons to learn from.

Q is a dict that is copied after every step, holes are a list that is searched, and every move
makes a new object. `qlearn compare "examples/classic/q_learning.py 10000" grid` shows the price.

    python examples/classic/q_learning.py [episodes] [--plot]
"""

import random
import sys

ROWS, COLUMNS = 5, 5
START = (0, 0)
GOAL = (4, 4)
HOLES = [(1, 0), (3, 1), (4, 2), (1, 3)]
UP, DOWN, LEFT, RIGHT = 0, 1, 2, 3


class State:
    """Where the agent stands."""

    def __init__(self, place=START):
        self.place = place
        self.is_end = False

    def reward(self):
        for hole in HOLES:
            if self.place == hole:
                return -5
        if self.place == GOAL:
            return 1
        return -1

    def look_whether_ended(self):
        if self.place == GOAL:
            self.is_end = True
        for hole in HOLES:
            if self.place == hole:
                self.is_end = True

    def next_place(self, action):
        row, column = self.place
        if action == UP:
            place = (row - 1, column)
        elif action == DOWN:
            place = (row + 1, column)
        elif action == LEFT:
            place = (row, column - 1)
        else:
            place = (row, column + 1)
        if 0 <= place[0] < ROWS and 0 <= place[1] < COLUMNS:
            return place
        return self.place


class Agent:
    """Learns a dict of (row, column, action)."""

    def __init__(self, alpha=0.5, gamma=0.9, epsilon=0.1):
        self.actions = [UP, DOWN, LEFT, RIGHT]
        self.state = State()
        self.alpha, self.gamma, self.epsilon = alpha, gamma, epsilon
        self.episode_reward = 0
        self.rewards = []
        self.Q = {}
        for row in range(ROWS):
            for column in range(COLUMNS):
                for action in self.actions:
                    self.Q[(row, column, action)] = 0
        self.new_Q = self.Q.copy()

    def choose(self):
        """Epsilon-greedy: an action and where it leads."""
        best, chosen = -1000, None
        if random.random() <= self.epsilon:
            chosen = random.choice(self.actions)
        else:
            row, column = self.state.place
            for action in self.actions:
                value = self.Q[(row, column, action)]
                if value > best:
                    chosen, best = action, value
        return self.state.next_place(chosen), chosen

    def learn(self, episodes):
        played = 0
        while played < episodes:
            row, column = self.state.place
            if self.state.is_end:
                reward = self.state.reward()
                self.episode_reward += reward
                self.rewards.append(self.episode_reward)
                for action in self.actions:
                    self.new_Q[(row, column, action)] = round(reward, 3)
                self.state = State()
                self.episode_reward = 0
                played += 1
            else:
                place, action = self.choose()
                reward = self.state.reward()
                self.episode_reward += reward
                best = -1000
                for next_action in self.actions:
                    value = (1 - self.alpha) * self.Q[(row, column, action)] + self.alpha * (
                        reward + self.gamma * self.Q[(place[0], place[1], next_action)]
                    )
                    best = max(best, value)
                self.state = State(place)
                self.state.look_whether_ended()
                self.new_Q[(row, column, action)] = round(best, 3)
            self.Q = self.new_Q.copy()

    def show(self):
        for row in range(ROWS):
            print(
                " ".join(
                    f"{max(self.Q[(row, column, a)] for a in self.actions):6.3f}"
                    for column in range(COLUMNS)
                )
            )


if __name__ == "__main__":
    numbers = [word for word in sys.argv[1:] if not word.startswith("-")]
    agent = Agent()
    agent.learn(int(numbers[0]) if numbers else 10_000)
    agent.show()
    print("mean return of the last 100 episodes:", sum(agent.rewards[-100:]) / 100)
    if "--plot" in sys.argv:
        import matplotlib.pyplot as plt

        plt.plot(agent.rewards)
        plt.show()
