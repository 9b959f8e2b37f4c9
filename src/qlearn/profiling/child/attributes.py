"""What an object of the user's holds, read so that the object stays as fast as it is.

To ask an object for its `__dict__` is to have one made, and in CPython 3.11 and 3.12 every access
to an attribute of that object is slower from then on. So it is asked for the names that its class's
functions mention, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any

NOTHING = object()
WRAPPED = (staticmethod, classmethod)
vars_of = type.__dict__["__dict__"].__get__  # whatever a metaclass may say


class Attributes:
    def __init__(self) -> None:
        self._names: dict[tuple[type, CodeType], tuple[str, ...]] = {}

    def of(self, value: Any, code: CodeType) -> list[tuple[str, Any]]:
        """(name, what it holds): names that its class mentions, or the code that has it at hand."""
        kind = type(value)
        names = self._names.get((kind, code))
        if names is None:
            names = self._names[kind, code] = tuple(asked_for(kind, code))
        held = ((name, own(value, name)) for name in names)
        return [(name, what) for name, what in held if what is not NOTHING]


def own(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return NOTHING


def asked_for(kind: type, code: CodeType) -> Iterator[str]:
    """Names that can be asked for without running anything of the user's."""
    bases = [vars_of(base) for base in type.mro(kind)]
    mentioned = dict.fromkeys(
        name
        for inner in (*codes(bases), code)
        for name in inner.co_names
        if not name.startswith("__")
    )
    for name in mentioned:
        held = next((base[name] for base in bases if name in base), None)
        if type(held) is MemberDescriptorType or not computes(held):
            yield name


def codes(bases: list[Any]) -> Iterator[CodeType]:
    for base in bases[:-1]:
        for held in base.values():
            held = getattr(held, "__func__", held) if type(held) in WRAPPED else held
            held = held.fget if type(held) is property else held
            if type(held) is FunctionType:
                yield held.__code__


def computes(held: Any) -> bool:
    """Whether what a class has of that name is asked, and not the object's own dictionary."""
    return any("__get__" in vars_of(base) for base in type.mro(type(held)))
