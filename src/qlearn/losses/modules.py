"""A PyTorch module as the fused loss sees it: its architecture, and its tensors as flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.nets.layout import Architecture
from qlearn.nets.module import ACTIVATIONS, nn, torch

FORM = "Linear, LayerNorm or not, an activation, ..., and a Linear at the end"


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a Sequential, whatever it is nested in."""
    if not isinstance(module, nn.Sequential):
        yield module
        return
    for child in module:
        yield from layers_of(child)


def architecture_of(module: nn.Module) -> Architecture:
    """What a Linear or a Sequential of the fused engine's layers is; any other is refused."""
    names = {kind: name for name, kind in ACTIVATIONS.items()}
    layers = list(layers_of(module))
    widths: list[int] = []
    normalised: list[bool] = []
    activations: list[str] = []
    expected: tuple[type, ...] = (nn.Linear,)
    for layer in layers:
        if type(layer) not in expected:
            raise _other(layer)
        if type(layer) is nn.Linear:
            if layer.bias is None or (widths and widths[-1] != layer.in_features):
                raise UserError(
                    f"{layer}: every Linear needs a bias, and what comes before fits it"
                )
            widths += [layer.out_features] if widths else [layer.in_features, layer.out_features]
            normalised.append(False)
            expected = (nn.LayerNorm, *names)
        elif type(layer) is nn.LayerNorm:
            if layer.normalized_shape != (widths[-1],) or layer.eps != 1e-5 or layer.bias is None:
                raise UserError(
                    f"{layer}: only LayerNorm({widths[-1]}) as PyTorch makes it is known"
                )
            normalised[-1] = True
            expected = (*names,)
        else:
            activations.append(names[type(layer)])
            expected = (nn.Linear,)
    if not layers or type(layers[-1]) is not nn.Linear:
        raise UserError(f"a network for FusedQLoss is {FORM}")
    if len(set(activations)) > 1 or len(set(normalised[:-1])) > 1:
        raise UserError("all hidden layers have the same activation, and LayerNorm or none")
    return Architecture(
        widths[0], tuple(widths[1:-1]), widths[-1],
        activations[0] if activations else "relu", any(normalised),
    )  # fmt: skip


def _other(layer: nn.Module) -> UserError:
    return UserError(
        f"FusedQLoss takes {FORM}; here is {type(layer).__name__}. q_loss takes any module"
    )


class Tensors:
    """The parameters of a module and their gradients, flat arrays on the same memory."""

    def __init__(self, module: nn.Module) -> None:
        self._owners: list[tuple[dict[str, Any], str]] = [
            (layer._parameters, name) for layer in layers_of(module) for name in layer._parameters
        ]
        self._look()

    def _look(self) -> None:
        self._parameters = [owner[name] for owner, name in self._owners]
        self._places = [parameter.data_ptr() for parameter in self._parameters]
        for parameter in self._parameters:
            if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
                raise UserError(
                    f"FusedQLoss works in float32 on the CPU; this network is {parameter.dtype} on"
                    f" {parameter.device}. q_loss takes any module"
                )
        self.arrays = tuple(_flat(parameter) for parameter in self._parameters)
        self._grads = [torch.zeros_like(parameter) for parameter in self._parameters]
        self.grads = tuple(_flat(grad) for grad in self._grads)

    def settle(self) -> None:
        """Finds the tensors again where the module has others now, such as after `.to(...)`."""
        if [owner[name].data_ptr() for owner, name in self._owners] != self._places:
            self._look()

    def show(self) -> None:
        """The gradients in the parameters' `.grad`."""
        for parameter, grad in zip(self._parameters, self._grads, strict=True):
            if parameter.grad is not grad and parameter.requires_grad:
                parameter.grad = grad


def _flat(tensor: torch.Tensor) -> np.ndarray:
    if not tensor.is_contiguous():
        raise UserError("a network's tensors must be contiguous; .contiguous() makes them so")
    return tensor.detach().view(-1).numpy()
