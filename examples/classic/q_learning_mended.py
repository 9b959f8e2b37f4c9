"""q_learning.py, with everything mended that `qlearn profile` says of it.

A place is a number, the table a list of rows that is changed where it lies; rewards, ends and
neighbours are looked up, and a step makes no object, no copy and no call of NumPy. It learns what
the first one learns.

    python examples/classic/q_learning_mended.py [episodes]
"""

import random
import sys

from q_learning import BOARD_COLS, BOARD_ROWS, DOWN, LEFT, RIGHT, START, UP, State

ACTIONS = (UP, DOWN, LEFT, RIGHT)
STATES = [(i, j) for i in range(BOARD_ROWS) for j in range(BOARD_COLS)]
NUMBER = {state: k for k, state in enumerate(STATES)}
REWARD = [State(state).getReward() for state in STATES]
NEXT = [[NUMBER[State(state).nxtPosition(a)] for a in ACTIONS] for state in STATES]


def is_end(state):
    place = State(state)
    place.isEndFunc()
    return place.isEnd


END = [is_end(state) for state in STATES]


def run_q_learning(episodes=10_000, alpha=0.5, gamma=0.9, epsilon=0.1):
    """The table, and the return of every episode."""
    Q = [[0.0] * len(ACTIONS) for _ in STATES]
    plot_reward = []
    for _ in range(episodes):
        s, rewards = NUMBER[START], 0
        while not END[s]:
            row = Q[s]
            if random.random() <= epsilon:
                a = int(random.random() * len(ACTIONS))
            else:
                a = row.index(max(row))
            reward, following = REWARD[s], NEXT[s][a]
            row[a] = (1 - alpha) * row[a] + alpha * (reward + gamma * max(Q[following]))
            rewards += reward
            s = following
        Q[s] = [float(REWARD[s])] * len(ACTIONS)
        plot_reward.append(rewards + REWARD[s])
    return Q, plot_reward


if __name__ == "__main__":
    Q, rewards = run_q_learning(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    for i in range(BOARD_ROWS):
        print(" ".join(f"{max(Q[NUMBER[i, j]]):6.3f}" for j in range(BOARD_COLS)))
    last = rewards[-100:]
    print("mean return of the last 100 episodes:", sum(last) / len(last))
