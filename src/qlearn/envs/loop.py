"""What every game shares: autoreset, time limits, final observations, returns. Written once.

Plain text like an environment's own: run by the interpreter, compiled for the CPU, compiled for
the GPU. The first functions are placeholders, bound to one environment's own.

A *copy* is one game in progress: `state` (the environment's declared fields), `rng` (its random
stream), `elapsed` (steps of this episode), the returns so far, and the figures of the last
finished episode.
"""

from __future__ import annotations

from qlearn.kernels.marks import cold
from qlearn.rng import integers


def reset(state, rng, world):
    raise NotImplementedError


def step(state, action, rng, world):
    raise NotImplementedError


def observe(state, observation, world):
    raise NotImplementedError


def given_up(state, world):
    """Whether the game is cut off here, through no merit or fault: truncated, not terminated."""
    return False


def score(state, world):
    raise NotImplementedError


def measure(state, sums, world):
    """Adds to `sums` what evaluations report as a mean over all steps."""


def final_score(copy, world):
    """What the episode is worth to a person; a replaced reward never enters it."""
    return copy.plain_return


def final_score_of_state(copy, world):
    """The same, for an environment that keeps its own score (its rewards may be shaped)."""
    return score(copy.state, world)


def learning_reward(before, action, after, reward, terminated):
    """The reward to learn from, where the user replaces it."""
    return reward


@cold
def begin(copy, observation, world):
    """Starts the next episode of a copy."""
    copy.elapsed = 0
    copy.shaped_return = 0.0
    copy.plain_return = 0.0
    reset(copy.state, copy.rng, world)
    observe(copy.state, observation, world)


def file_episode(copy, observation, world):
    """Files the figures of the episode that has just ended."""
    copy.episodes += 1
    copy.last_length = copy.elapsed
    copy.last_return = copy.shaped_return
    copy.last_score = final_score(copy, world)


def finish(copy, observation, world):
    """Files the episode and starts the next in the same step.

    Bound to `file_episode`, a game stops at its end, to be looked at there.
    """
    file_episode(copy, observation, world)
    begin(copy, observation, world)


def advance(copy, action, observation, final_observation, max_steps, world):
    """One step of one copy: (reward, terminated, truncated).

    `observation` then shows where the next action is chosen; where an episode ended, that is the
    first state of the next one, and `final_observation` shows the last state of the old.
    """
    reward, terminated = step(copy.state, action, copy.rng, world)
    copy.elapsed += 1
    copy.shaped_return += reward
    copy.plain_return += reward
    truncated = not terminated and (copy.elapsed == max_steps or given_up(copy.state, world))
    if terminated or truncated:
        observe(copy.state, final_observation, world)
        finish(copy, observation, world)
    else:
        observe(copy.state, observation, world)
    return reward, terminated, truncated


def advance_rewarded(copy, action, observation, final_observation, max_steps, world):
    """`advance`, with the reward replaced by the user's own function of what is seen."""
    plain_reward, terminated = step(copy.state, action, copy.rng, world)
    copy.elapsed += 1
    truncated = not terminated and (copy.elapsed == max_steps or given_up(copy.state, world))
    observe(copy.state, final_observation, world)
    reward = learning_reward(observation, action, final_observation, plain_reward, terminated)
    copy.shaped_return += reward
    copy.plain_return += plain_reward
    if terminated or truncated:
        finish(copy, observation, world)
    else:
        for k in range(len(observation)):
            observation[k] = final_observation[k]
    return reward, terminated, truncated


def begin_batch(copies, observations, low, high, world):
    """Starts an episode in copies low .. high-1."""
    for i in range(low, high):
        begin(copies[i], observations[i], world)


def step_batch(
    copies, actions, observations, finals, rewards, terminated, truncated,
    low, high, n_actions, max_steps, world,
):  # fmt: skip
    """One step of copies low .. high-1: -1 when all went well.

    Else the first copy whose reward is no number, or -2 minus the first copy whose action is
    impossible; then no copy has moved.
    """
    for i in range(low, high):
        if actions[i] < 0 or actions[i] >= n_actions:
            return -2 - i
    bad = -1
    for i in range(low, high):
        reward, ended, cut = advance(
            copies[i], actions[i], observations[i], finals[i], max_steps, world
        )
        rewards[i] = reward
        terminated[i] = ended
        truncated[i] = cut
        if bad < 0 and reward != reward:
            bad = i
    return bad


def rollout(
    copies, players, observations, finals, rewards, terminated, truncated,
    low, high, steps, n_actions, max_steps, world,
):  # fmt: skip
    """`steps` random steps of copies low .. high-1, without leaving the loop."""
    for _ in range(steps):
        for i in range(low, high):
            action = integers(players[i], n_actions)
            reward, ended, cut = advance(
                copies[i], action, observations[i], finals[i], max_steps, world
            )
            rewards[i] = reward
            terminated[i] = ended
            truncated[i] = cut
