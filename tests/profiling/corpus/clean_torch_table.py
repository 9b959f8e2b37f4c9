# rule: none
# ruff: noqa
import torch

torch.set_num_threads(1)
torch.manual_seed(0)
SIDE, AGENTS = 5, 512


def compute_next_states(states, actions):
    rows, columns = states // SIDE, states % SIDE
    rows = (rows - (actions == 0).long() + (actions == 1).long()).clamp(0, SIDE - 1)
    columns = (columns - (actions == 2).long() + (actions == 3).long()).clamp(0, SIDE - 1)
    return rows * SIDE + columns


def update_q(Q, states, actions, rewards, next_states, alive):
    errors = rewards + 0.95 * alive * Q[next_states].amax(1) - Q[states, actions]
    Q.index_put_((states, actions), 0.01 * errors, accumulate=True)


@torch.inference_mode()
def run(steps):
    Q = torch.zeros(SIDE * SIDE, 4)
    states = torch.zeros(AGENTS, dtype=torch.long)
    for step in range(steps):
        explores = torch.rand(AGENTS) < max(0.05, 1 - 2 * step / steps)
        actions = torch.where(explores, torch.randint(4, (AGENTS,)), Q[states].argmax(1))
        next_states = compute_next_states(states, actions)
        done = next_states == SIDE * SIDE - 1
        update_q(Q, states, actions, torch.where(done, 1.0, -0.01), next_states, ~done)
        states = torch.where(done, 0, next_states)
    return Q


print(run(2_500)[0])
