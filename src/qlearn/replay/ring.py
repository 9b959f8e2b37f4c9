"""Transitions in a ring of frames: what was seen is stored once. Plain text, compiled where used.

Each copy of the environment has a lane of its own. In a lane, frames stand in the order in which
they were seen: the frame after a transition's own is the one that it led to. An episode's last
frame is stored too, and no transition begins at it; then the next episode's frames follow. So an
end costs one place, and nothing else is ever stored twice.

The newest frame of a lane waits for its action: it is there already, as what the transition
before it led to.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlearn.errors import UserError
from qlearn.kernels.marks import cold
from qlearn.rng import integers

# What a slot holds, in `ends`. The first three are transitions.
GOES_ON, TERMINATED, TRUNCATED, LAST, WAITS, EMPTY = 0, 1, 2, 3, 4, 5
LEAST_SLOTS = 4  # of a lane: a transition, its end, and a frame that waits
MOST_SLOTS = 2**31 - 1  # what `integers` can choose from


class Ring(NamedTuple):
    """Slots of all lanes, lane after lane."""

    frames: np.ndarray  # (slots, width)
    actions: np.ndarray
    rewards: np.ndarray
    ends: np.ndarray
    heads: np.ndarray  # of each lane: where its next transition goes
    filled: np.ndarray  # of each lane: how many of its slots were ever used
    held: np.ndarray  # [0]: transitions in all lanes


def refuse_beyond_choosing(capacity: int) -> None:
    if capacity > MOST_SLOTS:
        raise UserError(f"a replay has at most {MOST_SLOTS:,} places, not {capacity:,}")


def ring_of(capacity: int, lanes: int, width: int, dtype: type = np.float32) -> Ring:
    """An empty ring of `capacity` slots, as many for each lane."""
    if capacity < LEAST_SLOTS * lanes:
        raise UserError(
            f"a replay of {capacity:,} places is too small: it needs at least"
            f" {LEAST_SLOTS * lanes:,}, {LEAST_SLOTS} for each copy of the environment"
        )
    refuse_beyond_choosing(capacity)
    slots = capacity // lanes * lanes
    return Ring(
        frames=np.zeros((slots, width), dtype),
        actions=np.zeros(slots, np.int32),
        rewards=np.zeros(slots, np.float32),
        ends=np.full(slots, EMPTY, np.uint8),
        heads=np.zeros(lanes, np.int64),
        filled=np.zeros(lanes, np.int64),
        held=np.zeros(1, np.int64),
    )


def bytes_of(capacity: int, width: int, item: int = 4) -> int:
    """What a ring takes, before it is made."""
    return capacity * (width * item + 4 + 4 + 1)


def put_frame(ring, slot, frame, end):
    """A frame into a slot; gives how many transitions that costs."""
    lost = 1 if ring.ends[slot] < LAST else 0
    row = ring.frames[slot]
    for j in range(len(row)):
        row[j] = frame[j]
    ring.ends[slot] = end
    return lost


def add(ring, lane, frame, action, reward, after, terminated, truncated):
    """One transition of a lane, and the frame it led to; gives its slot."""
    room = len(ring.ends) // len(ring.heads)
    start = lane * room
    head = ring.heads[lane]
    slot = start + head
    following = head + 1 if head + 1 < room else 0
    end = TERMINATED if terminated else TRUNCATED if truncated else GOES_ON
    lost = put_frame(ring, slot, frame, end)
    ring.actions[slot] = action
    ring.rewards[slot] = reward
    lost += put_frame(ring, start + following, after, WAITS if end == GOES_ON else LAST)
    if end != GOES_ON:
        following = following + 1 if following + 1 < room else 0
        lost += put_frame(ring, start + following, after, WAITS)  # for the next episode's first
    ring.held[0] += 1 - lost
    ring.heads[lane] = following
    if ring.filled[lane] < room:
        ring.filled[lane] = room if following <= head else max(ring.filled[lane], following + 1)
    return slot


def join(ring, lane, frame):
    """Before a transition that begins at `frame`, where a lane may have been left alone meanwhile.

    If the frame that waits is another one, it becomes what the transition before it led to, and
    no more: the lane goes on behind it.
    """
    room = len(ring.ends) // len(ring.heads)
    start = lane * room
    head = ring.heads[lane]
    if ring.ends[start + (head - 1 if head else room - 1)] != GOES_ON:
        return
    waiting = ring.frames[start + head]
    for j in range(len(frame)):
        if waiting[j] != frame[j]:
            ring.ends[start + head] = LAST
            ring.heads[lane] = head + 1 if head + 1 < room else 0
            return


@cold
def top_of(ring):
    """How many slots of every lane have to be looked at to find all transitions."""
    top = 0
    for lane in range(len(ring.heads)):
        top = max(top, ring.filled[lane])
    return top


def draw(ring, top, stream):
    """The slot of a transition, each equally likely; there must be one."""
    lanes = len(ring.heads)
    room = len(ring.ends) // lanes
    while True:
        slot = integers(stream, lanes * top)
        if top < room:
            slot = slot // top * room + slot % top
        if ring.ends[slot] < LAST:
            return slot


def before(ring, slot):
    """The slot before in the same lane."""
    room = len(ring.ends) // len(ring.heads)
    return slot - 1 if slot % room else slot - 1 + room


def after(ring, slot):
    """The slot that follows in the same lane."""
    room = len(ring.ends) // len(ring.heads)
    return slot + 1 if (slot + 1) % room else slot + 1 - room


def look_ahead(ring, slot, steps, discount):
    """Up to `steps` rewards from a slot on: (their discounted sum, discount of what follows, the
    slot that follows, how many they were).

    What follows a terminated step is worth nothing: its discount is 0. Where an episode was cut
    off, or the lane's newest frame is reached, there are fewer steps.
    """
    total, factor, count = 0.0, 1.0, 0
    while True:
        total += factor * ring.rewards[slot]
        factor *= discount
        end = ring.ends[slot]
        slot = after(ring, slot)
        count += 1
        if end == TERMINATED:
            return total, 0.0, slot, count
        if end == TRUNCATED or count == steps or ring.ends[slot] >= LAST:
            return total, factor, slot, count
