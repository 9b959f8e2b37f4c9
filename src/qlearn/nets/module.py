"""Networks as PyTorch modules, and what they have learned as named arrays and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from qlearn.errors import UserError, missing_extra
from qlearn.nets.layout import Architecture, Convolution, generator_of

try:
    import torch
    from torch import nn
except ImportError:
    raise missing_extra("torch", "torch") from None

ACTIVATIONS = {"relu": nn.ReLU, "selu": nn.SELU, "tanh": nn.Tanh}


class Network(nn.Module):
    """From what is seen to the value of every action: dense, LayerNorm, activation, ..., head."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(architecture.widths[:-1]):
            layers.append(nn.Linear(inputs, outputs))
            if architecture.layer_norm:
                layers.append(nn.LayerNorm(outputs))
            layers.append(ACTIVATIONS[architecture.activation]())
        head = Dueling if architecture.dueling else nn.Linear
        layers.append(head(architecture.widths[-2], architecture.outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs)


class Convolutional(nn.Module):
    """Convolutions over a picture, then a perceptron of all that they found.

    LayerNorm is over all channels and places of a picture, with a gain and a shift for each
    channel: normalised place by place, the empty ones of a board would be blown up to noise.
    """

    def __init__(
        self, picture: tuple[int, int, int], convolutions: Iterable[Convolution], head: Architecture
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = picture[0]
        for layer in convolutions:
            layers.append(
                nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.padding)
            )
            if head.layer_norm:
                layers.append(nn.GroupNorm(1, layer.channels))
            layers.append(ACTIVATIONS[head.activation]())
            channels = layer.channels
        self.convolutions = nn.Sequential(*layers)
        self.head = Network(head)
        self.architecture = head

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.convolutions(inputs).flatten(1))

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """As `Architecture.initial` does it: He's normal weights, no bias; the seed's own."""
        put_flat(self.architecture, self.architecture.initial(seed), self.head.parameters())
        generator = generator_of(seed, 1)
        gain = 2.0 if self.architecture.activation == "relu" else 1.0
        for layer in self.convolutions:
            if isinstance(layer, nn.Conv2d):
                spread = math.sqrt(gain / layer.weight[0].numel())
                drawn = generator.standard_normal(tuple(layer.weight.shape)) * spread
                layer.weight.copy_(torch.from_numpy(drawn))
                layer.bias.zero_()  # type: ignore[union-attr]


def as_picture(rows: torch.Tensor, picture: Any) -> torch.Tensor:
    """Rows of numbers as pictures (count, channels, rows, columns), none moved."""
    channels, height, width, channels_last = picture
    if channels_last:
        return rows.view(-1, height, width, channels).permute(0, 3, 1, 2)
    return rows.view(-1, channels, height, width)


def found_by(picture: tuple[int, int, int], convolutions: Iterable[Convolution]) -> int:
    """How many numbers the convolutions find in a picture."""
    channels, rows, columns = picture
    for layer in convolutions:
        if layer.side(min(rows, columns)) < 1:
            raise UserError(
                f"conv: a kernel of {layer.kernel} does not fit what is left of the picture there,"
                f" {rows} x {columns}"
            )
        channels, rows, columns = layer.channels, layer.side(rows), layer.side(columns)
    return channels * rows * columns


class Dueling(nn.Module):
    """Q = V + A - mean A, each from its half of the last hidden layer (Wang et al., 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.value = nn.Linear(inputs // 2, 1)
        self.advantage = nn.Linear(inputs // 2, outputs)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for_value, for_advantage = hidden.chunk(2, dim=-1)
        advantage = self.advantage(for_advantage)
        return self.value(for_value) + advantage - advantage.mean(dim=-1, keepdim=True)


def paired(
    architecture: Architecture, flat: np.ndarray, tensors: Iterable[torch.Tensor]
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Each stretch of the flat buffer, shaped as PyTorch has it, beside its tensor.

    The buffer keeps hidden weights as (inputs, outputs), PyTorch as (outputs, inputs).
    """
    for (name, part), tensor in zip(architecture.views(flat).items(), tensors, strict=True):
        yield part.T if name.startswith("layer") else part, tensor


@torch.no_grad()
def flat_of(architecture: Architecture, tensors: Iterable[torch.Tensor]) -> np.ndarray:
    """The tensors as a flat buffer."""
    flat = np.zeros(architecture.parameters, np.float32)
    for part, tensor in paired(architecture, flat, tensors):
        part[...] = tensor.cpu().numpy()
    return flat


@torch.no_grad()
def put_flat(architecture: Architecture, flat: np.ndarray, tensors: Iterable[torch.Tensor]) -> None:
    """A flat buffer into the tensors."""
    for part, tensor in paired(architecture, flat, tensors):
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(part)))


# Everything shaped like a network (its state, its average's, an optimiser's moments) as arrays: of
# perceptrons one flat buffer, which the fused engine reads too, of any other its tensors by name.


def packed(
    architecture: Architecture | None, name: str, tensors: Mapping[str, torch.Tensor]
) -> dict[str, np.ndarray]:
    if architecture is not None:
        return {name: flat_of(architecture, tensors.values())}
    return {f"{name}.{key}": part.detach().cpu().numpy().copy() for key, part in tensors.items()}


@torch.no_grad()
def unpack(
    architecture: Architecture | None,
    name: str,
    state: Mapping[str, np.ndarray],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """The arrays of `packed` into tensors, all or none."""
    if architecture is not None:
        _check_shape(name, state[name], (architecture.parameters,))
        put_flat(architecture, state[name].astype(np.float32, copy=False), tensors.values())
        return
    for key, tensor in tensors.items():
        _check_shape(f"{name}.{key}", state[f"{name}.{key}"], tuple(tensor.shape))
    for key, tensor in tensors.items():
        tensor.copy_(torch.from_numpy(state[f"{name}.{key}"]))


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"'{name}' is {array.shape}, not this network's")
