"""A replay's frames as checkpoints hold them: without their zeros, where most numbers are zeros.

So are boards, planes and places that are a one among zeros, and what nothing was put into yet. What
is not zero stands by itself, and a bit for every number says where it belongs. Bits are what counts:
-0.0 is no zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from qlearn.memory import refuse_beyond
from qlearn.replay.state import FRAMES
from qlearn.runs.files import Damaged
from qlearn.runs.tensors import MOST_DIMENSIONS, Made

PLACES, VALUES, SHAPE = f"{FRAMES}.places", f"{FRAMES}.values", f"{FRAMES}.shape"
PIECE = 2**18  # numbers at a time: they stay in the cache, and their bits fill whole bytes
WORTH = 0.5  # of the bytes: what does not come down to that is written as it is


def without_zeros(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | Made]:
    """The arrays as they are written. What has to be made is made then, piece by piece."""
    stored: dict[str, np.ndarray | Made] = dict(arrays)
    frames = arrays.get(FRAMES)
    if frames is None:
        return stored
    words = np.ascontiguousarray(frames).reshape(-1).view(f"u{frames.itemsize}")
    count = int(np.count_nonzero(words))
    if _bytes_of_bits(words.size) + count * words.itemsize > WORTH * words.nbytes:
        return stored
    del stored[FRAMES]
    return stored | {
        PLACES: Made(np.dtype(np.uint8), (_bytes_of_bits(words.size),), lambda: _places(words)),
        VALUES: Made(frames.dtype, (count,), lambda: _values(words)),
        SHAPE: np.array(frames.shape, np.int64),
    }


def with_zeros(stored: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """The arrays as they were; frames take no more memory than their bits account for."""
    if PLACES not in stored:
        return stored
    arrays = dict(stored)
    nothing = np.zeros(0)  # which does not fit
    places, values, shape = (arrays.pop(name, nothing) for name in (PLACES, VALUES, SHAPE))
    if _fit(places, values, shape):
        count = math.prod(shape.tolist())
        size = count * values.itemsize
        refuse_beyond(f"the replay in {path} takes", size, "it goes on where there is more")
        words = np.zeros(count, f"u{values.itemsize}")
        if _spread(places, values.view(words.dtype), words):
            return arrays | {FRAMES: words.view(values.dtype).reshape(shape)}
    raise Damaged(f"{path} is damaged: '{FRAMES}' is not what its bits say")


def _fit(places: np.ndarray, values: np.ndarray, shape: np.ndarray) -> bool:
    """Whether they are of the kinds that are written, and there is a bit for every number."""
    kinds = [(array.dtype, array.ndim) for array in (places, shape)]
    if kinds != [(np.uint8, 1), (np.int64, 1)] or values.ndim != 1:
        return False
    sizes = shape.tolist()
    return (
        0 < len(sizes) <= MOST_DIMENSIONS
        and min(sizes) > 0
        and len(places) == _bytes_of_bits(math.prod(sizes))
    )


def without_frames(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is left for who does not go on learning."""
    return {name: array for name, array in stored.items() if not name.startswith(FRAMES)}


def _bytes_of_bits(count: int) -> int:
    return -(-count // 8)


def _pieces(words: np.ndarray) -> Iterator[np.ndarray]:
    return (words[begin : begin + PIECE] for begin in range(0, len(words), PIECE))


def _places(words: np.ndarray) -> Iterator[np.ndarray]:
    return (np.packbits(piece != 0) for piece in _pieces(words))


def _values(words: np.ndarray) -> Iterator[np.ndarray]:
    return (piece[np.flatnonzero(piece != 0)] for piece in _pieces(words))


def _spread(places: np.ndarray, values: np.ndarray, words: np.ndarray) -> bool:
    """Puts the values where they belong among zeros; whether there are as many as places."""
    taken = 0
    for k, piece in enumerate(_pieces(words)):
        bits = places[k * PIECE // 8 : (k + 1) * PIECE // 8]
        filled = np.flatnonzero(np.unpackbits(bits, count=len(piece)).view(np.bool_))
        begin, taken = taken, taken + len(filled)
        if taken > len(values):
            return False
        if taken > begin:  # memory that nothing is put into is not taken
            piece[filled] = values[begin:taken]
    return taken == len(values)
