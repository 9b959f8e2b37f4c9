"""A multilayer perceptron, forwards and backwards. Plain text, compiled where it is used.

Every function works on rows `low` .. `high - 1` of a batch, or on a share of the parameters, so
that a team of threads can divide the work. Each number is computed by one thread in one order:
how the work is divided changes no bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from qlearn.kernels.marks import cold
from qlearn.kernels.simd import (
    COLUMNS,
    nonzeros,
    picked,
    row_dot,
    row_squares,
    row_sum,
    tile1,
    tile4,
)
from qlearn.memory import refuse_beyond
from qlearn.nets.layout import (
    ABOVE,
    ACTIVATIONS,
    BELOW,
    BIAS,
    GAIN,
    HAT,
    INPUTS,
    OUT,
    OUTPUTS,
    RELU,
    SCALE,
    SELU,
    SHIFT,
    STREAMS,
    TURNED,
    WEIGHTS,
    Architecture,
)

TINY = np.float32(1e-5)  # added to the variance, as in torch.nn.LayerNorm
ONE = np.float32(1.0)
SELU_SCALE = np.float32(1.0507009873554805)
SELU_ALPHA = np.float32(1.6732632423543772)
BLOCK = 1024  # parameters in one partial sum
# Inputs among which zeros are looked for: boards and states, not pixels.
LEAST_SPARSE, MOST_SPARSE = 32, 4096
# Measured on 300-256-256-3: the products of the inputs that are not 0 take as long as all of them
# where those are a third, their gradients where they are a fifth.
WORTH_PICKING = 4


class Net(NamedTuple):
    """A network's buffers, as compiled text takes them."""

    layers: np.ndarray  # the layer table
    params: np.ndarray
    grads: np.ndarray
    work: np.ndarray
    zeros: np.ndarray
    places: np.ndarray  # row by row, the inputs that are not 0
    found: np.ndarray  # how many they are; -1: too many to be worth it
    users: np.ndarray  # input by input, the rows in which it is not 0
    used: np.ndarray
    activation: int
    layer_norm: int


def net_of(architecture: Architecture, rows: int, params: np.ndarray) -> Net:
    """Buffers around these parameters, for batches of up to `rows` rows."""
    table, work = architecture.table(rows)
    refuse_beyond(
        f"a network for {rows:,} rows at once takes", 4 * (2 * architecture.room + work),
        "narrower layers, or fewer rows (batch, minibatch, --envs) fit",
    )  # fmt: skip
    if architecture.room > params.size:
        params = np.concatenate([params, np.zeros(architecture.room - params.size, np.float32)])
    sparse = architecture.inputs if LEAST_SPARSE <= architecture.inputs <= MOST_SPARSE else 0
    net = Net(
        layers=table,
        params=params,
        grads=np.zeros_like(params),
        work=np.zeros(work, np.float32),
        zeros=np.zeros(max(architecture.widths), np.float32),
        places=np.zeros(rows * sparse, np.int32),
        found=np.full(rows, -1),
        users=np.zeros(rows * sparse, np.int32),
        used=np.zeros(sparse, np.int64),
        activation=ACTIVATIONS.index(architecture.activation),
        layer_norm=int(architecture.layer_norm),
    )
    compose(net)
    return net


@cold
def product(a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, low, high, width, depth):
    """Rows low .. high-1 of c = s + a b, tile by tile; see `simd.tile4`."""
    for j in range(0, width, COLUMNS):
        columns = min(COLUMNS, width - j)
        i = low
        while i + 4 <= high:
            tile4(
                a, a0 + i * ai, ai, ak, b, b0 + j, bk, s, s0 + i * si + j, si,
                c, c0 + i * ci + j, ci, depth, columns,
            )  # fmt: skip
            i += 4
        while i < high:
            tile1(
                a, a0 + i * ai, ai, ak, b, b0 + j, bk, s, s0 + i * si + j, si,
                c, c0 + i * ci + j, ci, depth, columns,
            )  # fmt: skip
            i += 1


