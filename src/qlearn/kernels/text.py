"""Collects plain functions and everything they reach into the text of one module.

Numba's disk cache does not notice an edited helper in another file, and never hits for closures.
A module that holds the text of every function it reaches has neither problem: its hash is the
cache key, and what it says is all that it does. Functions keep their lines, so that a compiler's
message about the generated text leads back to the line the user wrote.
"""

from __future__ import annotations

import ast
import builtins
import enum
import inspect
import linecache
import math
import textwrap
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qlearn.errors import UserError

LARGEST_ARRAY = 1024  # numbers; larger globals would be baked into machine code

PREAMBLE = "from __future__ import annotations\n\nimport math\n\nimport numpy\n"


@dataclass
class Source:
    """Where a stretch of generated lines comes from."""

    first: int
    last: int
    file: str
    line: int
    name: str


@dataclass
class ModuleText:
    """The text of a generated module, function by function.

    `bind` replaces one function by another wherever it is mentioned: a loop written against the
    placeholder `step` is bound to the `step` of one environment. `decorate(function)` is the line
    put before each function.
    """

    bind: Mapping[Any, Callable]
    decorate: Callable[[Callable], str]
    preamble: str = PREAMBLE
    sources: list[Source] = field(default_factory=list)
    _chunks: list[str] = field(default_factory=list)
    _names: dict[Callable, str] = field(default_factory=dict)
    _constants: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._taken.update({"math", "numpy", *dir(builtins)})
        self._lines = self.preamble.count("\n")

    def render(self) -> str:
        return self.preamble + "".join(self._chunks)

    def add(self, function: Callable, decorator: str | None = None) -> str:
        """Adds a function and what it reaches; gives the name it has in the module."""
        function = plain(self.bind.get(function, function))
        if function in self._names:
            return self._names[function]
        name = self._names[function] = self._reserve(function.__name__)
        text, first_line = source_of(function)
        node = ast.parse(text).body[0]
        assert isinstance(node, ast.FunctionDef)
        edits = [*self._edits(function, node), (node, name)]
        body = _substitute(text, edits, node)
        skipped = node.lineno - 1
        self._append(
            f"\n\n{decorator if decorator is not None else self.decorate(function)}\n",
            body,
            Source(
                0, 0, function.__code__.co_filename, first_line + skipped, function.__qualname__
            ),
        )
        return name

    def add_line(self, line: str) -> None:
        self._append(f"\n\n{line}\n", "", None)

    def locate(self, line: int) -> Source | None:
        """The user's own line behind a line of the generated text."""
        for source in self.sources:
            if source.first <= line <= source.last:
                offset = line - source.first
                return Source(line, line, source.file, source.line + offset, source.name)
        return None

    def _append(self, before: str, body: str, source: Source | None) -> None:
        self._lines += before.count("\n")
        if source is not None:
            lines = body.count("\n")
            self.sources.append(
                Source(self._lines + 1, self._lines + lines, source.file, source.line, source.name)
            )
            self._lines += lines
        self._chunks.append(before + body)

    def _reserve(self, wanted: str) -> str:
        """A name in the module that no local variable is likely to shadow."""
        wanted = "".join(c if c.isidentifier() or c.isdigit() else "_" for c in wanted)
        number = 1
        while (name := f"{wanted}__{number}") in self._taken:
            number += 1
        self._taken.add(name)
        return name

    def _edits(self, function: types.FunctionType, node: ast.FunctionDef):
        """(node, replacement) for every global that the function mentions."""
        local = _local_names(node)
        inner_roots = {
            id(n.value) for n in ast.walk(node) if isinstance(n, ast.Attribute)
        }  # handled with the attribute they belong to
        skip = {id(n) for n in _without_place(node)}
        for child in ast.walk(node):
            if id(child) in skip:
                continue
            if isinstance(child, ast.Global | ast.Nonlocal):
                raise _at(function, child, "changes a global; keep what changes in `state`")
            chain = _chain(child)
            if not chain or chain[0] in local or id(child) in inner_roots:
                continue
            if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load):
                continue
            yield from self._resolve(function, child, chain)

    def _resolve(self, function: types.FunctionType, child: ast.AST, chain: list[str]):
        value, found = _lookup(function, chain[0])
        if not found:
            raise _at(function, child, f"uses '{chain[0]}', which is not defined")
        nodes = [child]
        while isinstance(nodes[-1], ast.Attribute):
            nodes.append(nodes[-1].value)
        nodes.reverse()  # the bare name first, the whole chain last
        used = 1
        while used < len(chain) and isinstance(value, types.ModuleType | type):
            if _is_library(value):
                break
            if not hasattr(value, chain[used]):
                raise _at(function, child, f"uses '{'.'.join(chain)}', which does not exist")
            value = getattr(value, chain[used])
            used += 1
        replacement = self._express(function, child, ".".join(chain[:used]), value)
        if replacement != ".".join(chain[:used]):
            yield nodes[used - 1], replacement

    def _express(self, function: types.FunctionType, child: ast.AST, name: str, value: Any) -> str:
        """How a global value is written in the generated module."""
        if _is_library(value):
            return value.__name__
        if getattr(builtins, name, self) is value:
            return name
        if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
            return f"math.{value.__name__}"
        if isinstance(value, type) and value.__module__ == "numpy":
            return f"numpy.{value.__name__}"
        if callable(value) and not isinstance(value, type):
            if plain_or_none(value) is not None:
                return self.add(value)
            home = getattr(value, "__module__", None) or type(value).__module__
            if home.split(".")[0] == "numpy" and hasattr(value, "__name__"):
                return f"numpy.{value.__name__}"
        literal = literal_of(value)
        if literal is None:
            raise _at(function, child, _why_not(name, value))
        if (name, literal) not in self._constants:
            emitted = self._constants[name, literal] = self._reserve(name.replace(".", "_"))
            self.add_line(f"{emitted} = {literal}")
        return self._constants[name, literal]


