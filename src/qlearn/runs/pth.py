"""Dense layers out of a file of PyTorch's that somebody else wrote. Nothing in it is executed.

A file is a state dict, or a checkpoint that has state dicts among other things.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError, closest
from qlearn.nets.layout import LARGEST_NETWORK, Architecture
from qlearn.nets.module import torch

LARGEST_FILE = 8 * LARGEST_NETWORK + 2**20
WRITES_ONE = "torch.save(model.state_dict(), FILE) writes one"
DEEPEST = 3  # dicts in dicts
MOST_NAMED, MOST_LETTERS = 8, 60  # an error is one line
# What checkpoints keep of NumPy's beside the weights: an epsilon, the scores.
NUMPYS = ("dtype", "ndarray", "multiarray.scalar", "multiarray._reconstruct")


class Inert:
    """Stands where a file names something that is no weight: takes anything, does nothing."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _inert(place: str) -> type:
    module, _, name = place.rpartition(".")
    return type(name, (Inert,), {"__module__": module})


SKIPPED: list[Any] = [
    _inert(f"{numpy}.{name}") for numpy in ("numpy", "numpy.core", "numpy._core") for name in NUMPYS
]


@dataclass
class Dense:
    """A Linear as PyTorch has it, weights (outputs, inputs), and the LayerNorm after it."""

    name: str
    weight: np.ndarray
    vectors: list[np.ndarray] = field(default_factory=list)  # bias; gain and shift

    @property
    def outputs(self) -> int:
        return len(self.weight)

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]

    def __str__(self) -> str:
        return f"{self.name} {self.inputs}->{self.outputs}"


@dataclass
class DenseNetwork:
    """What the file holds."""

    file: Path
    layers: list[Dense]
    note: str = ""  # which it is, where the file is more than its state dict

    @property
    def layer_norm(self) -> bool:
        return len(self.layers[0].vectors) == 3

    def __str__(self) -> str:
        return ", ".join(map(str, self.layers))

    def architecture(self, activation: str) -> Architecture:
        return Architecture(
            self.layers[0].inputs, tuple(layer.outputs for layer in self.layers[:-1]),
            self.layers[-1].outputs, activation, self.layer_norm,
        )  # fmt: skip

    def flat(self, architecture: Architecture) -> np.ndarray:
        """Its numbers as `architecture` lays them out: hidden weights are (inputs, outputs)."""
        *hidden, head = self.layers
        parts: list[np.ndarray] = []
        for layer in hidden:
            parts += [layer.weight.T, *layer.vectors]
        parts += [head.weight, *head.vectors]
        flat = np.zeros(architecture.parameters, np.float32)
        for target, part in zip(architecture.views(flat).values(), parts, strict=True):
            target[...] = part
        return flat

    def misfit(self, environment: str, inputs: int, actions: int) -> str:
        """Why it cannot play there; nothing where it can."""
        first, last = self.layers[0], self.layers[-1]
        wrong = []
        if first.inputs != inputs:
            wrong.append(f"{first.name} takes {first.inputs} inputs, {environment} shows {inputs}")
        if last.outputs != actions:
            wrong.append(
                f"{last.name} gives {last.outputs} values, {environment} has {actions} actions"
            )
        return "; ".join(wrong)


def read_network(path: Path, wanted: str | None = None) -> DenseNetwork:
    """The network of a file, or that of its networks which is `wanted`."""
    networks = dict(_networks_in(_content_of(path)))
    name = _chosen(path, list(networks), wanted)
    note = f"{path.name} holds more than a network: '{_shown(name)}' was taken" if name else ""
    return DenseNetwork(path, _layers_of(path, networks[name]), note)


def _networks_in(content: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping]]:
    """Every state dict, by the keys that lead to it; a file that is one has no name."""
    if not isinstance(content, Mapping) or depth > DEEPEST or "param_groups" in content:
        return
    if _is_state_dict(content) and (depth == 0 or any(t.ndim == 2 for t in content.values())):
        yield name, content
        return
    for key, part in content.items():
        yield from _networks_in(part, f"{name}.{key}" if name else str(key), depth + 1)


def _is_state_dict(content: Mapping) -> bool:
    return all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items())


def _shown(name: object) -> str:
    """A name that somebody else has chosen, as part of a line."""
    return "".join(mark if mark.isprintable() else "?" for mark in str(name)[-MOST_LETTERS:])


def _some(words: list[str], between: str = ", ") -> str:
    more = f"{between}and {len(words) - MOST_NAMED} more" * (len(words) > MOST_NAMED)
    return between.join(words[:MOST_NAMED]) + more