@cold
def normalise(net, k, low, high):
    """LayerNorm (Ba et al., 2016) of a layer's sums, in place; HAT and SCALE are kept."""
    layer = net.layers[k]
    n = layer[OUTPUTS]
    share = ONE / np.float32(n)
    gain = net.params[layer[GAIN] : layer[GAIN] + n]
    shift = net.params[layer[SHIFT] : layer[SHIFT] + n]
    for i in range(low, high):
        at = layer[OUT] + i * n
        out = net.work[at : at + n]
        hat = net.work[layer[HAT] + i * n : layer[HAT] + i * n + n]
        middle = row_sum(net.work, at, n) * share
        scale = ONE / math.sqrt(row_squares(net.work, at, n, middle) * share + TINY)
        net.work[layer[SCALE] + i] = scale
        for j in range(n):
            centred = (out[j] - middle) * scale
            hat[j] = centred
            out[j] = centred * gain[j] + shift[j]


@cold
def activate(net, k, low, high):
    """The nonlinearity of a layer, in place."""
    layer = net.layers[k]
    n = layer[OUTPUTS]
    out = net.work[layer[OUT] + low * n : layer[OUT] + high * n]
    if net.activation == RELU:
        for j in range(len(out)):
            out[j] = max(out[j], np.float32(0.0))
    elif net.activation == SELU:
        for j in range(len(out)):
            x = out[j]
            if x <= np.float32(0.0):
                x = SELU_ALPHA * np.float32(math.expm1(x))
            out[j] = SELU_SCALE * x
    else:
        for j in range(len(out)):
            out[j] = math.tanh(out[j])


@cold
def mostly_zeros(net, x, x0, low, high):
    """Notes which inputs of these rows are not 0; False where they are too many."""
    inputs = net.layers[0][INPUTS]
    left = (high - low) * inputs // WORTH_PICKING
    for i in range(low, high):
        net.found[i] = -1
        if len(net.places) > 0:
            net.found[i] = nonzeros(x, x0 + i * inputs, inputs, net.places, i * inputs, left)
        if net.found[i] < 0:
            return False
        left -= net.found[i]
    return True


@cold
def forward(net, x, x0, low, high):
    """Action values of rows low .. high-1 of x, into the last layer's OUT."""
    source, at = x, x0
    last = len(net.layers) - 1
    for k in range(last):
        layer = net.layers[k]
        inputs, outputs = layer[INPUTS], layer[OUTPUTS]
        if k == 0 and mostly_zeros(net, x, x0, low, high):
            for i in range(low, high):
                picked(
                    x, x0 + i * inputs, 1, net.params, layer[WEIGHTS], outputs, net.places,
                    i * inputs, net.found[i], net.params, layer[BIAS], net.work,
                    layer[OUT] + i * outputs, outputs,
                )  # fmt: skip
        else:
            product(
                source, at, inputs, 1, net.params, layer[WEIGHTS], outputs, net.params,
                layer[BIAS], 0, net.work, layer[OUT], outputs, low, high, outputs, inputs,
            )  # fmt: skip
        if net.layer_norm:
            normalise(net, k, low, high)
        activate(net, k, low, high)
        source, at = net.work, layer[OUT]
    head = net.layers[last]
    inputs, outputs = head[INPUTS], head[OUTPUTS]
    for i in range(low, high):
        for o in range(outputs):
            net.work[head[OUT] + i * outputs + o] = net.params[head[BIAS] + o] + row_dot(
                source, at + i * inputs, net.params, head[WEIGHTS] + o * inputs, inputs
            )


def dueling(net):
    head = net.layers[len(net.layers) - 1]
    return head[STREAMS] != head[WEIGHTS]


@cold
def compose(net):
    """The head that a dueling head's two streams come to; any other is what it is."""
    if not dueling(net):
        return
    head = net.layers[len(net.layers) - 1]
    actions, n = head[OUTPUTS], head[INPUTS]
    half = n // 2
    value = head[STREAMS]
    advantage = value + half + 1
    bias = advantage + actions * half
    share = ONE / np.float32(actions)
    for j in range(half + 1):
        at, step = (advantage + j, half) if j < half else (bias, 1)
        mean = np.float32(0.0)
        for a in range(actions):
            mean += net.params[at + a * step]
        mean *= share
        for a in range(actions):
            own = net.params[at + a * step] - mean
            if j < half:
                net.params[head[WEIGHTS] + a * n + j] = net.params[value + j]
                net.params[head[WEIGHTS] + a * n + half + j] = own
            else:
                net.params[head[BIAS] + a] = net.params[value + half] + own


