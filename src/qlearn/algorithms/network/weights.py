"""Parameters out of a checkpoint's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qlearn.errors import UserError
from qlearn.nets.layout import Architecture


def read_parameters(name: str, architecture: Architecture) -> np.ndarray:
    """`params` of a .safetensors file, which must be of this very network."""
    from safetensors import SafetensorError, safe_open

    path = Path(name)
    if not path.is_file():
        raise UserError(f"--init takes a seed or a checkpoint's .safetensors; there is no {name}")
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            params = file.get_tensor("params") if "params" in names else None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{name} is no checkpoint: {error}") from None
    if params is None or params.dtype != np.float32:
        raise UserError(f"{name} holds no network's params")
    if params.shape != (architecture.parameters,):
        raise UserError(
            f"{name} holds {params.size:,} parameters, this network"
            f" ({'-'.join(map(str, architecture.widths))}) has {architecture.parameters:,}"
        )
    return np.array(params)
