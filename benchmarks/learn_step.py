"""One learn step of a small network on one thread: ours beside PyTorch, JAX and NumPy.

    python benchmarks/peers/environments.py      # once: JAX's own environment
    python benchmarks/learn_step.py

A step is what benchmarks/peers/_learn_problem.py says; the batch is there already. Contenders take
turns, forwards, then backwards. Before anything is timed, all must have the same loss after the
same steps from the same start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from environments import ONE_THREAD, python, versions  # noqa: E402

os.environ.update(ONE_THREAD)  # before NumPy and torch look
if hasattr(os, "sched_setaffinity"):  # JAX takes every core it sees, whatever its flags say
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402
from _learn_problem import (  # noqa: E402
    BETA1,
    BETA2,
    CHECKED_STEPS,
    DISCOUNT,
    EPSILON,
    LR,
    batch,
    layers,
    seconds_per_step,
)

from _report import parser, record, times  # noqa: E402
from qlearn.compare.measure import alternate  # noqa: E402
from qlearn.kernels.build import build  # noqa: E402
from qlearn.nets import adam, mlp  # noqa: E402
from qlearn.nets.layout import BELOW, OUT, OUTPUTS, Architecture  # noqa: E402

PROBLEMS: list[tuple[list[int], int]] = [
    ([4, 64, 2], 32),
    ([4, 64, 64, 2], 32),
    ([4, 64, 64, 2], 128),
    ([4, 256, 256, 2], 256),
]
BASE = "torch eager"


def learn(net, moments, data, targets, rows, first, count):
    """`count` steps of the problem, in the fused engine's own functions."""
    observations, actions, rewards, next_observations, done = data
    head = net.layers[len(net.layers) - 1]
    outputs = head[OUTPUTS]
    scale = np.float32(2.0 / rows)
    for step in range(count):
        mlp.forward(net, next_observations, 0, 0, rows)
        for i in range(rows):
            best = net.work[head[OUT] + i * outputs]
            for a in range(1, outputs):
                best = max(best, net.work[head[OUT] + i * outputs + a])
            targets[i] = rewards[i] + np.float32(DISCOUNT) * (np.float32(1.0) - done[i]) * best
        mlp.forward(net, observations, 0, 0, rows)
        for i in range(rows):
            place = i * outputs
            for a in range(outputs):
                net.work[head[BELOW] + place + a] = np.float32(0.0)
            chosen = place + actions[i]
            net.work[head[BELOW] + chosen] = scale * (net.work[head[OUT] + chosen] - targets[i])
        mlp.turn(net, 0, 1)
        mlp.backward(net, 0, rows)
        mlp.gradients(net, observations, 0, rows, 0, 1)
        adam.adam(net, moments, LR, first + step + 1, 0.0, 0, 1)


class Ours:
    """The fused engine: compiled from qlearn's own text, as training is."""

    def __init__(self, shape: list[int], size: int) -> None:
        self._architecture = Architecture(
            shape[0], tuple(shape[1:-1]), shape[-1], "relu", layer_norm=False
        )
        self._start = layers(shape)
        self._kernels = build("learn step", [learn], {})
        raw = batch(shape, size)
        self._data = tuple(np.ascontiguousarray(array).ravel() for array in raw)
        self._targets, self._size = np.zeros(size, np.float32), size
        self.reset()
        self._kernels.prepare("learn", *self._arguments(0))

    def reset(self) -> None:
        params = np.zeros(self._architecture.parameters, np.float32)
        tensors = iter(self._architecture.views(params).values())
        for weight, bias in self._start[:-1]:
            next(tensors)[:], next(tensors)[:] = weight, bias
        next(tensors)[:], next(tensors)[:] = self._start[-1][0].T, self._start[-1][1]
        self._net = mlp.net_of(self._architecture, self._size, params)
        self._moments = adam.moments_of(params, epsilon=EPSILON)
        self._done = 0

    def _arguments(self, count: int) -> tuple:
        return (
            self._net, self._moments, self._data, self._targets, self._size, self._done, count,
        )  # fmt: skip

    def steps(self, count: int) -> None:
        self._kernels.learn(*self._arguments(count))
        self._done += count

    def loss(self) -> float:
        """The mean squared error after the steps made, from the values of the present network."""
        observations, actions, rewards, next_observations, done = self._data
        shape = (self._size, -1)
        best = self._values(next_observations.reshape(shape)).max(axis=1)
        chosen = self._values(observations.reshape(shape))[np.arange(self._size), actions]
        return float(np.mean((chosen - rewards - DISCOUNT * (1 - done) * best) ** 2))

    def _values(self, rows: np.ndarray) -> np.ndarray:
        tensors = list(self._architecture.views(self._net.params).values())
        for weight, bias in pairwise(tensors[:-2]):
            if weight.ndim == 2:
                rows = np.maximum(rows @ weight + bias, 0)
        return rows @ tensors[-2].T + tensors[-1]


