"""Named arrays on disk: safetensors beside a JSON manifest with checksums. Nothing is unpickled.

`last` keeps the one before it as `previous`, where more are kept as `previous-2` and so on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.runs import sparse, tensors
from qlearn.runs.files import (
    Damaged,
    clear_drafts,
    read_sealed,
    sealed,
    settle_names,
    write_bytes,
    write_json,
    write_parts,
)

FORMAT = 3
PREVIOUS = "previous"
KEPT = {"last": 1}  # how many of those before stay, unless it is said
Arrays = dict[str, np.ndarray]


def save(path: Path, arrays: Arrays, about: dict[str, Any], keep: int | None = None) -> Path:
    """Writes PATH.safetensors and PATH.json; each is whole or not there.

    The manifest comes last and names the checksum: arrays without their manifest do not count.
    Until it is there, the arrays of the manifest before are kept as the previous ones. None of
    those before is touched until the new arrays were read back from the disk as they are.
    """
    keep = KEPT.get(path.name, 0) if keep is None else keep
    digest, fresh = hashlib.sha256(), path.with_name(f"{path.name}.new.safetensors")
    for each in (path, _next(path)):
        clear_drafts(each)
    parts = tensors.parts_of(sparse.without_zeros(arrays))
    write_parts(fresh, _noted(parts, digest))
    if tensors.digest_of(fresh) != digest.hexdigest():
        fresh.unlink()
        raise UserError(f"the disk did not keep what was written to {_file(path)}")
    manifest = {
        "format": FORMAT,
        "sha256": digest.hexdigest(),
        "arrays": {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()},
        **about,
    }
    _settle(path)
    _make_room(path, keep)
    os.replace(fresh, _file(path))
    write_json(_manifest(path), sealed(manifest))
    settle_names(path.parent)
    _drop(path, keep)
    return path


def load(path: Path, frames: bool = True) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the manifest; a damaged or newer checkpoint is refused in words.

    A replay's frames are most of it, and who does not go on learning may leave them out.
    """
    manifest = described(path)
    meant, faults = manifest.get("sha256"), []
    # Those of a save that ended between its two files lie under the previous one's name.
    for file in (_file(path), _file(_next(path)), _before(path)):
        try:
            arrays, found = tensors.read(file)
        except Damaged as error:
            faults.append(error)
            continue
        if found == meant:
            if frames:
                return sparse.with_zeros(arrays, file), manifest
            return sparse.without_frames(arrays), manifest
        faults.append(Damaged(f"{file} is damaged: its checksum does not match {path.name}.json"))
    raise faults[0]


def described(path: Path) -> dict[str, Any]:
    """What its manifest says, without the arrays."""
    return read_sealed(_manifest(path), FORMAT, "checkpoint")


def exists(path: Path) -> bool:
    """Whether there is one, or one before it."""
    return any(_manifest(each).is_file() for each in (path, *_those_before(path)))


def is_whole(path: Path) -> bool:
    try:
        load(path, frames=False)
    except UserError:
        return False
    return True


def check_arrays(file: Path) -> None:
    """Refuses arrays that the manifest beside them was not made of; without one all is believed."""
    path = file.with_suffix("")
    if file != _file(path) or not _manifest(path).is_file():
        return
    if tensors.digest_of(file) != read_sealed(_manifest(path), FORMAT, "checkpoint").get("sha256"):
        raise Damaged(f"{file} is damaged: its checksum does not match {path.name}.json")


def load_whole_before(
    path: Path, frames: bool = True
) -> tuple[Path, Arrays, dict[str, Any]] | None:
    """The newest of those before that is as it was written."""
    for older in _those_before(path):
        try:
            return older, *load(older, frames)
        except UserError:
            continue
    return None


def step_of(about: dict[str, Any]) -> str:
    return f"step {about['env_steps']:,}" if isinstance(about.get("env_steps"), int) else "no step"


# ------------------------------------------------------------------------------------- files


def _file(path: Path) -> Path:
    return path.with_name(f"{path.name}.safetensors")


def _manifest(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _before(path: Path) -> Path:
    """Where format 1 kept the arrays that a save was about to replace."""
    return path.with_name(f"{path.name}.before.safetensors")


def _next(path: Path) -> Path:
    """The name that it takes when a newer one is there."""
    stem, _, number = path.name.partition("-")
    return path.with_name(f"{PREVIOUS}-{int(number or 1) + 1}" if stem == PREVIOUS else PREVIOUS)


def _those_before(path: Path) -> Iterator[Path]:
    older = _next(path)
    while _manifest(older).is_file():
        yield older
        older = _next(older)


def _noted(parts: Iterable[bytes | memoryview], digest: Any) -> Iterator[bytes | memoryview]:
    for part in parts:
        digest.update(part)
        yield part


def _settle(path: Path) -> None:
    """Gives back what a save that was killed had made the previous one: it is the last still."""
    older = _next(path)
    meant = _meant(path)
    if meant is None or meant != _meant(older) or not _file(older).is_file():
        return
    if not _file(path).is_file() or tensors.digest_of(_file(path)) != meant:
        os.replace(_file(older), _file(path))


def _meant(path: Path) -> str | None:
    """The checksum of the arrays that a manifest names, if it is whole."""
    try:
        return str(described(path).get("sha256"))
    except UserError:
        return None


def _make_room(path: Path, keep: int) -> None:
    """Renames the last one to the previous one, that to the one before it, and so on.

    The manifest of the last one stays until its successor is written, and is copied.
    """
    if _meant(path) is None or not _file(path).is_file():
        return
    line = [_next(path)]
    while len(line) < keep:
        line.append(_next(line[-1]))
    for older, newer in zip(line[:0:-1], line[-2::-1], strict=True):
        for place in (_file, _manifest):
            if place(newer).is_file():
                os.replace(place(newer), place(older))
    write_bytes(_manifest(line[0]), _manifest(path).read_bytes())
    os.replace(_file(path), _file(line[0]))


def _drop(path: Path, keep: int) -> None:
    """Those before that are more than are kept."""
    for number, older in enumerate(list(_those_before(path)), 1):
        if number > keep:
            _manifest(older).unlink()
            _file(older).unlink(missing_ok=True)
    _before(path).unlink(missing_ok=True)
