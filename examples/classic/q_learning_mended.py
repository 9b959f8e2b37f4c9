"""q_learning.py, with everything mended that `qlearn profile` says of it, and nothing else.

A place is a number, the table a list of rows that is changed where it lies; rewards, ends and
neighbours are looked up, and a step makes no object, no copy and no call of NumPy. It learns what
the first one learns.

    python examples/classic/q_learning_mended.py [episodes]
"""

import random
import sys

from q_learning import BOARD_COLS, BOARD_ROWS, DOWN, LEFT, RIGHT, START, UP, State

ACTIONS = (UP, DOWN, LEFT, RIGHT)
PLACES = [(i, j) for i in range(BOARD_ROWS) for j in range(BOARD_COLS)]
NUMBER = {place: k for k, place in enumerate(PLACES)}
REWARD = [State(place).getReward() for place in PLACES]
NEXT = [[NUMBER[State(place).nxtPosition(a)] for a in ACTIONS] for place in PLACES]


def is_end(place):
    state = State(place)
    state.isEndFunc()
    return state.isEnd


END = [is_end(place) for place in PLACES]


class Agent:
    """Learns a list of rows, one for each place."""

    def __init__(self, alpha=0.5, gamma=0.9, epsilon=0.1):
        self.state = NUMBER[START]
        self.alpha, self.gamma, self.epsilon = alpha, gamma, epsilon
        self.plot_reward = []
        self.Q = [[0.0] * len(ACTIONS) for _ in PLACES]

    def Action(self):
        """Epsilon-greedy."""
        if random.random() <= self.epsilon:
            return random.choice(ACTIONS)
        row = self.Q[self.state]
        return row.index(max(row))

    def Q_Learning(self, episodes):
        for _ in range(episodes):
            self.state, rewards = NUMBER[START], 0
            while not END[self.state]:
                action = self.Action()
                reward, next_state = REWARD[self.state], NEXT[self.state][action]
                row = self.Q[self.state]
                row[action] = (1 - self.alpha) * row[action] + self.alpha * (
                    reward + self.gamma * max(self.Q[next_state])
                )
                rewards += reward
                self.state = next_state
            self.Q[self.state] = [float(REWARD[self.state])] * len(ACTIONS)
            self.plot_reward.append(rewards + REWARD[self.state])


def run_q_learning(episodes=10_000):
    """The table, and the return of every episode."""
    ag = Agent()
    ag.Q_Learning(episodes)
    return ag.Q, ag.plot_reward


if __name__ == "__main__":
    Q, rewards = run_q_learning(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    for i in range(BOARD_ROWS):
        print(" ".join(f"{max(Q[NUMBER[i, j]]):6.3f}" for j in range(BOARD_COLS)))
    last = rewards[-100:]
    print("mean return of the last 100 episodes:", sum(last) / len(last))