def ours(shape: list[int], size: int) -> float:
    """Seconds per step of qlearn's own networks."""
    return seconds_per_step(Ours(shape, size))


def ours_loss(shape: list[int], size: int) -> float:
    """Its loss after CHECKED_STEPS steps from layers(shape) on batch(shape, size)."""
    learner = Ours(shape, size)
    learner.steps(CHECKED_STEPS)
    return learner.loss()


class Torch:
    """The learn step as people write it, eager or compiled."""

    def __init__(self, shape: list[int], size: int, fused: bool, compiled: bool) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch = torch
        self._shape, self._fused = shape, fused
        self._network = _torch_network(shape)
        self._data = [torch.from_numpy(array) for array in batch(shape, size)]
        self._loss = torch.compile(self._loss_of) if compiled else self._loss_of
        self.reset()

    def reset(self) -> None:
        self._network.load_state_dict(_torch_network(self._shape).state_dict())
        self._adam = self._torch.optim.Adam(
            self._network.parameters(), LR, fused=self._fused or None
        )

    def steps(self, count: int) -> None:
        for _ in range(count):
            loss = self._loss()
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()

    def loss(self) -> float:
        return float(self._loss_of().detach())

    def _loss_of(self) -> Any:
        observations, actions, rewards, next_observations, done = self._data
        with self._torch.no_grad():
            q_next = self._network(next_observations).amax(dim=1)
            target = rewards + DISCOUNT * (1 - done) * q_next
        chosen = self._network(observations).gather(1, actions[:, None]).squeeze(1)
        return self._torch.nn.functional.mse_loss(chosen, target)


def _torch_network(shape: list[int]) -> Any:
    import torch
    from torch import nn

    modules: list[Any] = []
    for weight, bias in layers(shape):
        linear = nn.Linear(*weight.shape)
        linear.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight.T)))
        linear.bias = nn.Parameter(torch.from_numpy(bias))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class Numpy:
    """By hand: parameters, gradients and moments in flat buffers, layers as views of them."""

    def __init__(self, shape: list[int], size: int) -> None:
        self._shape, self._data, self._rows = shape, batch(shape, size), np.arange(size)
        self.reset()

    def reset(self) -> None:
        start = layers(self._shape)
        flat = np.concatenate([array.ravel() for layer in start for array in layer])
        self._parameters, self._gradient = flat, np.empty_like(flat)
        self._mean, self._square = np.zeros_like(flat), np.zeros_like(flat)
        self._layers, self._gradients = _views(flat, start), _views(self._gradient, start)
        self._count = 0

    def steps(self, count: int) -> None:
        for _ in range(count):
            self._back_propagate()
            self._move()

    def loss(self) -> float:
        error, _ = self._error()
        return float(np.mean(error**2))

    def _forward(self, x: np.ndarray) -> list[np.ndarray]:
        """What goes into each layer, and at the end Q."""
        inputs = [x]
        for k, (weight, bias) in enumerate(self._layers):
            x = inputs[-1] @ weight
            x += bias
            if k < len(self._layers) - 1:
                np.maximum(x, 0, out=x)
            inputs.append(x)
        return inputs

    def _error(self) -> tuple[np.ndarray, list[np.ndarray]]:
        data = self._data
        q_next = self._forward(data.next_observations)[-1].max(axis=1)
        inputs = self._forward(data.observations)
        target = data.rewards + DISCOUNT * (1 - data.done) * q_next
        return inputs[-1][self._rows, data.actions] - target, inputs

    def _back_propagate(self) -> None:
        error, inputs = self._error()
        slope = np.zeros_like(inputs[-1])
        slope[self._rows, self._data.actions] = error * (2 / len(error))
        for k in reversed(range(len(self._layers))):
            weight, bias = self._gradients[k]
            np.matmul(inputs[k].T, slope, out=weight)
            slope.sum(axis=0, out=bias)
            if k > 0:
                slope = slope @ self._layers[k][0].T
                slope *= inputs[k] > 0

    def _move(self) -> None:
        self._count += 1
        self._mean += (1 - BETA1) * (self._gradient - self._mean)
        self._square += (1 - BETA2) * (self._gradient**2 - self._square)
        size = np.sqrt(self._square * np.float32(1 / (1 - BETA2**self._count)))
        size += EPSILON
        self._parameters -= np.float32(LR / (1 - BETA1**self._count)) * self._mean / size


