"""A replay's arrays by name, and back: what others wrote is checked before it is believed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qlearn.errors import UserError
from qlearn.replay.ring import EMPTY, LAST, Ring
from qlearn.replay.tree import Tree, sum_up

FRAMES = "replay.frames"


def named(ring: Ring, tree: Tree | None) -> dict[str, np.ndarray]:
    """The names that checkpoints use."""
    arrays = {f"replay.{name}": array for name, array in ring._asdict().items()}
    if tree is not None:
        arrays |= {"priorities": tree.nodes, "largest_priority": tree.largest}
    return arrays


def put(
    ring: Ring,
    tree: Tree | None,
    arrays: Mapping[str, np.ndarray],
    state: Mapping[str, np.ndarray],
) -> None:
    """All of a state or none; compiled code trusts every number in it."""
    for name, array in arrays.items():
        if name not in state:
            raise UserError(f"this is not the state of such a replay: it has no '{name}'")
        given = state[name]
        if given.shape != array.shape or given.dtype != array.dtype:
            raise UserError(
                f"this is not the state of such a replay: '{name}' is {given.dtype} {given.shape},"
                f" not {array.dtype} {array.shape}"
            )
    if (fault := _fault(ring, tree, state)) is not None:
        raise UserError(f"this state of a replay is damaged: {fault}")
    for name, array in arrays.items():
        array[...] = state[name]
    if tree is not None:
        tree.nodes[len(ring.ends) :] = 0.0  # sums are made, not believed
        sum_up(tree)


def _fault(ring: Ring, tree: Tree | None, state: Mapping[str, np.ndarray]) -> str | None:
    lanes = len(ring.heads)
    ends = state["replay.ends"].reshape(lanes, -1)
    heads, filled = state["replay.heads"], state["replay.filled"]
    room = ends.shape[1]
    used = ends != EMPTY
    begins = ends.ravel() < LAST
    if ends.max() > EMPTY:
        return "'replay.ends' has numbers that mean nothing"
    if heads.min() < 0 or heads.max() >= room:
        return "'replay.heads' are not within their lanes"
    if (filled != np.where(used.any(axis=1), room - used[:, ::-1].argmax(axis=1), 0)).any():
        return "'replay.filled' does not say how many places were used"
    if state["replay.held"][0] != begins.sum():
        return "'replay.held' does not say how many transitions there are"
    if "stream" in state and not 0 <= state["stream"][-1] <= 4:
        return "'stream' is not one of qlearn.rng"
    if tree is None:
        return None
    leaves = state["priorities"][: len(begins)]
    if not np.isfinite(leaves).all() or ((leaves > 0) != begins).any() or (leaves < 0).any():
        return "'priorities' are not above 0 where a transition begins, and 0 elsewhere"
    if not 0 < state["largest_priority"][0] < np.inf:
        return "'largest_priority' is no priority"
    return None