def plain(function: Callable) -> types.FunctionType:
    found = plain_or_none(function)
    if found is None:
        raise UserError(f"{function!r} is no plain Python function")
    return found


def plain_or_none(function: Any) -> types.FunctionType | None:
    """The plain function behind a dispatcher, a static method or itself."""
    function = getattr(function, "py_func", function)
    function = getattr(function, "__func__", function)
    return function if isinstance(function, types.FunctionType) else None


def source_of(function: types.FunctionType) -> tuple[str, int]:
    """A function's dedented text and the number of its first line."""
    linecache.checkcache(function.__code__.co_filename)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise UserError(
            f"the text of '{function.__qualname__}' is not to be found; put it in a file"
        ) from None
    text = textwrap.dedent("".join(lines))
    if not text.endswith("\n"):
        text += "\n"
    if not text.lstrip().startswith(("def ", "@")):
        raise UserError(f"'{function.__qualname__}' must be written with `def`")
    return text, first


def literal_of(value: Any) -> str | None:
    """A global constant as an expression, or None where it cannot be one."""
    import numpy as np

    if isinstance(value, enum.Enum):
        return literal_of(value.value)
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, np.generic):
        return f"numpy.{value.dtype.name}({value.item()!r})"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, tuple):
        parts = [literal_of(part) for part in value]
        if any(part is None for part in parts):
            return None
        return "(" + "".join(f"{part}, " for part in parts) + ")"
    if isinstance(value, np.ndarray) and value.size <= LARGEST_ARRAY and value.dtype.kind in "biuf":
        return f"numpy.array({value.tolist()!r}, dtype=numpy.{value.dtype.name})"
    return None


def _why_not(name: str, value: Any) -> str:
    import numpy as np

    if isinstance(value, np.ndarray):
        return (
            f"uses the large global array '{name}' ({value.size:,} numbers, at most"
            f" {LARGEST_ARRAY:,}); give it through `world` instead"
        )
    if isinstance(value, list | dict | set):
        return (
            f"uses the global {type(value).__name__} '{name}'; a tuple of numbers, or an array in"
            f" `world`, works"
        )
    return f"uses the global '{name}' of type {type(value).__name__}; numbers, tuples of numbers, small arrays and functions work"


def _at(function: types.FunctionType, node: ast.AST, message: str) -> UserError:
    first = source_of(function)[1]
    line = first + getattr(node, "lineno", 1) - 1
    return UserError(f"{function.__code__.co_filename}:{line}: {function.__name__} {message}")


def _is_library(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and value.__name__ in ("math", "numpy")


def _chain(node: ast.AST) -> list[str]:
    """`a.b.c` as [a, b, c]; nothing for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    return [node.id, *reversed(parts)]


def _without_place(node: ast.FunctionDef):
    """Annotations are not evaluated; what is inside an f-string has no true column in 3.11."""
    for child in ast.walk(node):
        if isinstance(child, ast.JoinedStr):
            yield from ast.walk(child)
        if isinstance(child, ast.FunctionDef) and child.returns is not None:
            yield from ast.walk(child.returns)
        elif (isinstance(child, ast.arg) and child.annotation is not None) or isinstance(
            child, ast.AnnAssign
        ):
            yield from ast.walk(child.annotation)


def _local_names(node: ast.FunctionDef) -> set[str]:
    names: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.arg):
            names.add(child.arg)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store | ast.Del):
            names.add(child.id)
        elif isinstance(child, ast.FunctionDef) and child is not node:
            names.add(child.name)
    return names


def _lookup(function: types.FunctionType, name: str) -> tuple[Any, bool]:
    if name in function.__code__.co_freevars:
        cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
        try:
            return cell.cell_contents, True
        except ValueError:
            return None, False
    if name in function.__globals__:
        return function.__globals__[name], True
    if hasattr(builtins, name):
        return getattr(builtins, name), True
    return None, False


def _substitute(text: str, edits, node: ast.FunctionDef) -> str:
    """The text from `def` on, with nodes replaced in place, line structure kept."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]  # columns count bytes
    places = []
    for target, replacement in edits:
        if target is node:  # the function's own name, after `def `
            start = node.col_offset + len("def ")
            places.append((node.lineno, start, start + len(node.name.encode()), replacement))
        else:
            places.append((target.lineno, target.col_offset, target.end_col_offset, replacement))
    for line, start, end, replacement in sorted(places, reverse=True):
        row = lines[line - 1]
        lines[line - 1] = row[:start] + replacement.encode() + row[end:]
    return b"".join(lines[node.lineno - 1 :]).decode()
