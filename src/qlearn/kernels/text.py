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
import re
import sys
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
    given: Mapping[Callable, str] = field(default_factory=dict)  # what the preamble defines
    imported: Mapping[Callable, str] = field(default_factory=dict)  # modules that define the rest
    _names: dict[Callable, str] = field(default_factory=dict)
    _constants: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._names.update(self.given)
        self._taken.update({"math", "numpy", *dir(builtins)})
        self._lines = self.preamble.count("\n")

    @property
    def names(self) -> set[str]:
        """What the module's functions are called."""
        return set(self._names.values())

    def render(self) -> str:
        return self.preamble + "".join(self._chunks)

    def add(self, function: Callable, decorator: str | None = None) -> str:
        """Adds a function and what it reaches; gives the name it has in the module."""
        function = plain(self.bind.get(function, function))
        if function in self._names:
            return self._names[function]
        name = self._names[function] = self._reserve(function.__name__)
        if function in self.imported:
            self.add_line(f"from {self.imported[function]} import {function.__name__} as {name}")
            return name
        text, first_line = source_of(function)
        node = ast.parse(text).body[0]
        assert isinstance(node, ast.FunctionDef)
        body = _substitute(text, [*self._edits(function, node), (_NameOf(node), name)], node)
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
        for default, value in _defaults(function, node):
            literal = literal_of(value)
            if literal is None:
                raise _at(function, default, _why_not("default", value))
            yield default, literal
        for child, local in _inside(ast.Module(node.body, []), _bound_names(node)):
            if isinstance(child, ast.Global | ast.Nonlocal):
                raise _at(function, child, "changes a global; keep what changes in `state`")
            if isinstance(child, ast.Import | ast.ImportFrom):
                raise _at(function, child, "imports; do that at the top of the file")
            if isinstance(child, ast.JoinedStr):
                # Compiled code formats no text: a message shows the names of what it would show.
                yield child, repr(ast.unparse(child)[2:-1])
            chain = _chain(child)
            if chain and chain[0] not in local:
                if not isinstance(getattr(child, "ctx", None), ast.Load):
                    raise _at(function, child, f"changes {'.'.join(chain)}; keep it in `state`")
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
        while used < len(chain) and _has_constants(value):
            if not hasattr(value, chain[used]):
                raise _at(function, child, f"uses '{'.'.join(chain)}', which does not exist")
            value = getattr(value, chain[used])
            used += 1
        name = ".".join(chain[:used])
        if _draws(value) or (_is_library(value) and chain[used : used + 1] == ["random"]):
            dotted = ".".join(chain)
            raise _at(function, child, f"draws from '{dotted}'; draw from `rng` with qlearn.rng")
        replacement = self._express(function, child, name, value)
        if replacement != name:
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
            own = getattr(value, "__name__", "")
            if home.split(".")[0] == "numpy" and own:
                known = getattr(sys.modules.get(home), own, None) is value
                return f"{home if known else 'numpy'}.{own}"
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
    """The plain function behind a dispatcher or a static method, or itself; no bound method."""
    function = getattr(function, "py_func", function)
    if isinstance(function, staticmethod):
        function = function.__func__
    return function if isinstance(function, types.FunctionType) else None


def source_of(function: types.FunctionType) -> tuple[str, int]:
    """A function's dedented text and the number of its first line."""
    if hasattr(function, "__wrapped__"):
        raise UserError(
            f"{function.__wrapped__.__code__.co_filename}:"
            f"{function.__wrapped__.__code__.co_firstlineno}: a decorator has put another function"
            f" in the place of '{function.__qualname__}', which cannot be compiled"
        )
    linecache.checkcache(function.__code__.co_filename)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise UserError(
            f"the text of '{function.__qualname__}' is not to be found; put it in a file"
        ) from None
    # By the first line's indentation alone: comments and long strings may stand further left.
    indentation = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    text = "".join(line.removeprefix(indentation) for line in lines)
    if not text.endswith("\n"):
        text += "\n"
    if not text.startswith(("def ", "@")):
        raise UserError(f"'{function.__qualname__}' must be written with `def`")
    if not re.search(rf"^def\s+{function.__name__}\b", text, re.MULTILINE):
        raise UserError(
            f"{function.__code__.co_filename} was edited while this process runs; start it again"
        )
    return text, first


