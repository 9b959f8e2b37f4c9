"""What a network is made of, and where each part lies in its flat buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from qlearn import rng as random_streams
from qlearn.errors import UserError, closest

ACTIVATIONS = ("relu", "selu", "tanh")
RELU, SELU, TANH = 0, 1, 2

# Columns of the layer table that the compiled text reads. Parameters first, then places in the
# workspace: for each row of a batch its outputs, its normalised sums (HAT) and their scale, and
# the gradients above and below the normalisation. STREAMS: where a dueling head's parameters begin.
(INPUTS, OUTPUTS, WEIGHTS, BIAS, GAIN, SHIFT, TURNED, OUT, HAT, SCALE, ABOVE, BELOW, STREAMS) = (
    range(13)
)
LARGEST_NETWORK = 1 << 28
HEADS = ("head.weight", "value.weight", "advantage.weight")


def widths_of(hidden: str) -> tuple[int, ...]:
    """The widths of hidden layers as settings write them: 64x64; nothing for none."""
    try:
        return tuple(int(word) for word in str(hidden).split("x")) if hidden else ()
    except ValueError:
        raise UserError(f"hidden is widths such as 64x64, not {hidden!r}") from None


class Convolution(NamedTuple):
    """One layer of convolutions over a picture."""

    channels: int
    kernel: int
    stride: int = 1

    @property
    def padding(self) -> int:
        """With stride 1 an odd kernel keeps the size, as small boards want it; else there is none."""
        return (self.kernel - 1) // 2 if self.stride == 1 else 0

    def side(self, length: int) -> int:
        """What becomes of a side."""
        return (length + 2 * self.padding - self.kernel) // self.stride + 1


def convolutions_of(conv: str) -> tuple[Convolution, ...]:
    """Layers as settings write them, channels x kernel x stride: 32x8x4,64x3x1."""
    try:
        found = tuple(
            Convolution(*map(int, layer.split("x"))) for layer in str(conv).split(",") if conv
        )
    except (TypeError, ValueError):
        found = (Convolution(0, 0),)
    if any(min(layer) < 1 for layer in found):
        raise UserError(
            f"conv is layers of channels x kernel x stride such as 32x3x1,64x3x1, not {conv!r}"
        )
    return found


def generator_of(seed: int, part: int = 0) -> np.random.Generator:
    """Where a part of a network draws its untrained parameters from."""
    stream = random_streams.stream(seed, part, random_streams.NETWORK)
    return np.random.Generator(
        np.random.Philox(key=[random_streams.word(stream) for _ in range(2)])
    )


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron: dense, LayerNorm, activation, ... and a dense head.

    A dueling head (Wang et al., 2016) is two streams: the state's value from the first half of the
    last hidden layer, each action's advantage over their mean from the second. Together they are
    linear, an ordinary head that is composed of them after every step.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    layer_norm: bool = True
    dueling: bool = False

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise UserError(
                f"unknown activation '{self.activation}'{closest(self.activation, ACTIVATIONS)}"
            )
        if min((self.inputs, *self.hidden, self.outputs)) < 1:
            raise UserError("every layer of a network needs at least 1 unit")
        if self.dueling and (not self.hidden or self.hidden[-1] % 2):
            raise UserError("a dueling head halves the last hidden layer: its width must be even")
        if self.parameters > LARGEST_NETWORK:
            raise UserError(
                f"a network of {self.parameters:,} parameters is beyond the fused engine's"
                f" {LARGEST_NETWORK:,}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.inputs, *self.hidden, self.outputs)

    @property
    def parameters(self) -> int:
        return sum(int(np.prod(shape)) for _, shape in self.shapes())

    @property
    def room(self) -> int:
        """Numbers in the flat buffer: the parameters, and what a dueling head is composed to."""
        head = (self.hidden[-1] + 1) * self.outputs if self.dueling else 0
        return self.parameters + head

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor by its name, in the order of the flat buffer.

        Hidden weights are (inputs, outputs), as their products want them; the head's are
        (outputs, inputs): one row an action.
        """
        widths = self.widths
        for k, (inputs, outputs) in enumerate(pairwise(widths)):
            head = k == len(self.hidden)
            if head and self.dueling:
                yield "value.weight", (1, inputs // 2)
                yield "value.bias", (1,)
                yield "advantage.weight", (outputs, inputs // 2)
                yield "advantage.bias", (outputs,)
                return
            name = "head" if head else f"layer{k + 1}"
            yield f"{name}.weight", (outputs, inputs) if head else (inputs, outputs)
            yield f"{name}.bias", (outputs,)
            if self.layer_norm and not head:
                yield f"{name}.gain", (outputs,)
                yield f"{name}.shift", (outputs,)

    def views(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """The tensors as views into a flat buffer."""
        found, at = {}, 0
        for name, shape in self.shapes():
            size = int(np.prod(shape))
            found[name] = flat[at : at + size].reshape(shape)
            at += size
        return found

    def initial(self, seed: int) -> np.ndarray:
        """Untrained parameters: He's normal weights, a small head, no bias; the seed's own."""
        generator = generator_of(seed)
        flat = np.zeros(self.parameters, np.float32)
        for name, tensor in self.views(flat).items():
            if name.endswith(".gain"):
                tensor[:] = 1.0
            elif name in HEADS:
                tensor[:] = generator.standard_normal(tensor.shape) / np.sqrt(tensor.shape[1]) * 0.1
            elif name.endswith(".weight"):
                spread = np.sqrt((2.0 if self.activation == "relu" else 1.0) / tensor.shape[0])
                tensor[:] = generator.standard_normal(tensor.shape) * spread
        return flat

    def table(self, rows: int) -> tuple[np.ndarray, int]:
        """The layer table for batches of up to `rows` rows, and the size of the workspace."""
        widths = self.widths
        table = np.zeros((len(widths) - 1, 13), np.int64)
        parameter = work = 0
        for k, layer in enumerate(table):
            inputs, outputs = widths[k], widths[k + 1]
            layer[INPUTS], layer[OUTPUTS] = inputs, outputs
            layer[STREAMS] = parameter
            if self.dueling and k == len(self.hidden):
                parameter = self.parameters
            sizes = {WEIGHTS: inputs * outputs, BIAS: outputs}
            if self.layer_norm and k < len(self.hidden):
                sizes |= {GAIN: outputs, SHIFT: outputs}
            for column, size in sizes.items():
                layer[column] = parameter
                parameter += size
            layer[TURNED] = work
            work += inputs * outputs
            for column in (OUT, HAT, ABOVE, BELOW):
                layer[column] = work
                work += rows * outputs
            layer[SCALE] = work
            work += rows
        return table, work