@cold
def decompose(net):
    """From the gradient of such a head to those of its two streams."""
    if not dueling(net):
        return
    head = net.layers[len(net.layers) - 1]
    actions, n = head[OUTPUTS], head[INPUTS]
    half = n // 2
    value = head[STREAMS]
    advantage = value + half + 1
    bias = advantage + actions * half
    share = ONE / np.float32(actions)
    for j in range(half + 1):
        common, mean = np.float32(0.0), np.float32(0.0)
        for a in range(actions):
            if j < half:
                common += net.grads[head[WEIGHTS] + a * n + j]
                mean += net.grads[head[WEIGHTS] + a * n + half + j]
            else:
                common += net.grads[head[BIAS] + a]
        net.grads[value + j] = common
        mean = (mean if j < half else common) * share
        for a in range(actions):
            if j < half:
                own = net.grads[head[WEIGHTS] + a * n + half + j]
                net.grads[advantage + a * half + j] = own - mean
            else:
                net.grads[bias + a] = net.grads[head[BIAS] + a] - mean


def turn(net, member, members):
    """Transposed copies of the hidden weights, which `backward` multiplies by."""
    for k in range(1, len(net.layers) - 1):
        layer = net.layers[k]
        inputs, outputs = layer[INPUTS], layer[OUTPUTS]
        low, high = share(outputs, member, members, 8)
        turn_rows(net.params, layer[WEIGHTS], net.work, layer[TURNED], inputs, outputs, low, high)


@cold
def turn_rows(source, s0, target, t0, inputs, outputs, low, high):
    for j in range(low, high):
        row = target[t0 + j * inputs : t0 + j * inputs + inputs]
        column = source[s0 + j : s0 + (inputs - 1) * outputs + j + 1]
        for i in range(inputs):
            row[i] = column[i * outputs]


@cold
def backward(net, low, high):
    """The gradient at every layer's sums, from that at the head (its BELOW), for these rows."""
    last = len(net.layers) - 1
    for k in range(last - 1, -1, -1):
        layer, above = net.layers[k], net.layers[k + 1]
        n, width = layer[OUTPUTS], above[OUTPUTS]
        weights, place = (
            (net.params, above[WEIGHTS]) if k + 1 == last else (net.work, above[TURNED])
        )
        product(
            net.work, above[BELOW], width, 1, weights, place, n,
            net.zeros, 0, 0, net.work, layer[ABOVE], n, low, high, n, width,
        )  # fmt: skip
        slope(net, k, low, high)
        if net.layer_norm:
            denormalise(net, k, low, high)


@cold
def slope(net, k, low, high):
    """Through the nonlinearity: its derivative as a function of its value."""
    layer = net.layers[k]
    n = layer[OUTPUTS]
    place = ABOVE if net.layer_norm else BELOW  # without LayerNorm they are the same numbers
    out = net.work[layer[OUT] + low * n : layer[OUT] + high * n]
    above = net.work[layer[ABOVE] + low * n : layer[ABOVE] + high * n]
    grad = net.work[layer[place] + low * n : layer[place] + high * n]
    if net.activation == RELU:
        for j in range(len(out)):
            # A product, since both are read either way: several lanes at once.
            grad[j] = above[j] * (ONE if out[j] > np.float32(0.0) else np.float32(0.0))
    elif net.activation == SELU:
        for j in range(len(out)):
            y = out[j]
            grad[j] = above[j] * (
                SELU_SCALE if y > np.float32(0.0) else y + SELU_SCALE * SELU_ALPHA
            )
    else:
        for j in range(len(out)):
            grad[j] = above[j] * (ONE - out[j] * out[j])


