"""The safetensors format, written and read as a stream. What a header claims is checked first."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from qlearn.errors import UserError
from qlearn.memory import MB, free_megabytes
from qlearn.runs.files import Damaged

DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bool": "BOOL",
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip
KINDS = {kind: np.dtype(name) for name, kind in DTYPES.items()}
MOST_HEADER_BYTES = 4 * 2**20
MOST_DIMENSIONS = 16


@dataclass(frozen=True)
class Made:
    """An array that nobody holds: made while it is written, piece by piece."""

    dtype: np.dtype
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[np.ndarray]]

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.itemsize


def parts_of(arrays: Mapping[str, np.ndarray | Made]) -> Iterator[bytes | memoryview]:
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
    yield len(text).to_bytes(8, "little")
    yield text
    for name in order:
        array = arrays[name]
        for piece in array.pieces() if isinstance(array, Made) else (array,):
            yield np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data


def read(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a file, and its SHA-256; nothing is allocated that the file does not hold."""
    digest, arrays = hashlib.sha256(), {}
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise UserError(f"cannot read {path}: it is no file")
    try:
        with path.open("rb") as file:
            for name, dtype, shape in _places(path, file, digest):
                array = arrays[name] = np.empty(shape, dtype)
                flat = array.reshape(-1).view(np.uint8)
                if file.readinto(flat.data) != flat.size:
                    raise Damaged(f"{path} is damaged: it ends within '{name}'")
                if dtype == np.bool_ and flat.max(initial=0) > 1:
                    raise Damaged(f"{path} is damaged: '{name}' is neither true nor false")
                digest.update(flat.data)
    except FileNotFoundError:
        raise Damaged(f"cannot read {path}: no such file") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return arrays, digest.hexdigest()


def digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


Place = tuple[str, np.dtype, tuple[int, ...]]


def _places(path: Path, file: BinaryIO, digest: Any) -> list[Place]:
    """Name, type and shape of every array, in the order in which they lie."""
    size = path.stat().st_size
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > min(MOST_HEADER_BYTES, size - 8):
        raise Damaged(f"{path} is damaged: its header does not fit into it")
    text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged(f"{path} is damaged: its header is no JSON") from None
    if not isinstance(header, dict):
        raise Damaged(f"{path} is damaged: its header names no arrays")
    header.pop("__metadata__", None)
    places, end = [], 0
    for name, claim in sorted(header.items(), key=lambda item: _offsets(item[1])):
        place, begins, ends = _place(name, claim)
        if begins != end or ends < begins:
            raise Damaged(f"{path} is damaged: '{name[:100]}' is not where the one before it ends")
        if place is None or math.prod(place[2]) * place[1].itemsize != ends - begins:
            raise Damaged(f"{path} is damaged: '{name[:100]}' has another size than its shape")
        places.append(place)
        end = ends
    if 8 + length + end != size:
        raise Damaged(f"{path} is damaged: it has {size:,} bytes, its header {8 + length + end:,}")
    if end / MB > free_megabytes():
        raise UserError(f"{path} holds {end / MB:,.0f} MB, more than there is memory free")
    digest.update(first + text)
    return places


def _offsets(claim: Any) -> tuple[int, int]:
    """Where an array begins and ends; (-1, -1), which is nowhere, if that is no such claim."""
    offsets = claim.get("data_offsets") if isinstance(claim, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not _are_counts(offsets):
        return -1, -1
    return offsets[0], offsets[1]


def _place(name: str, claim: Any) -> tuple[Place | None, int, int]:
    begins, ends = _offsets(claim)
    if begins < 0:
        return None, begins, ends
    dtype, shape = claim.get("dtype"), claim.get("shape")
    if not isinstance(dtype, str) or dtype not in KINDS or not isinstance(shape, list):
        return None, begins, ends
    if len(shape) > MOST_DIMENSIONS or not _are_counts(shape):
        return None, begins, ends
    if math.prod(size or 1 for size in shape) >= 2**60:  # an empty one may still be too large
        return None, begins, ends
    return (name, KINDS[dtype], tuple(shape)), begins, ends


def _are_counts(numbers: list[Any]) -> bool:
    return all(type(number) is int and 0 <= number < 2**62 for number in numbers)
