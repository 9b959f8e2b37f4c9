"""What one call of a ReplayBuffer's method does, compiled whole. Plain text.

Frames come and go as bytes, in words as wide as divide them: `frames` of all lanes or rows, one
after the other in a flat array.
"""

from __future__ import annotations

import numpy as np

from qlearn.replay import ring as rings
from qlearn.replay import rule

DONE, NOT_FINITE, NO_SLOT, NO_TRANSITION = 0, 1, 2, 3


def add_step(
    ring, tree, prioritized, frames, actions, rewards, afters, terminated, truncated, valid,
):  # fmt: skip
    """One step of every lane whose step counts; False where an action has too many bits."""
    for lane in range(len(ring.heads)):
        if valid[lane] and actions[lane] != np.int32(actions[lane]):
            return False
    width = ring.frames.shape[1]
    for lane in range(len(ring.heads)):
        if not valid[lane]:
            continue
        frame = frames[lane * width : (lane + 1) * width]
        rings.join(ring, lane, frame)
        rule.remember(
            ring, tree, prioritized, lane, frame, actions[lane], rewards[lane],
            afters[lane * width : (lane + 1) * width], terminated[lane], truncated[lane],
        )  # fmt: skip
    return True


def sample_batches(
    ring, tree, prioritized, beta, n_step, discount, size, stream, slots, frames, actions, rewards,
    afters, discounts, terminated, truncated, weights,
):  # fmt: skip
    """Batches of `size` rows; False where there is nothing to draw."""
    if ring.held[0] == 0:
        return False
    for first in range(0, len(slots), size):
        rule.draw(
            ring, tree, prioritized, beta, slots[first : first + size],
            weights[first : first + size], stream,
        )  # fmt: skip
    width = ring.frames.shape[1]
    for row in range(len(slots)):
        slot = slots[row]
        reward, factor, following, count = rings.look_ahead(ring, slot, n_step, discount)
        end = ring.ends[slot if count == 1 else rings.before(ring, following)]
        copy(ring.frames[slot], frames, row * width)
        copy(ring.frames[following], afters, row * width)
        actions[row] = ring.actions[slot]
        rewards[row] = reward
        discounts[row] = factor
        terminated[row] = end == rings.TERMINATED
        truncated[row] = end == rings.TRUNCATED
    return True


def copy(row, into, place):
    for j in range(len(row)):
        into[place + j] = row[j]


def set_errors(ring, tree, slots, errors, alpha):
    """All of them or none: what is wrong, and with which."""
    for row in range(len(slots)):
        wrong = fault(ring, slots[row], errors[row])
        if wrong != DONE:
            return wrong, row
    rule.prioritize(ring, tree, slots, errors, alpha)
    return DONE, 0


def fault(ring, slot, error):
    """Whether a slot that was drawn could have this error."""
    if not np.isfinite(error):
        return NOT_FINITE
    if not 0 <= slot < len(ring.ends):
        return NO_SLOT
    room = len(ring.ends) // len(ring.heads)
    # In a lane that has been around, what was drawn may have been written over since.
    if ring.ends[slot] >= rings.LAST and ring.filled[slot // room] < room:
        return NO_TRANSITION
    return DONE
