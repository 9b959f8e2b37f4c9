"""The board of q_learning.py for many agents at once in PyTorch, as it is usually turned for a GPU.

Every step is a few array operations, on the GPU if there is one. Three things are as people write
them: an assignment to `Q[...]` keeps one update where several agents are in the same place and do
the same, `.item()` waits for the GPU at every step, and all agents only wander about. Unlike in the
first script a step earns the reward of where it leads.

    python examples/classic/pytorch_q_learning.py [agents] [steps] [--plot]
"""

import sys

import torch
from q_learning import BOARD_COLS, BOARD_ROWS, DOWN, HOLE_STATE, LEFT, RIGHT, UP, WIN_STATE
from q_learning import START as FIRST

try:
    profile
except NameError:  # nobody profiles line by line

    def profile(function):
        return function


NUM_ACTIONS = 4
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
START = torch.tensor([FIRST], device=device)
HOLE_MASK = torch.zeros((BOARD_ROWS, BOARD_COLS), dtype=torch.bool, device=device)
for row, column in HOLE_STATE:
    HOLE_MASK[row, column] = True


def new_table():
    return torch.zeros((BOARD_ROWS, BOARD_COLS, NUM_ACTIONS), device=device)


def get_reward(states):
    rewards = torch.full((states.shape[0],), -1.0, device=device)
    rewards[HOLE_MASK[states[:, 0], states[:, 1]]] = -5.0
    rewards[(states[:, 0] == WIN_STATE[0]) & (states[:, 1] == WIN_STATE[1])] = 1.0
    return rewards


def compute_next_states(states, actions):
    next_states = states.clone()
    next_states[actions == UP, 0] -= 1
    next_states[actions == DOWN, 0] += 1
    next_states[actions == LEFT, 1] -= 1
    next_states[actions == RIGHT, 1] += 1
    return torch.clamp(next_states, 0, BOARD_ROWS - 1)


def update_q(Q, states, actions, rewards, next_states, alpha=0.5, gamma=0.9):
    q_current = Q[states[:, 0], states[:, 1], actions]
    q_next_max = Q[next_states[:, 0], next_states[:, 1]].max(dim=1).values
    q_target = rewards + gamma * q_next_max
    Q[states[:, 0], states[:, 1], actions] = (1 - alpha) * q_current + alpha * q_target


@profile
def run_pytorch_q_learning(num_agents=512, max_steps=10_000, Q=None):
    """The rewards of each step, summed; learned into a table of its own, unless one is given."""
    Q = new_table() if Q is None else Q
    states = START.repeat(num_agents, 1)
    rewards_history = []
    for _ in range(max_steps):
        actions = torch.randint(0, NUM_ACTIONS, (num_agents,), device=device)
        next_states = compute_next_states(states, actions)
        rewards = get_reward(next_states)
        update_q(Q, states, actions, rewards, next_states)
        rewards_history.append(rewards.sum().item())
        done = (rewards == 1.0) | (rewards == -5.0)
        states = torch.where(done.unsqueeze(1), START, next_states)
    return rewards_history


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if not word.startswith("-")]
    Q = new_table()
    rewards = run_pytorch_q_learning(*numbers, Q=Q)
    for values in Q.max(dim=2).values.tolist():
        print(" ".join(f"{value:6.3f}" for value in values))
    if "--plot" in sys.argv:
        import matplotlib.pyplot as plt

        plt.plot(rewards)
        plt.title("Total Rewards (PyTorch)")
        plt.show()
