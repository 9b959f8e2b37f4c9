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
TOGETHER = 64  # leaves that are looked for at a time


class Tree(NamedTuple):
    """All levels in one array, the leaves first."""

    nodes: np.ndarray
    starts: np.ndarray  # of each level
    largest: np.ndarray  # [0]: priority so far
    masses: np.ndarray  # of the leaves that are being looked for, and of no one else


def tree_of(leaves: int) -> Tree:
    """A tree of priorities that are all 0."""
    starts = np.cumsum([0, *_sizes(leaves)])
    return Tree(
        np.zeros(starts[-1], np.float32),
        starts[:-1].copy(),
        np.ones(1, np.float32),
        np.zeros(TOGETHER),
    )


def sum_up(tree: Tree) -> None:
    """Every inner node anew, where the leaves were written one and all."""
    for level in range(len(tree.starts) - 1):
        children = tree.nodes[tree.starts[level] : tree.starts[level + 1]].reshape(-1, 4, 4)
        sums = children[:, 0]
        for k in range(1, 4):
            sums = sums + children[:, k]
        first = tree.starts[level + 1]
        tree.nodes[first : first + len(sums)] = (sums[:, 0] + sums[:, 1]) + (
            sums[:, 2] + sums[:, 3]
        )


def bytes_of(leaves: int) -> int:
    """What a tree takes, before it is made."""
    sizes = _sizes(leaves)
    return (sum(sizes) + 1) * 4 + (len(sizes) + TOGETHER) * 8


def _sizes(leaves: int) -> list[int]:
    sizes = [_rounded(leaves)]
    while sizes[-1] > FANOUT:
        sizes.append(_rounded(sizes[-1] // FANOUT))
    return sizes


def _rounded(count: int) -> int:
    return -(-count // FANOUT) * FANOUT


def sixteen(nodes, start):
    """The sum of a cache line."""
    a = b = c = d = np.float32(0.0)
    for j in range(start, start + FANOUT, 4):  # four chains of additions side by side
        a += nodes[j]
        b += nodes[j + 1]
        c += nodes[j + 2]
        d += nodes[j + 3]
    return (a + b) + (c + d)


def total(tree):
    """The sum of all priorities."""
    return sixteen(tree.nodes, tree.starts[len(tree.starts) - 1])


@cold
def set_priority(tree, leaf, priority):
    """Gives a leaf its priority."""
    if tree.nodes[leaf] == priority:
        return
    tree.nodes[leaf] = priority
    place = leaf
    for level in range(len(tree.starts) - 1):
        group = place // FANOUT
        value = sixteen(tree.nodes, tree.starts[level] + group * FANOUT)
        tree.nodes[tree.starts[level + 1] + group] = value
        place = group


def child(tree, level, parent, mass):
    """Which node of a level `mass` lies in, of the 16 under a parent; and how far into it."""
    nodes, start = tree.nodes, tree.starts[level]
    first = place = start + parent * FANOUT
    part, mass = quarter(four(nodes, first), four(nodes, first + 4), four(nodes, first + 8), mass)
    place += 4 * part
    part, mass = quarter(
        np.float64(nodes[place]), np.float64(nodes[place + 1]), np.float64(nodes[place + 2]), mass
    )  # fmt: skip
    place += part
    if nodes[place] == np.float32(0.0):  # sums are rounded: the end of what is before
        while nodes[place] == np.float32(0.0) and place > first:
            place -= 1
        mass += nodes[place]
    return place - start, mass


def quarter(a, b, c, mass):
    """Which of four parts, of which the first three are given, `mass` lies in, and how far."""
    ab = a + b
    abc = ab + c
    part, passed = 0, 0.0
    if mass >= a:
        part, passed = 1, a
    if mass >= ab:
        part, passed = 2, ab
    if mass >= abc:
        part, passed = 3, abc
    return part, mass - passed


def four(nodes, first):
    a, b = np.float64(nodes[first]), np.float64(nodes[first + 2])
    return (a + nodes[first + 1]) + (b + nodes[first + 3])


@cold
def draw(tree, leaves, stream):
    """As many leaves as there is room for, each from its own equal part of the sum; never one of
    priority 0.

    So many at a time walk down level by level, so that one waits for its memory while others go on.
    """
    count, whole = len(leaves), np.float64(total(tree))
    masses = tree.masses
    for first in range(0, count, TOGETHER):
        rows = min(TOGETHER, count - first)
        for row in range(rows):
            masses[row] = (first + row + uniform(stream)) / count * whole
            leaves[first + row] = 0
        for level in range(len(tree.starts) - 1, -1, -1):
            for row in range(rows):
                parent = leaves[first + row]
                leaves[first + row], masses[row] = child(tree, level, parent, masses[row])
