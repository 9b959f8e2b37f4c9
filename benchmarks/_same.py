"""What two runs of one configuration share to the byte, and what of them is the machine's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# All else is compared. Wall time and speeds, and what counts them:
OF_THE_MACHINE = {
    "metrics": {"machine"},
    # `metrics_bytes` counts the digits of the times, too; the checksums are of all these.
    "manifest": {"train_seconds", "stages", "metrics_bytes", "metrics_sha256", "checksum"},
    "result": {
        "run", "threads", "compile_seconds", "train_seconds", "total_seconds", "steps_per_second",
        "solved_at_seconds", "stages", "peak_memory_mb",
    },
}  # fmt: skip
CHECKPOINTS = ("checkpoints/last", "best")
BEFORE = "checkpoints/previous"  # is of whatever step the clock has chosen


def difference(one: Path, other: Path) -> str:
    """Where two finished runs first differ, in words; nothing where they do not."""
    for name in CHECKPOINTS:
        file = f"{name}.safetensors"
        if (one / file).read_bytes() != (other / file).read_bytes():
            return f"{file} differs"
        manifests = [
            _without("manifest", json.loads((run / f"{name}.json").read_text()))
            for run in (one, other)
        ]
        if manifests[0] != manifests[1]:
            return f"{name}.json: {_first(*manifests)}"
    lines = [rows(run) for run in (one, other)]
    for k, (row, its) in enumerate(zip(*lines, strict=False)):
        if row != its:
            return f"metrics.jsonl, line {k + 1}: {_first(row, its)}"
    if len(lines[0]) != len(lines[1]):
        return f"metrics.jsonl has {len(lines[0])} lines, and {len(lines[1])}"
    results = [
        _without("result", json.loads((run / "run.json").read_text())["result"])
        for run in (one, other)
    ]
    if results[0] != results[1]:
        return f"run.json: {_first(*results)}"
    strange = files(one) ^ files(other)
    return f"{min(strange)} is in one folder alone" if strange else ""


def rows(run: Path) -> list[dict[str, Any]]:
    """Every line of metrics.jsonl as it was learned; one that is torn is a fault."""
    lines = (run / "metrics.jsonl").read_bytes().splitlines()
    return [_without("metrics", json.loads(line)) for line in lines]


def files(run: Path) -> set[str]:
    """What lies in the folder, but for checkpoints before the last."""
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(BEFORE)}


def _without(what: str, content: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in content.items() if key not in OF_THE_MACHINE[what]}
    if kept.get("solved"):
        kept["solved"] = kept["solved"][1]  # the steps, without the seconds
    return kept


def _first(one: dict[str, Any], other: dict[str, Any]) -> str:
    key = next(key for key in {**one, **other} if one.get(key) != other.get(key))
    return f"{key} is {one.get(key)}, and {other.get(key)}"
