"""Looks, now and then, at what the user's running functions hold."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from .attributes import Attributes
from .kinds import NUMBERS, SIZED, describe
from .places import Places, full, is_users

FIRST_LOOKS = 3  # at once, then rarer and rarer
PAUSE = 0.1
GROWTH = 1.25
MOST_NAMES = 80
DEEPEST = 50
MOST_HISTORY = 64
SKIPPED = (ModuleType, FunctionType, BuiltinFunctionType, MethodType, type)


NUMBER_KINDS = {kind.__name__ for kind in NUMBERS}


class Known:
    """One name of one function while it held one kind, as last seen; its sizes or values before."""

    def __init__(self) -> None:
        self.kind = ""
        self.size = 0
        self.detail: dict[str, Any] = {}
        self.history: list[list] = []

    def see(self, kind: str, size: int, detail: dict[str, Any], now: float) -> None:
        self.kind, self.size, self.detail = kind, size, detail
        told = detail["value"] if kind in NUMBER_KINDS else size
        if len(self.history) == MOST_HISTORY:
            del self.history[1::2]
        self.history.append([now, told])


class Function:
    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.looks = 0
        self.next = 0.0
        self.pause = PAUSE
        self.names: dict[tuple[str, str], Known] = {}
        self.places: set[int] = set()

    def is_due(self, place: int, now: float, closely: bool) -> bool:
        """In time, and at every place once: names are given other things on the way."""
        new = place not in self.places
        if self.looks >= FIRST_LOOKS and not closely:
            return False
        self.places.add(place)
        return new or now >= self.next

    def looked(self, now: float) -> None:
        self.looks += 1
        if self.looks >= FIRST_LOOKS:
            self.next = now + self.pause
            self.pause *= GROWTH


class Looker:
    """Kinds and sizes of the variables and of `self`'s attributes, by function."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._functions: dict[int, Function] = {}
        self._user_modules: dict[str, bool] = {}
        self._attributes = Attributes()

    def look(self, frame: FrameType | None, now: float, closely: bool) -> None:
        """`closely`: more than is needed to have seen every function."""
        for _ in range(DEEPEST):
            if frame is None:
                break
            code = frame.f_code
            if self._places.users(code):
                function = self._functions.get(id(code))
                if function is None:
                    function = self._functions[id(code)] = Function(code)
                if function.is_due(frame.f_lasti, now, closely):
                    self._look_into(frame, function, now)
            frame = frame.f_back

    def report(self) -> list[dict]:
        found = []
        for function in list(self._functions.values()):
            code = function.code
            for (name, _), known in list(function.names.items()):
                found.append(
                    {
                        "file": full(code.co_filename),
                        "function": code.co_qualname,
                        "first_line": code.co_firstlineno,
                        "name": name,
                        "kind": known.kind,
                        "size": known.size,
                        "detail": known.detail,
                        "history": list(known.history),
                    }
                )
        return found

    def _look_into(self, frame: FrameType, function: Function, now: float) -> None:
        function.looked(now)
        for name, value in self._named(dict(frame.f_locals), frame.f_code):
            kind, size, detail = describe(value)
            key = name, "number" if kind in NUMBER_KINDS else kind
            known = function.names.get(key)
            if known is None:
                if len(function.names) >= MOST_NAMES:
                    continue
                known = function.names[key] = Known()
            known.see(kind, size, detail, now)

    def _named(self, variables: dict[str, Any], code: CodeType) -> list[tuple[str, Any]]:
        """Variables, and the attributes of those that are objects of the user's."""
        found = []
        for name, value in variables.items():
            if name.startswith(("__", ".")) or isinstance_of(value, SKIPPED):
                continue
            found.append((name, value))
            if self._is_users(type(value)):
                found += [
                    (f"{name}.{inner}", held)
                    for inner, held in self._attributes.of(value, code)
                    if not isinstance_of(held, SKIPPED)
                ]
        return found

    def _is_users(self, kind: type) -> bool:
        if kind in SIZED or kind in NUMBERS:
            return False
        module = kind.__module__
        known = self._user_modules.get(module)
        if known is None:
            known = self._user_modules[module] = comes_from_user(module)
        return known


def isinstance_of(value: Any, kinds: tuple[type, ...]) -> bool:
    """Asked of the type: a value may answer `__class__` with code of its own."""
    return any(kind in kinds for kind in type.mro(type(value)))


def comes_from_user(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and is_users(full(file))
