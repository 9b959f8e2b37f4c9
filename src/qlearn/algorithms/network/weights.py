"""Parameters out of a checkpoint's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qlearn.errors import UserError
from qlearn.nets.layout import Architecture

PARAMS = "params"


def read_parameters(name: str, architecture: Architecture) -> np.ndarray:
    """`params` of a .safetensors file, which must be of this very network."""
    params = read_named(name).get(PARAMS)
    if params is None or params.dtype != np.float32:
        raise UserError(f"{name} holds no network's params")
    if params.shape != (architecture.parameters,):
        raise UserError(
            f"{name} holds {params.size:,} parameters, this network"
            f" ({'-'.join(map(str, architecture.widths))}) has {architecture.parameters:,}"
        )
    return np.array(params)


def read_named(name: str) -> dict[str, np.ndarray]:
    """What a .safetensors file holds of a network: its params, flat or by name."""
    from safetensors import SafetensorError, safe_open

    path = Path(name)
    if not path.is_file():
        raise UserError(f"--init takes a seed or a checkpoint's .safetensors; there is no {name}")
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            ours = [name for name in names if name.partition(".")[0] == PARAMS]
            return {name: file.get_tensor(name) for name in ours}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{name} is no checkpoint: {error}") from None