def literal_of(value: Any) -> str | None:
    """A global constant as an expression, or None where it cannot be one."""
    import numpy as np

    if isinstance(value, enum.Enum):
        return literal_of(value.value)
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, np.generic):
        if value.dtype.kind not in "biuf":
            return None
        return f"numpy.{value.dtype.type.__name__}({literal_of(value.item())})"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, tuple):
        parts = [literal_of(part) for part in value]
        if any(part is None for part in parts):
            return None
        return "(" + "".join(f"{part}, " for part in parts) + ")"
    if isinstance(value, np.ndarray) and value.size <= LARGEST_ARRAY and value.dtype.kind in "biuf":
        numbers = repr(value.tolist()).replace("nan", "numpy.nan").replace("inf", "numpy.inf")
        return f"numpy.array({numbers}, dtype=numpy.{value.dtype.type.__name__})"
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


def _has_constants(value: Any) -> bool:
    """Whether `value.name` is looked up now; what is left is the compiler's."""
    named_tuple = isinstance(value, tuple) and hasattr(value, "_fields")
    return named_tuple or (
        isinstance(value, types.ModuleType | type | enum.Enum) and not _is_library(value)
    )


def _draws(value: Any) -> bool:
    """Whether it is a random generator other than a copy's own stream."""
    home = type(getattr(value, "__self__", None)).__module__
    return home == "random" or home.startswith("numpy.random")


@dataclass
class _NameOf:
    """The place of a function's own name, after its `def`."""

    node: ast.FunctionDef


_SCOPES = (
    ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def _inside(node: ast.AST, local: frozenset[str]):
    """(node, the names that are local there) for all that is run, dotted chains whole."""
    if isinstance(node, _SCOPES):
        local |= _bound_names(node)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child, local
                if not _chain(child) and not isinstance(child, ast.JoinedStr):
                    yield from _inside(child, local)


def _bound_names(scope: ast.AST) -> frozenset[str]:
    """The parameters and variables of a scope, those of scopes inside it left out."""
    names: set[str] = set()
    children = list(ast.iter_child_nodes(scope))
    for child in children:
        if isinstance(child, ast.arg):
            names.add(child.arg)
        elif isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load):
            names.add(child.id)
        elif isinstance(child, ast.FunctionDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            names.add(child.name or "")
        if not isinstance(child, _SCOPES):
            children += ast.iter_child_nodes(child)
    return frozenset(names)


def _defaults(function: types.FunctionType, node: ast.FunctionDef):
    """(node, value) for the default values of a function's own parameters."""
    yield from zip(node.args.defaults, function.__defaults__ or (), strict=False)
    for parameter, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is not None:
            yield default, (function.__kwdefaults__ or {})[parameter.arg]


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
    lines = [f"{line}\n".encode() for line in text.split("\n")[:-1]]  # columns count bytes
    places = []
    for target, replacement in edits:
        if isinstance(target, _NameOf):
            name = node.name.encode()
            start = lines[node.lineno - 1].index(name, node.col_offset + len("def "))
            places.append((node.lineno, start, node.lineno, start + len(name), replacement))
        else:
            places.append((
                target.lineno, target.col_offset, target.end_lineno, target.end_col_offset,
                replacement,
            ))  # fmt: skip
    for line, start, last, end, replacement in sorted(places, reverse=True):
        rest = lines[last - 1][end:]
        lines[line - 1] = lines[line - 1][:start] + replacement.encode()
        for gone in range(line, last):  # what spanned lines still does, in brackets or after \\
            lines[gone - 1] += b" \\\n"
            lines[gone] = b""
        lines[last - 1] += rest
    return b"".join(lines[node.lineno - 1 :]).decode()
