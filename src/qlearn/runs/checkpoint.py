"""Named arrays on disk: safetensors beside a JSON manifest with a checksum. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.runs.files import read_json, write_bytes, write_parts

FORMAT = 1
DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bool": "BOOL",
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip


def save(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Path:
    """Writes PATH.safetensors and PATH.json; each is whole or not there.

    The manifest comes last and names the checksum: arrays without their manifest do not count.
    Until it is there, the arrays of the manifest before are kept beside the new ones.
    """
    digest = hashlib.sha256()
    file, before = path.with_name(path.name + ".safetensors"), _before(path)
    if file.exists() and not (before.exists() and _is_meant(before, path)):
        os.replace(file, before)
    write_parts(file, _parts(arrays, digest))
    manifest = {
        "format": FORMAT,
        "sha256": digest.hexdigest(),
        "arrays": {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()},
        **about,
    }
    write_bytes(path.with_name(path.name + ".json"), json.dumps(manifest, indent=2).encode())
    before.unlink(missing_ok=True)
    return path


def _parts(arrays: dict[str, np.ndarray], digest: Any) -> Iterator[bytes | memoryview]:
    """What safetensors would write, straight from where the numbers are.

    The library packs twice in memory: with a replay of a million transitions 75 MB a time, of
    which the allocator kept 25.
    """
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # all stay aligned
    header, end = {}, 0
    for name in order:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        kind = DTYPES[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    parts: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text]
    parts += [np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data for name in order]
    for part in parts:
        digest.update(part)
        yield part


def _before(path: Path) -> Path:
    return path.with_name(path.name + ".before.safetensors")


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the manifest; a damaged or newer checkpoint is refused in words."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    place = path.with_name(path.name + ".json")
    manifest = read_json(place)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise UserError(f"{place} is damaged: it describes no checkpoint")
    file = path.with_name(path.name + ".safetensors")
    if manifest["format"] > FORMAT:
        raise UserError(f"{file} was written by a newer qlearn; pip install --upgrade qlearn")
    data = _arrays_of(manifest, file, _before(path))
    if data is None:
        raise UserError(f"{file} is damaged: its checksum does not match {path.name}.json")
    try:
        return unpack(data), manifest
    except SafetensorError as error:
        raise UserError(f"{file} is damaged: {error}") from None


def _is_meant(file: Path, path: Path) -> bool:
    """Whether the manifest on disk names this file's checksum."""
    try:
        manifest = read_json(path.with_name(path.name + ".json"))
        return hashlib.sha256(file.read_bytes()).hexdigest() == manifest["sha256"]
    except (UserError, KeyError, TypeError):
        return False


def _arrays_of(manifest: dict[str, Any], file: Path, before: Path) -> bytes | None:
    """The bytes that the manifest means; those before, if a save ended between its two files."""
    for candidate in (file, before):
        try:
            data = candidate.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"cannot read {candidate}: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() == manifest.get("sha256"):
            return data
    if not file.exists():
        raise UserError(f"cannot read {file}: no such file")
    return None


def exists(path: Path) -> bool:
    return path.with_name(path.name + ".json").is_file()
