"""The kernels of a batch on the GPU: one thread plays one copy, written like `loop`'s own text.

Observations lie (k, N), so that neighbouring threads write neighbouring words.
"""

from __future__ import annotations

import numpy

from qlearn.envs.loop import advance, begin
from qlearn.kernels.device import grid, gridsize, local_array, lower
from qlearn.rng import LENGTH, integers, refill

# Where the first copy that went wrong is filed, or NONE.
BAD_ACTION, BAD_REWARD = 0, 1
NONE = 1 << 62


def word(rng):
    """`rng.word` without an index that is known only when it runs: registers have no index."""
    if rng[10] == 4:
        refill(rng)
    used = int(rng[10])
    rng[10] = used + 1
    first, second, third, fourth = int(rng[6]), int(rng[7]), int(rng[8]), int(rng[9])
    if used < 2:
        return first if used == 0 else second
    return third if used == 2 else fourth


def begin_copies(copies, observations, world):
    """Starts an episode in every copy."""
    for i in range(grid(1), copies.shape[0], gridsize(1)):
        begin(copies[i], observations[:, i], world)


def step_copies(
    copies, actions, observations, finals, rewards, terminated, truncated, trouble,
    n_actions, max_steps, world,
):  # fmt: skip
    """One step of every copy; one whose action is impossible stays as it is."""
    for i in range(grid(1), copies.shape[0], gridsize(1)):
        action = numpy.int64(actions[i])
        if action < 0 or action >= n_actions:
            lower(trouble, BAD_ACTION, i)
        else:
            reward, ended, cut = advance(
                copies[i], action, observations[:, i], finals[:, i], max_steps, world
            )
            rewards[i] = reward
            terminated[i] = ended
            truncated[i] = cut
            if reward != reward:
                lower(trouble, BAD_REWARD, i)


def roll_near(
    copies, words, players, observations, finals, rewards, terminated, truncated,
    steps, n_actions, max_steps, world,
):  # fmt: skip
    """`steps` random steps of every copy in one launch, each copy in its thread's own memory.

    `words` are the copies' bytes, eight at a time, (N, words).
    """
    near = local_array(1, copies.dtype)
    near_words = near.view(words.dtype)
    player = local_array(LENGTH, players.dtype)
    for i in range(grid(1), copies.shape[0], gridsize(1)):
        for k in range(near_words.shape[0]):
            near_words[k] = words[i, k]
        for k in range(LENGTH):
            player[k] = players[i, k]
        for _ in range(steps):
            action = integers(player, n_actions)
            reward, ended, cut = advance(
                near[0], action, observations[:, i], finals[:, i], max_steps, world
            )
            rewards[i] = reward
            terminated[i] = ended
            truncated[i] = cut
        for k in range(near_words.shape[0]):
            words[i, k] = near_words[k]
        for k in range(LENGTH):
            players[i, k] = player[k]


def roll(
    copies, players, observations, finals, rewards, terminated, truncated,
    steps, n_actions, max_steps, world,
):  # fmt: skip
    """The same where it lies, for copies too large to be taken near."""
    for i in range(grid(1), copies.shape[0], gridsize(1)):
        for _ in range(steps):
            action = integers(players[i], n_actions)
            reward, ended, cut = advance(
                copies[i], action, observations[:, i], finals[:, i], max_steps, world
            )
            rewards[i] = reward
            terminated[i] = ended
            truncated[i] = cut


def read_column(words, column, out):
    """out[i] = words[i, column]: one field of every record, packed for its way to the host."""
    for i in range(grid(1), words.shape[0], gridsize(1)):
        out[i] = words[i, column]
