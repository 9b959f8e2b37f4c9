"""Named arrays on disk: safetensors beside a JSON manifest with a checksum. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.runs.files import read_json, write_bytes

FORMAT = 1


def save(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Path:
    """Writes PATH.safetensors and PATH.json; each is whole or not there.

    The manifest comes last and names the checksum: arrays without their manifest do not count.
    """
    from safetensors.numpy import save as pack

    data = pack({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    write_bytes(path.with_name(path.name + ".safetensors"), data)
    manifest = {
        "format": FORMAT,
        "sha256": hashlib.sha256(data).hexdigest(),
        "arrays": {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()},
        **about,
    }
    write_bytes(path.with_name(path.name + ".json"), json.dumps(manifest, indent=2).encode())
    return path


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the manifest; a damaged or newer checkpoint is refused in words."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    manifest = read_json(path.with_name(path.name + ".json"))
    file = path.with_name(path.name + ".safetensors")
    if manifest.get("format", 0) > FORMAT:
        raise UserError(f"{file} was written by a newer qlearn; pip install --upgrade qlearn")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != manifest.get("sha256"):
        raise UserError(f"{file} is damaged: its checksum does not match {path.name}.json")
    try:
        return unpack(data), manifest
    except SafetensorError as error:
        raise UserError(f"{file} is damaged: {error}") from None


def exists(path: Path) -> bool:
    return path.with_name(path.name + ".json").is_file()
