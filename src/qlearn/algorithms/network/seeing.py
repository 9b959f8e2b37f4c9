"""From what an environment shows to what a network takes: numbers scaled, states one-hot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qlearn.envs.spec import Planes
from qlearn.kernels.marks import cold

MOST_STATES = 4096  # of a discrete environment, one input each
LEAST_SPREAD = 1e-6

# Rows of the float64 array in which a scale is kept.
MIDDLE, SQUARES = 0, 1


def encode(seen, target, at, scale):
    """Real numbers, centred and divided by their spread so far."""
    for j in range(len(seen)):
        target[at + j] = (seen[j] - scale[0, j]) * scale[1, j]


def encode_state(seen, target, at, scale):
    """A discrete state as a one among zeros."""
    for j in range(scale.shape[1]):
        target[at + j] = 0.0
    target[at + int(seen[0])] = 1.0


@cold
def rescale(inputs, rows, scale, books, count):
    """Takes `rows` encoded inputs into the running mean and spread; gives the new count.

    What is stored is encoded already: its mean and spread say how far the scale was off.
    """
    width = scale.shape[1]
    total = count + rows
    for j in range(width):
        mean = 0.0
        for i in range(rows):
            mean += inputs[i * width + j]
        mean /= rows
        squares = 0.0
        for i in range(rows):
            away = inputs[i * width + j] - mean
            squares += away * away
        size = 1.0 / scale[1, j]
        mean = mean * size + scale[0, j]
        squares *= size * size
        away = mean - books[MIDDLE, j]
        books[SQUARES, j] += squares + away * away * count * rows / total
        books[MIDDLE, j] += away * rows / total
        scale[0, j] = books[MIDDLE, j]
        spread = math.sqrt(books[SQUARES, j] / total)
        scale[1, j] = 1.0 / spread if spread > LEAST_SPREAD else 1.0
    return total


def notice(seen, books, count):
    """Takes one observation into the running mean and spread (Welford); gives the new count."""
    count += 1
    for j in range(len(seen)):
        away = seen[j] - books[MIDDLE, j]
        books[MIDDLE, j] += away / count
        books[SQUARES, j] += away * (seen[j] - books[MIDDLE, j])
    return count


@cold
def settle_scale(scale, books, count):
    """The scale by what was noticed so far."""
    for j in range(scale.shape[1]):
        scale[0, j] = books[MIDDLE, j]
        spread = math.sqrt(books[SQUARES, j] / count)
        scale[1, j] = 1.0 / spread if spread > LEAST_SPREAD else 1.0


def encoded(environment: Any, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The same of whole batches."""
    if not environment.discrete:
        return (observations - scale[0]) * scale[1]
    rows = np.zeros((len(observations), scale.shape[1]), np.float32)
    rows[np.arange(len(rows)), observations[:, 0].astype(np.int64)] = 1.0
    return rows


def picture_of(environment: Any) -> Planes | None:
    """What is seen as a picture, where it is one."""
    return None if environment.discrete else environment.planes


def by_channels(scale: Any, planes: Planes) -> Any:
    """Each place's row of a scale as (places, channels)."""
    if planes.channels_last:
        return scale.reshape(-1, planes.channels)
    return scale.reshape(planes.channels, -1).T


def pool_scale(scale: Any, books: Any, count: Any, planes: Planes) -> None:
    """One middle and one spread for each channel: a convolution takes every place alike.

    Of NumPy's arrays or of tensors.
    """
    means = by_channels(books[MIDDLE], planes)
    squares = by_channels(books[SQUARES], planes) / count
    middle = means.mean(axis=0)
    spread = (squares + (means - middle) ** 2).mean(axis=0) ** 0.5
    still = spread <= LEAST_SPREAD
    by_channels(scale[0], planes)[:] = middle
    by_channels(scale[1], planes)[:] = 1.0 / (spread * ~still + still)


def inputs_of(environment: Any) -> int:
    return environment.observation if environment.discrete else environment.observation_shape[0]


def first_scale(environment: Any) -> np.ndarray:
    """Middle and one over the spread of each input, before anything was seen."""
    scale = np.zeros((2, inputs_of(environment)), np.float32)
    scale[1] = 1.0
    return scale