def _views(flat: np.ndarray, like: list[tuple[np.ndarray, np.ndarray]]) -> list[Any]:
    views, at = [], 0
    for layer in like:
        pair = []
        for array in layer:
            pair.append(flat[at : at + array.size].reshape(array.shape))
            at += array.size
        views.append(tuple(pair))
    return views


class JaxWorker:
    """JAX in its own environment; asked line by line, it stays between the turns."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [str(python("jax")), str(PEERS / "jax_learn_step.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, shape: list[int], size: int, how: str) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"shape": shape, "batch": size, "how": how}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit("the process that measures JAX ended unexpectedly; what it said is above")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


Contenders = dict[str, Callable[[], float]]


def contenders(
    shape: list[int], size: int, jax: JaxWorker, compiled: bool
) -> tuple[Contenders, Mapping[str, float]]:
    """Seconds per step of each, and each one's loss after CHECKED_STEPS steps."""
    here: dict[str, Any] = {
        BASE: Torch(shape, size, fused=False, compiled=False),
        "torch eager, fused Adam": Torch(shape, size, fused=True, compiled=False),
        "NumPy by hand": Numpy(shape, size),
    }
    if compiled:
        here["torch.compile, fused Adam"] = Torch(shape, size, fused=True, compiled=True)
    timed: Contenders = {}
    losses = {}
    for name, contender in here.items():
        contender.steps(CHECKED_STEPS)
        losses[name] = contender.loss()
        timed[name] = partial(seconds_per_step, contender)
    for how in ("jit", "scan"):
        losses[f"JAX {how}"] = jax.ask(shape, size, how)["loss"]
        timed[f"JAX {how}"] = lambda how=how: jax.ask(shape, size, how)["seconds"]  # type: ignore[misc]
    try:
        losses["qlearn"] = ours_loss(shape, size)
        timed["qlearn"] = partial(ours, shape, size)
    except NotImplementedError:
        print("qlearn's own step is not there yet", file=sys.stderr)
    return timed, losses


def check(losses: Mapping[str, float]) -> None:
    for name, loss in losses.items():
        if not np.isclose(loss, losses[BASE], rtol=1e-3):
            sys.exit(f"{name} learned something else: its loss is {loss}, {BASE}'s {losses[BASE]}")


def table(
    shape: list[int], size: int, jax: JaxWorker, repeats: int, compiled: bool
) -> list[dict[str, Any]]:
    timed, losses = contenders(shape, size, jax, compiled)
    check(losses)
    measured = alternate(timed, repeats)
    turns = {name: [[value * 1e6] for value in values] for name, values in measured.items()}
    return times(f"Learn step, {_named(shape)}, batch {size}", turns, BASE, "us")


def _named(shape: list[int]) -> str:
    return "-".join(map(str, shape))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--compile", action="store_true", help="torch.compile too")
    chosen = options.parse_args()
    jax = JaxWorker()
    tables = {
        f"{_named(shape)} batch {size}": table(shape, size, jax, chosen.repeats, chosen.compile)
        for shape, size in PROBLEMS
    }
    jax.close()
    record("learn_step", tables | {"peers": versions("jax")}, chosen.record)


if __name__ == "__main__":
    main()
