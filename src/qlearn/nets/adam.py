"""Adam and RAdam on flat buffers, with the clipping of the gradient's norm before them.

Kingma and Ba, "Adam" (2015); Liu et al., "On the variance of the adaptive learning rate" (2020).
The formulas are those of torch.optim, so that the twins take the same steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from qlearn.kernels.marks import cold
from qlearn.kernels.simd import row_dot
from qlearn.nets.mlp import BLOCK, ONE, share

ADAM, RADAM = 0, 1
OPTIMISERS = ("adam", "radam")


class Moments(NamedTuple):
    """What the optimiser remembers, and its constants."""

    first: np.ndarray
    second: np.ndarray
    average: np.ndarray  # of the parameters, weighted towards the last: what the policy plays
    partial: np.ndarray  # sums of squares of the gradient, block by block
    optimiser: int
    beta1: float
    beta2: float
    epsilon: float
    clip: float  # of the gradient's norm; 0: none


def moments_of(
    params: np.ndarray, optimiser: str = "adam", clip: float = 0.0, epsilon: float = 1e-8
) -> Moments:
    blocks = (params.size + BLOCK - 1) // BLOCK
    return Moments(
        np.zeros_like(params), np.zeros_like(params), params.copy(), np.zeros(blocks, np.float32),
        OPTIMISERS.index(optimiser), 0.9, 0.999, epsilon, clip,
    )  # fmt: skip


def squares(net, moments, member, members):
    """This member's partial sums of the squared gradient."""
    low, high = share(len(moments.partial), member, members, 1)
    for block in range(low, high):
        start = block * BLOCK
        size = min(BLOCK, len(moments.first) - start)
        moments.partial[block] = row_dot(net.grads, start, net.grads, start, size)


def norm(moments):
    """The norm of the whole gradient, summed in one order."""
    total = 0.0
    for block in range(len(moments.partial)):
        total += moments.partial[block]
    return math.sqrt(total)


def adam(net, moments, lr, update, keep, member, members):
    """One step of this member's share of the parameters; `update` counts from 1.

    `keep` is the weight of the old average of the parameters; 0 makes it the newest.
    """
    scale = 1.0
    if moments.clip > 0.0:
        scale = min(1.0, moments.clip / (norm(moments) + 1e-6))
    beta1, beta2 = moments.beta1, moments.beta2
    correction1 = 1.0 - beta1**update
    correction2 = 1.0 - beta2**update
    step = lr / correction1
    root = 1.0 / math.sqrt(correction2)
    epsilon = moments.epsilon
    adaptive = True
    if moments.optimiser == RADAM:
        epsilon *= root  # torch.optim.RAdam adds it before the correction, Adam after it
        longest = 2.0 / (1.0 - beta2) - 1.0
        length = longest - 2.0 * update * beta2**update / correction2
        adaptive = length > 5.0
        if adaptive:
            step *= math.sqrt(
                (length - 4.0) * (length - 2.0) * longest
                / ((longest - 4.0) * (longest - 2.0) * length)
            )  # fmt: skip
    low, high = share(len(moments.first), member, members, BLOCK)
    stretch(
        net.params[low:high], net.grads[low:high], moments.first[low:high],
        moments.second[low:high], moments.average[low:high], np.float32(scale),
        np.float32(beta1), np.float32(1.0 - beta1), np.float32(beta2), np.float32(1.0 - beta2),
        np.float32(step), np.float32(root), np.float32(epsilon),
        np.float32(keep), adaptive,
    )  # fmt: skip


@cold
def stretch(
    params, grads, first, second, average, scale, beta1, rest1, beta2, rest2, step, root, epsilon,
    keep, adaptive,
):  # fmt: skip
    """Adam's equations on a stretch of parameters."""
    rest = ONE - keep
    for i in range(len(params)):
        g = grads[i] * scale
        m = beta1 * first[i] + rest1 * g
        v = beta2 * second[i] + rest2 * g * g
        first[i] = m
        second[i] = v
        if adaptive:
            p = params[i] - step * m / (math.sqrt(v) * root + epsilon)
        else:
            p = params[i] - step * m
        params[i] = p
        average[i] = keep * average[i] + rest * p
