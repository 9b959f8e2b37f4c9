"""Priorities in a tree of sums (Schaul et al., "Prioritized experience replay", 2016).

Every inner node is the sum of its 16 children, which share a cache line: a million priorities are
five lines deep. A changed leaf has its ancestors summed again instead of corrected, so that no
rounding gathers however long it runs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlearn.kernels.marks import cold
from qlearn.rng import uniform

FANOUT = 16


class Tree(NamedTuple):
    """All levels in one array, the leaves first; [1]: the largest priority so far."""

    nodes: np.ndarray
    starts: np.ndarray  # of each level
    largest: np.ndarray


def tree_of(leaves: int) -> Tree:
    sizes = [_rounded(leaves)]
    while sizes[-1] > FANOUT:
        sizes.append(_rounded(sizes[-1] // FANOUT))
    starts = np.cumsum([0, *sizes])
    return Tree(np.zeros(starts[-1], np.float32), starts[:-1].copy(), np.ones(1, np.float32))


def _rounded(count: int) -> int:
    return -(-count // FANOUT) * FANOUT


def sixteen(nodes, start):
    """The sum of a cache line."""
    total = np.float32(0.0)
    for j in range(FANOUT):
        total += nodes[start + j]
    return total


def total(tree):
    """The sum of all priorities."""
    return sixteen(tree.nodes, tree.starts[len(tree.starts) - 1])


@cold
def set_priority(tree, leaf, priority):
    """Gives a leaf its priority."""
    tree.nodes[leaf] = priority
    place = leaf
    for level in range(len(tree.starts) - 1):
        group = place // FANOUT
        value = sixteen(tree.nodes, tree.starts[level] + group * FANOUT)
        tree.nodes[tree.starts[level + 1] + group] = value
        place = group


@cold
def find(tree, mass):
    """The leaf in whose share of the sum `mass` lies; never one of priority 0."""
    group = 0
    for level in range(len(tree.starts) - 1, -1, -1):
        start = tree.starts[level] + group * FANOUT
        chosen = -1
        for j in range(FANOUT):
            value = tree.nodes[start + j]
            if value > np.float32(0.0):
                chosen = j
                if mass < value:
                    break
                mass -= value
        group = group * FANOUT + chosen
    return group


def draw(tree, k, count, stream):
    """The k-th of `count` leaves drawn together: from its own equal part of the sum."""
    return find(tree, (k + uniform(stream)) / count * total(tree))
