"""The board of q_learning.py for many agents at once in CuPy: NumPy's calls on an NVIDIA GPU.

pytorch_q_learning.py is the same by PyTorch, and says what is slow and what goes wrong in both.

    python examples/classic/cupy_q_learning.py [agents] [steps] [--plot]
"""

import sys

import cupy as cp
from q_learning import BOARD_COLS, BOARD_ROWS, DOWN, HOLE_STATE, LEFT, RIGHT, UP, WIN_STATE
from q_learning import START as FIRST

try:
    profile
except NameError:  # nobody profiles line by line

    def profile(function):
        return function


NUM_ACTIONS = 4
START = cp.array([FIRST])
HOLE_MASK = cp.zeros((BOARD_ROWS, BOARD_COLS), dtype=cp.bool_)
for row, column in HOLE_STATE:
    HOLE_MASK[row, column] = True


def new_table():
    return cp.zeros((BOARD_ROWS, BOARD_COLS, NUM_ACTIONS), dtype=cp.float32)


def get_reward(states):
    rewards = cp.full((states.shape[0],), -1.0, dtype=cp.float32)
    rewards[HOLE_MASK[states[:, 0], states[:, 1]]] = -5.0
    rewards[(states[:, 0] == WIN_STATE[0]) & (states[:, 1] == WIN_STATE[1])] = 1.0
    return rewards


def compute_next_states(states, actions):
    next_states = states.copy()
    next_states[actions == UP, 0] -= 1
    next_states[actions == DOWN, 0] += 1
    next_states[actions == LEFT, 1] -= 1
    next_states[actions == RIGHT, 1] += 1
    return cp.clip(next_states, 0, BOARD_ROWS - 1)


def update_q(Q, states, actions, rewards, next_states, alpha=0.5, gamma=0.9):
    q_current = Q[states[:, 0], states[:, 1], actions]
    q_next_max = Q[next_states[:, 0], next_states[:, 1]].max(axis=1)
    q_target = rewards + gamma * q_next_max
    Q[states[:, 0], states[:, 1], actions] = (1 - alpha) * q_current + alpha * q_target


@profile
def run_cupy_q_learning(num_agents=512, max_steps=10_000, Q=None):
    """The rewards of each step, summed; learned into a table of its own, unless one is given."""
    Q = new_table() if Q is None else Q
    states = cp.tile(START, (num_agents, 1))
    rewards_history = []
    for _ in range(max_steps):
        actions = cp.random.randint(0, NUM_ACTIONS, size=num_agents)
        next_states = compute_next_states(states, actions)
        rewards = get_reward(next_states)
        update_q(Q, states, actions, rewards, next_states)
        rewards_history.append(rewards.sum().item())
        done = (rewards == 1.0) | (rewards == -5.0)
        states = cp.where(done[:, None], START, next_states)
    return rewards_history


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if not word.startswith("-")]
    Q = new_table()
    rewards = run_cupy_q_learning(*numbers, Q=Q)
    for values in Q.max(axis=2).tolist():
        print(" ".join(f"{value:6.3f}" for value in values))
    if "--plot" in sys.argv:
        import matplotlib.pyplot as plt

        plt.plot(rewards)
        plt.title("Total Rewards (CuPy)")
        plt.show()
