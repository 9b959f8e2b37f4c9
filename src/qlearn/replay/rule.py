"""What enters a replay, what is drawn from it, and what priorities errors become.

Plain text, compiled where used. `tree` is not looked at where draws are uniform.
"""

from __future__ import annotations

import numpy as np

from qlearn.kernels.marks import cold
from qlearn.replay import ring as rings
from qlearn.replay import tree as trees

LEAST_ERROR = 1e-6  # added to every error: no transition is never drawn again
MOST_PRIORITY = 1e28  # the sum of as many as there can be is still a float32


def remember(
    ring, tree, prioritized, lane, frame, action, reward, after, terminated, truncated
):  # fmt: skip
    """One transition of a lane, of the largest priority so far; gives its slot."""
    slot = rings.add(ring, lane, frame, action, reward, after, terminated, truncated)
    if prioritized:
        trees.set_priority(tree, slot, tree.largest[0])
        following = rings.after(ring, slot)
        trees.set_priority(tree, following, np.float32(0.0))
        if terminated or truncated:
            trees.set_priority(tree, rings.after(ring, following), np.float32(0.0))
    return slot


@cold
def draw(ring, tree, prioritized, beta, slots, weights, stream):
    """The slots of a batch, and what each counts in it; there must be a transition.

    Its importance weight is (N * P) ** -beta, over the largest such of the batch.
    """
    rows = len(slots)
    if not prioritized:
        top = rings.top_of(ring)
        for row in range(rows):
            slots[row] = rings.draw(ring, top, stream)
            weights[row] = 1.0
        return
    trees.draw(tree, slots, stream)
    least = np.float32(np.inf)
    for row in range(rows):
        least = min(least, tree.nodes[slots[row]])
    for row in range(rows):
        weights[row] = (least / tree.nodes[slots[row]]) ** beta


@cold
def prioritize(ring, tree, slots, errors, alpha):
    """What a batch's errors make of its priorities; what was written over meanwhile has none."""
    for row in range(len(slots)):
        if ring.ends[slots[row]] < rings.LAST:
            size = (abs(errors[row]) + LEAST_ERROR) ** alpha
            priority = np.float32(min(size, MOST_PRIORITY))
            tree.largest[0] = max(tree.largest[0], priority)
            trees.set_priority(tree, slots[row], priority)
