"""The loss of Q-learning and its gradient in one compiled call, for multilayer perceptrons.

The same equations as `eager.q_loss`, on one thread of the CPU. There is no graph: the gradient is
there when the loss is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from qlearn.errors import UserError, closest
from qlearn.kernels.build import build
from qlearn.kernels.direct import direct
from qlearn.kernels.marks import cold
from qlearn.nets import mlp
from qlearn.nets.layout import BELOW, BIAS, GAIN, INPUTS, OUT, OUTPUTS, SHIFT, WEIGHTS, Architecture

LOSSES = ("mse", "huber")
ROWS = 32  # of the batch that room is made for at first
ONE, HALF = np.float32(1.0), np.float32(0.5)

# ---------------------------------------------------------------------------------- compiled text


class Rule(NamedTuple):
    """What the loss is."""

    discount: np.float32
    alone: int  # the network judges itself
    double: int
    huber: int


class Batch(NamedTuple):
    """Transitions; `discounts` and `weights` are empty where there are none."""

    observations: np.ndarray  # flat
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray  # flat
    terminated: np.ndarray
    discounts: np.ndarray
    weights: np.ndarray
    errors: np.ndarray  # target - Q(s, a), for who asks; as long as a batch, or longer


def best(net, row):
    """The action of the highest value, the first of equals."""
    head = net.layers[len(net.layers) - 1]
    at = head[OUT] + row * head[OUTPUTS]
    action = 0
    for a in range(1, head[OUTPUTS]):
        if net.work[at + a] > net.work[at + action]:
            action = a
    return action


@cold
def td_targets(net, target, rule, batch):
    """What Q(s, a) should be, into `errors`."""
    rows = len(batch.actions)
    head = target.layers[len(target.layers) - 1]
    mlp.forward(target, batch.next_observations, 0, 0, rows)
    judge = target
    if rule.double:
        mlp.forward(net, batch.next_observations, 0, 0, rows)
        judge = net
    for row in range(rows):
        value = target.work[head[OUT] + row * head[OUTPUTS] + best(judge, row)]
        if len(batch.discounts):
            value *= batch.discounts[row]
        elif batch.terminated[row]:
            value = np.float32(0.0)
        else:
            value *= rule.discount
        batch.errors[row] = batch.rewards[row] + value


@cold
def compare(net, rule, batch):
    """The mean loss, its gradient at the head (BELOW), and the errors."""
    head = net.layers[len(net.layers) - 1]
    rows, actions = len(batch.actions), head[OUTPUTS]
    share = ONE / np.float32(rows)
    total = 0.0
    for row in range(rows):
        place = row * actions
        for a in range(actions):
            net.work[head[BELOW] + place + a] = np.float32(0.0)
        chosen = place + batch.actions[row]
        error = batch.errors[row] - net.work[head[OUT] + chosen]
        batch.errors[row] = error
        size = abs(error)
        if not rule.huber:
            loss, slope = error * error, error + error
        elif size > ONE:
            loss, slope = size - HALF, error / size
        else:
            loss, slope = HALF * error * error, error
        weight = batch.weights[row] if len(batch.weights) else ONE
        total += weight * loss
        net.work[head[BELOW] + chosen] = -slope * weight * share
    return total / rows


def flat_loss(net, target, rule, batch):
    """The loss, its gradient left in `net.grads`; nan where an action is none of the network's."""
    rows = len(batch.actions)
    outputs = net.layers[len(net.layers) - 1][OUTPUTS]
    for row in range(rows):
        if batch.actions[row] < 0 or batch.actions[row] >= outputs:
            return np.nan
    mlp.compose(net)
    mlp.compose(target)
    td_targets(net, target, rule, batch)
    mlp.forward(net, batch.observations, 0, 0, rows)
    loss = compare(net, rule, batch)
    mlp.turn(net, 0, 1)
    mlp.backward(net, 0, rows)
    mlp.gradients(net, batch.observations, 0, rows, 0, 1)
    mlp.decompose(net)
    return loss


def module_loss(net, target, rule, batch, tensors, target_tensors, grads):
    """The same for tensors as PyTorch has them, each flat; the gradients go into `grads`."""
    take(net, tensors)
    if not rule.alone:
        take(target, target_tensors)
    loss = flat_loss(net, target, rule, batch)
    give(net, grads)
    return loss


