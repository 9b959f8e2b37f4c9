"""What contenders are called where there is little room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def short(names: Sequence[str]) -> list[str]:
    """Without the folders of scripts, where that leaves them distinct."""
    shorter = []
    for name in names:
        first, *rest = name.split(" ")
        shorter.append(" ".join([Path(first).name if first.endswith(".py") else first, *rest]))
    return shorter if len(set(shorter)) == len(names) else list(names)