def _chosen(path: Path, names: list[str], wanted: str | None) -> str:
    """The network that plays: a target network only follows it."""
    if not names:
        raise UserError(f"{path} holds no state dict, names with tensors; {WRITES_ONE}")
    if wanted is not None:
        if wanted not in names:
            known = map(_shown, filter(None, names))
            raise UserError(f"{path} holds no network '{wanted}'{closest(wanted, known)}")
        return wanted
    playing = [name for name in names if "target" not in name.lower()] or names
    if len(playing) > 1:
        several = _some([_shown(name) for name in playing])
        raise UserError(f"{path} holds several networks ({several}); --network NAME says which")
    return playing[0]


def _layers_of(path: Path, state: Mapping[str, Any]) -> list[Dense]:
    """Every weight of two dimensions with what follows it; all that is wrong with them at once."""
    _check_size(path, state)
    parts: list[tuple[str, np.ndarray]] = []
    wrong: list[str] = []
    for key, tensor in state.items():
        name = _shown(key)
        if said := _is_no_weight(tensor):
            wrong.append(f"'{name}' {said}")
            continue
        parts.append((name, tensor.detach().float().numpy()))
        if not np.isfinite(parts[-1][1]).all():
            wrong.append(f"'{name}' has numbers that are not finite")
    if wrong:
        raise UserError(f"{path}: {_some(wrong, '; ')}; weights are floats")
    layers: list[Dense] = []
    for name, array in parts:
        if array.ndim == 2:
            layers.append(Dense(name.removesuffix(".weight"), array))
        elif array.ndim == 1 and layers and array.shape == (layers[-1].outputs,):
            layers[-1].vectors.append(array)
        else:
            shape = "x".join(map(str, array.shape)) or "a single number"
            wrong.append(f"'{name}' is {shape}")
    if wrong:
        raise UserError(f"{path}: {_some(wrong, '; ')}, no part of a dense layer in its place")
    _check_layers(path, layers)
    return layers


def _is_no_weight(tensor: Any) -> str:
    if tensor.is_meta:
        return "is a shape without numbers"
    if tensor.layout != torch.strided:
        return f"is {tensor.layout}"
    return "" if tensor.is_floating_point() else f"is {tensor.dtype}"


def _content_of(path: Path) -> Any:
    """What the file holds, read by PyTorch's unpickler that knows tensors and nothing else."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path} is larger than any network of {LARGEST_NETWORK:,} parameters")
        if zipfile.is_zipfile(path):
            _check_zip(path)
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(SKIPPED):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower() or "unrecognized function" in str(error):
            raise UserError(
                f"{path} holds more than weights, and is not opened; {WRITES_ONE}"
            ) from None
        raise UserError(f"{path} is damaged, or no file of PyTorch's; {WRITES_ONE}") from None
    except (Exception, RecursionError):  # whatever bytes can make a reader stumble over
        raise UserError(f"{path} is damaged, or no file of PyTorch's; {WRITES_ONE}") from None


def _check_zip(path: Path) -> None:
    """PyTorch compresses nothing and writes nothing twice: else far more may come out of a file."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise UserError(f"{path} is packed as no state dict is; {WRITES_ONE}")


def _check_size(path: Path, state: Mapping[str, Any]) -> None:
    """Before anything is copied: a tensor may say that it is larger than what is stored of it."""
    numbers = sum(tensor.numel() for tensor in state.values())
    if numbers > LARGEST_NETWORK:
        raise UserError(f"{path} says it has {numbers:,} parameters; at most {LARGEST_NETWORK:,}")


def _check_layers(path: Path, layers: list[Dense]) -> None:
    if not layers:
        raise UserError(f"{path} holds no weights of a dense layer; {WRITES_ONE}")
    for layer in layers:
        if min(layer.weight.shape) < 1:
            raise UserError(f"{path}: {layer} has no units")
    wrong = [
        f"{before.name} gives {before.outputs} values, {after.name} takes {after.inputs}"
        for before, after in pairwise(layers)
        if before.outputs != after.inputs
    ]
    if wrong:
        raise UserError(f"{path}: {_some(wrong, '; ')}; dense layers follow one another")
    *hidden, head = layers
    counts = {len(layer.vectors) for layer in hidden}
    if not counts <= {1} and counts != {3}:
        raise UserError(f"{path}: each hidden layer has a bias, and all a LayerNorm or none")
    if len(head.vectors) != 1:
        raise UserError(f"{path}: {head.name}, the last layer, has one bias and nothing more")
