"""Parameters out of a checkpoint's file. Nothing is read that the network has no place for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.nets.layout import Architecture

PARAMS = "params"
MOST_NAMED = 6  # an error is one line
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BOOL": "bool"} | {
    f"{sign}{bits}": f"{name}{bits}"
    for sign, name in (("I", "int"), ("U", "uint"))
    for bits in (8, 16, 32, 64)
}
Kind = tuple[str, tuple[int, ...]]  # numbers' type, and shape


def read_parameters(name: str, architecture: Architecture) -> np.ndarray:
    """`params` of a .safetensors file, which must be of this very network."""
    own = {PARAMS: ("float32", (architecture.parameters,))}
    widths = "-".join(map(str, architecture.widths))
    return read_named(name, own, f"this network ({widths})")[PARAMS]


def read_named(
    name: str, wanted: Mapping[str, Kind], whose: str = "this network"
) -> dict[str, np.ndarray]:
    """The arrays that are wanted; each that is missing, or another, is named with what it is."""
    from safetensors import SafetensorError, safe_open

    path = Path(name)
    if not path.is_file():
        raise UserError(f"--init takes a seed or a checkpoint's .safetensors; there is no {name}")
    try:
        with safe_open(path, framework="numpy") as file:
            misfits = list(_misfits(file, wanted))
            if misfits:
                more = f" and {len(misfits) - MOST_NAMED} more" * (len(misfits) > MOST_NAMED)
                raise UserError(
                    f"{name} does not fit {whose}: {'; '.join(misfits[:MOST_NAMED])}{more}"
                )
            found = {key: file.get_tensor(key) for key in wanted}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{name} is no checkpoint: {error}") from None
    for key, array in found.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{name}: '{key}' has numbers that are not finite")
    return found


def _misfits(file: Any, wanted: Mapping[str, Kind]) -> Iterator[str]:
    there = set(file.keys())
    for name, kind in wanted.items():
        if name not in there:
            yield f"it has no '{name}'"
            continue
        lies = file.get_slice(name)
        dtype = lies.get_dtype()
        found = DTYPES.get(dtype, dtype), tuple(lies.get_shape())
        if found != kind:
            yield f"'{name}' is {_said(found)}, not {_said(kind)}"


def _said(kind: Kind) -> str:
    dtype, shape = kind
    return f"{'x'.join(map(str, shape)) or 'a single'} {dtype}"
