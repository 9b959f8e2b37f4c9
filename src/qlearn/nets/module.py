"""The same networks as PyTorch modules, and their parameters in and out of the flat buffer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from qlearn.errors import missing_extra
from qlearn.nets.layout import Architecture

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
        part[...] = tensor.numpy()
    return flat


@torch.no_grad()
def put_flat(architecture: Architecture, flat: np.ndarray, tensors: Iterable[torch.Tensor]) -> None:
    """A flat buffer into the tensors."""
    for part, tensor in paired(architecture, flat, tensors):
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(part)))
