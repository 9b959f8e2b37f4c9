"""The rules of `profile`, one file each: what to look for, why it is slow, what to write instead.

A module of this folder has `RULE`, its identifier; `WHY`, two sentences; `find(facts)`, which
gives `Finding`s; and where a small measurement can show the gain, `proof(finding)`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


@lru_cache(maxsize=1)
def all_rules() -> tuple[ModuleType, ...]:
    """Every rule's module, in the order of their names."""
    names = sorted(module.name for module in iter_modules(__path__))
    return tuple(import_module(f"{__name__}.{name}") for name in names if name[:1] != "_")


def rule(identifier: str) -> ModuleType:
    """The module of one rule: `table-copy`."""
    return import_module(f"{__name__}.{identifier.replace('-', '_')}")