@cold
def take(net, tensors):
    """A module's tensors into the parameters, which keep hidden weights as (inputs, outputs)."""
    last = len(net.layers) - 1
    t = 0
    for k in range(last + 1):
        layer = net.layers[k]
        inputs, outputs = layer[INPUTS], layer[OUTPUTS]
        if k < last:
            mlp.turn_rows(tensors[t], 0, net.params, layer[WEIGHTS], outputs, inputs, 0, inputs)
        else:
            put(net.params, layer[WEIGHTS], tensors[t])
        put(net.params, layer[BIAS], tensors[t + 1])
        t += 2
        if net.layer_norm and k < last:
            put(net.params, layer[GAIN], tensors[t])
            put(net.params, layer[SHIFT], tensors[t + 1])
            t += 2


@cold
def give(net, grads):
    """The gradients the same way back."""
    last = len(net.layers) - 1
    t = 0
    for k in range(last + 1):
        layer = net.layers[k]
        inputs, outputs = layer[INPUTS], layer[OUTPUTS]
        if k < last:
            mlp.turn_rows(net.grads, layer[WEIGHTS], grads[t], 0, inputs, outputs, 0, outputs)
        else:
            get(net.grads, layer[WEIGHTS], grads[t])
        get(net.grads, layer[BIAS], grads[t + 1])
        t += 2
        if net.layer_norm and k < last:
            get(net.grads, layer[GAIN], grads[t])
            get(net.grads, layer[SHIFT], grads[t + 1])
            t += 2


def put(flat, at, part):
    for j in range(len(part)):
        flat[at + j] = part[j]


def get(flat, at, part):
    for j in range(len(part)):
        part[j] = flat[at + j]


# ------------------------------------------------------------------------------------ from Python

FLOAT, INT, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_)
NONE, NO_ENDS = np.zeros(0, FLOAT), np.zeros(0, BOOL)