@cold
def denormalise(net, k, low, high):
    """Back through LayerNorm: from the gradient at its output to that at its input."""
    layer = net.layers[k]
    n = layer[OUTPUTS]
    share = ONE / np.float32(n)
    gain = net.params[layer[GAIN] : layer[GAIN] + n]
    for i in range(low, high):
        at = layer[BELOW] + i * n
        grad = net.work[layer[ABOVE] + i * n : layer[ABOVE] + i * n + n]
        hat = net.work[layer[HAT] + i * n : layer[HAT] + i * n + n]
        below = net.work[at : at + n]
        for j in range(n):
            below[j] = grad[j] * gain[j]
        mean = row_sum(net.work, at, n) * share
        slant = row_dot(net.work, at, net.work, layer[HAT] + i * n, n) * share
        scale = net.work[layer[SCALE] + i]
        for j in range(n):
            below[j] = (below[j] - mean - hat[j] * slant) * scale


def own_input(k, member, members):
    """Whose an input is, for its gradient: eight in a row, whose counts share a line of the cache."""
    return members == 1 or (k >> 3) % members == member


@cold
def sort_by_input(net, rows, member, members):
    """This member's inputs, each with the rows in which it is not 0; False where rows are full."""
    inputs = net.layers[0][INPUTS]
    for i in range(rows):
        if net.found[i] < 0:
            return False
    for k in range(inputs):
        if own_input(k, member, members):
            net.used[k] = 0
    room = len(net.found)
    for i in range(rows):
        for at in range(i * inputs, i * inputs + net.found[i]):
            k = net.places[at]
            if own_input(k, member, members):
                net.users[k * room + net.used[k]] = i
                net.used[k] += 1
    return True


def gradients(net, x, x0, rows, member, members):
    """The gradient of every parameter, summed over the batch; each member its share of them."""
    source, at = x, x0
    last = len(net.layers) - 1
    for k in range(len(net.layers)):
        layer = net.layers[k]
        inputs, outputs = layer[INPUTS], layer[OUTPUTS]
        if k == 0 and k < last and sort_by_input(net, rows, member, members):
            for i in range(inputs):
                if own_input(i, member, members):
                    picked(
                        x, x0 + i, inputs, net.work, layer[BELOW], outputs, net.users,
                        i * len(net.found), net.used[i], net.zeros, 0, net.grads,
                        layer[WEIGHTS] + i * outputs, outputs,
                    )  # fmt: skip
        elif k < last:
            low, high = share(inputs, member, members, 4)
            product(
                source, at, 1, inputs, net.work, layer[BELOW], outputs,
                net.zeros, 0, 0, net.grads, layer[WEIGHTS], outputs, low, high, outputs, rows,
            )  # fmt: skip
        else:
            low, high = share(outputs, member, members, 1)
            product(
                net.work, layer[BELOW], 1, outputs, source, at, inputs,
                net.zeros, 0, 0, net.grads, layer[WEIGHTS], inputs, low, high, inputs, rows,
            )  # fmt: skip
        low, high = share(outputs, member, members, 32)
        columns(net, layer[BELOW], layer[BIAS], outputs, rows, low, high)
        if net.layer_norm and k < last:
            columns(net, layer[ABOVE], layer[SHIFT], outputs, rows, low, high)
            weighted_columns(net, layer, outputs, rows, low, high)
        source, at = net.work, layer[OUT]


@cold
def columns(net, place, target, n, rows, low, high):
    """Sums over the batch of columns low .. high-1."""
    total = net.grads[target + low : target + high]
    for j in range(len(total)):
        total[j] = 0.0
    for i in range(rows):
        row = net.work[place + i * n + low : place + i * n + high]
        for j in range(len(total)):
            total[j] += row[j]


@cold
def weighted_columns(net, layer, n, rows, low, high):
    """The gradient of LayerNorm's gain."""
    total = net.grads[layer[GAIN] + low : layer[GAIN] + high]
    for j in range(len(total)):
        total[j] = 0.0
    for i in range(rows):
        row = net.work[layer[ABOVE] + i * n + low : layer[ABOVE] + i * n + high]
        hat = net.work[layer[HAT] + i * n + low : layer[HAT] + i * n + high]
        for j in range(len(total)):
            total[j] += row[j] * hat[j]


def share(n, member, members, unit):
    """The part of n things that is this member's, in whole units."""
    units = (n + unit - 1) // unit
    low = units * member // members * unit
    high = units * (member + 1) // members * unit
    return min(n, low), min(n, high)