class FusedQLoss:
    """The loss of Q-learning for a multilayer perceptron, with its gradient, in microseconds.

        fused = FusedQLoss(network, target_net=target, double=True)
        loss = fused(observations, actions, rewards, next_observations, terminated)  # a number
        optimizer.step()  # the gradient is in .grad already

    `net` is a torch Linear or Sequential (Linear, LayerNorm or not, ReLU, SELU or Tanh, ...,
    Linear): its parameters are read at every call, and their `.grad` is written, not added to.
    Or it is an `Architecture`: then `parameters`, `target_parameters` and `gradient` are flat
    arrays to read and to write into, and `target_net` is an array to begin with.

    Batches are arrays, or tensors on the CPU, of any size; `errors` has target - Q(s, a) of the
    last one. What the options mean is said at `q_loss`.
    """

    def __init__(
        self,
        net: Any,
        *,
        target_net: Any = None,
        discount: float = 0.99,
        double: bool = False,
        loss: str = "mse",
    ) -> None:
        if loss not in LOSSES:
            raise UserError(f"unknown loss {loss!r}{closest(str(loss), LOSSES)}")
        self._alone = target_net is None
        self._rule = Rule(
            np.float32(discount), int(self._alone), int(double and not self._alone),
            int(loss == "huber"),
        )  # fmt: skip
        self._own: Any = None  # a module's tensors, and those of the one that judges
        self._other: Any = None
        if isinstance(net, Architecture):
            self.architecture = net
            params = net.initial(0)
            others = params if self._alone else _checked(net, target_net)
        else:
            self.architecture, self._own, self._other = _read(net, target_net)
            params = np.zeros(self.architecture.parameters, FLOAT)
            others = params.copy()
        self._make_room(ROWS, params, others)
        self._held = 0  # transitions in the last batch
        self._compiled = self._compile()

    def _make_room(self, rows: int, params: np.ndarray, others: np.ndarray) -> None:
        """Buffers for batches of up to `rows` transitions."""
        self._rows, self._errors = rows, np.zeros(rows, FLOAT)
        self._net = mlp.net_of(self.architecture, rows, params)
        self._target = self._net if self._alone else mlp.net_of(self.architecture, rows, others)

    def _compile(self) -> Callable:
        one = np.zeros(1, FLOAT)
        batch = Batch(one, np.zeros(1, INT), one, one, NO_ENDS, NONE, NONE, one)
        arguments = (self._net, self._target, self._rule, batch)
        kernels = build("the fused Q-loss", (flat_loss, module_loss), {})
        if self._own is None:
            return direct(kernels, "flat_loss", *arguments)
        tensors = self._own.arrays, self._other.arrays, self._own.grads
        return direct(kernels, "module_loss", *arguments, *tensors)

    @property
    def parameters(self) -> np.ndarray:
        return self._net.params[: self.architecture.parameters]

    @property
    def target_parameters(self) -> np.ndarray:
        return self._target.params[: self.architecture.parameters]

    @property
    def gradient(self) -> np.ndarray:
        return self._net.grads[: self.architecture.parameters]

    @property
    def errors(self) -> np.ndarray:
        return self._errors[: self._held].copy()

    def __call__(
        self,
        observations: Any,
        actions: Any,
        rewards: Any,
        next_observations: Any,
        terminated: Any = None,
        *,
        discounts: Any = None,
        weights: Any = None,
    ) -> float:
        """The mean loss of a batch; its gradient is there when this returns."""
        observations, actions = _array(observations, FLOAT), _array(actions, INT)
        rewards, next_observations = _array(rewards, FLOAT), _array(next_observations, FLOAT)
        terminated = NO_ENDS if terminated is None else _array(terminated, BOOL)
        discounts = NONE if discounts is None else _array(discounts, FLOAT)
        weights = NONE if weights is None else _array(weights, FLOAT)
        rows = actions.size
        if not (
            rows == rewards.size > 0
            and observations.size == next_observations.size == rows * self.architecture.inputs
            and (discounts.size or terminated.size) == rows
            and weights.size in (0, rows)
        ):
            raise self._misfit(
                rows, observations, rewards, next_observations, terminated, discounts, weights
            )
        if rows > self._rows:
            self._make_room(rows, self._net.params, self._target.params)
        batch = Batch(
            observations, actions, rewards, next_observations, terminated, discounts, weights,
            self._errors,
        )  # fmt: skip
        self._held = rows
        loss = self._loss_of(batch)
        if loss != loss:
            self._check_actions(actions)
        return loss

    def _loss_of(self, batch: Batch) -> float:
        own, other = self._own, self._other
        if own is None:
            return self._compiled(self._net, self._target, self._rule, batch)
        own.settle()
        if other is not own:
            other.settle()
        loss = self._compiled(
            self._net, self._target, self._rule, batch, own.arrays, other.arrays, own.grads
        )
        own.show()
        return loss

    def _misfit(self, rows: int, *arrays: np.ndarray) -> UserError:
        names = (
            "observations", "rewards", "next_observations", "terminated", "discounts", "weights",
        )  # fmt: skip
        sizes = [f"{a.size} {name}" for name, a in zip(names, arrays, strict=True) if a.size]
        return UserError(
            f"{rows} actions want {rows} x {self.architecture.inputs} observations and"
            f" next_observations, {rows} rewards, {rows} terminated or discounts, {rows} weights or"
            f" none; here are {', '.join(sizes) or 'no numbers'}"
        )

    def _check_actions(self, actions: np.ndarray) -> None:
        """A loss that is no number is the network's own doing, or that of actions it lacks."""
        low, high, outputs = int(actions.min()), int(actions.max()), self.architecture.outputs
        if low < 0 or high >= outputs:
            raise UserError(f"actions {low} .. {high}, and the network has {outputs} outputs")


def _array(values: Any, dtype: np.dtype) -> np.ndarray:
    """Flat and of this type; without a copy where it is that already."""
    try:
        if type(values) is not np.ndarray:
            values = values.numpy() if hasattr(values, "numpy") else np.asarray(values)
        return (values if values.dtype is dtype else values.astype(dtype)).ravel()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"FusedQLoss takes arrays, or tensors on the CPU without gradient: {error}"
        ) from None


def _checked(architecture: Architecture, parameters: Any) -> np.ndarray:
    flat = np.array(parameters, FLOAT).ravel()
    if flat.size != architecture.parameters:
        raise UserError(
            f"target_net has {flat.size:,} parameters, the architecture {architecture.parameters:,}"
        )
    return flat


def _read(net: Any, target_net: Any) -> tuple[Architecture, Any, Any]:
    """A module's architecture, its tensors, and those of the module that judges."""
    from qlearn.losses.modules import Tensors, architecture_of

    architecture = architecture_of(net)
    own = Tensors(net)
    if target_net is None:
        return architecture, own, own
    if architecture_of(target_net) != architecture:
        raise UserError("net and target_net must have the same layers")
    return architecture, own, Tensors(target_net)
