"""A file's syntax tree as a profile needs it: what stands at a position, and what names mean."""

from __future__ import annotations

import ast
import builtins
import os
import re
import sysconfig
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import qlearn

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor, ast.While, *COMPREHENSIONS)
LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)  # what follows may not be run
UNNAMED = "?"  # a value without a name, as `f(x)` in `f(x).copy`

Function = ast.FunctionDef | ast.AsyncFunctionDef
Span = tuple[int, int, int, int]  # line, last line, column, last column: as in a raw frame


class Source:
    """One file of the user's (or of a library's), parsed."""

    def __init__(self, file: str, text: str | None = None) -> None:
        self.file = file
        self.code = Path(file).read_bytes().decode("utf-8", "replace") if text is None else text
        self.tree = ast.parse(self.code, file)
        self._lines = self.code.replace("\r\n", "\n").encode().split(b"\n")
        self._parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }
        self._at: dict[Span, ast.AST] = {}
        self._qualnames = dict(_qualnames(self.tree, ""))
        self.imports = _imports(self.tree)
        self._aliases: dict[str, dict[ast.AST | None, str | None]] = {}
        self._aliases |= self._find_aliases(dotted=False)
        self._aliases |= self._find_aliases(dotted=True)
        self._bound = _bound(self.tree)

    @cached_property
    def _blocks(self) -> dict[int, int]:
        return _blocks(self.tree)

    # --- places

    def node_at(self, line: int, end_line: int, col: int, end_col: int) -> ast.AST:
        """The innermost node that spans the position; its statement where columns are unknown."""
        span = (line, end_line, col, end_col)
        if span not in self._at:
            self._at[span] = _innermost(self.tree, span)
        return self._at[span]

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """From the node's parent to the module."""
        while (above := self._parents.get(node)) is not None:
            yield above
            node = above

    def statement(self, node: ast.AST) -> Any:
        """The statement that the node is or stands in; the module of what is neither."""
        if isinstance(node, ast.stmt):
            return node
        return next((n for n in self.parents(node) if isinstance(n, ast.stmt)), self.tree)

    def function_of(self, node: ast.AST) -> Function | None:
        """The def around the node; None at the module's level. A lambda belongs to its def."""
        inside = node
        for above in self.parents(node):
            if isinstance(above, FUNCTIONS) and inside not in above.decorator_list:
                return above
            inside = above
        return None

    def qualname(self, node: ast.AST | None) -> str:
        """A def's or class's name as Python says it; `<module>` for what is in none."""
        return self._qualnames.get(node, "<module>") if node is not None else "<module>"

    def functions(self) -> Iterator[tuple[str, Function]]:
        for node, name in self._qualnames.items():
            if isinstance(node, FUNCTIONS):
                yield name, node

    def owner(self, first_line: int, name: str) -> Function | None:
        """The def that a code object belongs to, by its first line; comprehensions to theirs."""
        short = name.rsplit(".", 1)[-1]
        if short == "<module>":
            return None
        for _, node in self.functions():
            if node.name == short and _first_line(node) <= first_line <= node.lineno:
                return node
        inside = _innermost(self.tree, (first_line, first_line, -1, -1))
        return inside if isinstance(inside, FUNCTIONS) else self.function_of(inside)

    def loops(self, node: ast.AST) -> list[ast.AST]:
        """The loops that repeat the node within its function, the innermost first."""
        inside, stop = node, self.function_of(node)
        found: list[ast.AST] = []
        first = True
        for above in self.parents(node):
            if above is stop:
                break
            if isinstance(above, ast.comprehension):
                first = inside is above.iter
            elif isinstance(above, COMPREHENSIONS):
                if inside is not above.generators[0] or not first:
                    found.append(above)
            elif _repeats(above, inside):
                found.append(above)
            inside = above
        return found

    def block(self, line: int) -> int:
        """The first line of the straight block that a line is in: they run equally often."""
        return self._blocks.get(line, line)

    def text(self, node: ast.AST) -> str:
        if not hasattr(node, "lineno"):
            return self.code if node is self.tree else ast.unparse(node)
        first, last = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
        lines = self._lines[first : last + 1]
        lines[-1] = lines[-1][: node.end_col_offset]  # type: ignore[attr-defined]
        lines[0] = lines[0][node.col_offset :]  # type: ignore[attr-defined]
        return b"\n".join(lines).decode("utf-8", "replace")

    # --- names

    def resolve(self, node: ast.AST) -> str:
        """A dotted name through imports and aliases: `np.random.choice` is numpy.random.choice.

        A call is what it calls; `?` stands for what has no name.
        """
        if isinstance(node, ast.Call):
            return self.resolve(node.func)
        if isinstance(node, ast.Name):
            return self._alias(node, node.id) or self.imports.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            known = self._alias(node, _plain(node) or "")
            above = UNNAMED if isinstance(node.value, ast.Call) else self.resolve(node.value)
            return known or f"{above}.{node.attr}"
        return UNNAMED

    def is_builtin(self, name: str) -> bool:
        return hasattr(builtins, name) and name not in self._bound

    def assigned(self, name: str, within: ast.AST | None = None) -> Iterator[ast.expr]:
        """Every value that a name ("Q", "self.Q") is given, there or anywhere in the file."""
        for node in ast.walk(within or self.tree):
            for target, value in _assignments(node):
                if value is not None and _plain(target) == name:
                    yield value

    def _alias(self, node: ast.AST, name: str) -> str | None:
        """What a name stands for where the node is: in its def, or in one around that."""
        known = self._aliases.get(name, {})
        scope: ast.AST | None = self.function_of(node) if known else None
        while scope is not None and scope not in known:
            scope = self.function_of(scope)
        return known.get(scope)

    def _find_aliases(self, dotted: bool) -> dict[str, dict[ast.AST | None, str | None]]:
        """`choice = np.random.choice`, `def act(rand=random)`, or of attributes `self.rng = rand`:
        by the def that knows the name; None where it is given anything else besides."""
        given: dict[str, dict[ast.AST | None, set[str | None]]] = {}
        for node in ast.walk(self.tree):
            for target, value in (*_assignments(node), *_defaults(node)):
                name = _plain(target) or ""
                if name and dotted == ("." in name):
                    scopes = given.setdefault(name, {})
                    scope = None if dotted else self._scope(node, name)
                    scopes.setdefault(scope, set()).add(self._imported(value))
        return {
            name: {
                scope: next(iter(found)) if len(found) == 1 else None
                for scope, found in scopes.items()
            }
            for name, scopes in given.items()
            if any(found != {None} for found in scopes.values())
        }

    def _scope(self, node: ast.AST, name: str) -> ast.AST | None:
        """The def that a name given a value here belongs to."""
        scope = node if isinstance(node, FUNCTIONS) else self.function_of(node)
        below = ast.walk(scope) if scope is not None else ()
        return None if any(isinstance(b, ast.Global) and name in b.names for b in below) else scope

    def _imported(self, value: ast.expr | None) -> str | None:
        """numpy.random of np.random, and of what stands for it; None of what was not imported."""
        plain = _plain(value) if value is not None else None
        if plain is None or value is None:
            return None
        root = plain.partition(".")[0]
        return self.resolve(value) if root in self.imports or self._alias(value, root) else None


def source_of(file: str) -> Source | None:
    """The file's source as it is now; None where it cannot be read or is no Python."""
    try:
        known = os.stat(file)
        return _parsed(file, known.st_mtime_ns, known.st_size)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


@lru_cache(maxsize=512)
def _parsed(file: str, modified: int, size: int) -> Source:
    return Source(file)


def words(name: str) -> list[str]:
    """`update_target`, `updateTarget` and `UpdateTarget` are both update and target."""
    return [word.lower() for word in _WORD.findall(name)]


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")


def last_name(node: ast.AST) -> str:
    """`Q` of Q, self.Q, self.Q[s], self.Q.copy()."""
    while True:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return node.attr
        if isinstance(node, ast.Call):
            node = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        elif isinstance(node, (ast.Subscript, ast.Starred, ast.Await)):
            node = node.value
        else:
            return ""


def names_in(node: ast.AST) -> set[str]:
    """The words of every name and attribute below a node."""
    found: set[str] = set()
    for below in ast.walk(node):
        if isinstance(below, ast.Name):
            found.update(words(below.id))
        elif isinstance(below, ast.Attribute):
            found.update(words(below.attr))
    return found


# --- files

_PACKAGES = ("site-packages", "dist-packages")
_OURS = Path(qlearn.__file__).parent
_STANDARD = sorted(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}, key=len, reverse=True
)


@lru_cache(maxsize=4096)
def library(file: str) -> str | None:
    """The module a file is in ("torch.optim.adam"); None for a file of the user's."""
    if file.startswith("<") or file == "~":  # "~": a C function, to cProfile
        return file.strip("<>").removeprefix("frozen ").split(" ")[0] or UNNAMED
    path = Path(file)
    if path.is_relative_to(_OURS):
        return _module(Path("qlearn", path.relative_to(_OURS)))
    parts = path.parts
    for folder in _PACKAGES:
        if folder in parts:
            return _module(Path(*parts[len(parts) - parts[::-1].index(folder) :]))
    for folder in _STANDARD:
        if path.is_relative_to(folder):
            return _module(path.relative_to(folder))
    return None


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- the tree


def _repeats(above: ast.AST, inside: ast.AST) -> bool:
    """A loop that goes over the node again and again: its test or body, not what it goes over."""
    if isinstance(above, ast.While):
        return inside not in above.orelse
    looped = isinstance(above, (ast.For, ast.AsyncFor)) and inside is not above.iter
    return looped and inside not in above.orelse  # type: ignore[attr-defined]


def _blocks(tree: ast.Module) -> dict[int, int]:
    """For the line of each statement: the one that the straight block around it begins with."""
    found: dict[int, int] = {}
    for node in ast.walk(tree):  # from outside in: of two statements in a line, the outer
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, [])
            first = None
            for statement in statements if isinstance(statements, list) else ():
                if isinstance(statement, (*LOOPS, ast.Try)):  # ran as often as it went round
                    found.setdefault(statement.lineno, statement.lineno)
                else:
                    first = statement.lineno if first is None else first
                    found.setdefault(statement.lineno, first)
                if any(isinstance(below, LEAVES) for below in ast.walk(statement)):
                    first = None
    return found


def _first_line(node: Function) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _innermost(node: ast.AST, span: Span) -> ast.AST:
    below = node
    while below is not None:
        node, below = below, _child_around(below, span)  # type: ignore[assignment]
    return node


def _child_around(node: ast.AST, span: Span) -> ast.AST | None:
    for child in ast.iter_child_nodes(node):
        if not hasattr(
            child, "lineno"
        ):  # arguments, comprehension, withitem: no place of their own
            found = _child_around(child, span)
            if found is not None:
                return found
        elif _around(child, span):
            return child
    return None


def _around(node: ast.AST, span: Span) -> bool:
    line, end_line, col, end_col = span
    first = _first_line(node) if isinstance(node, FUNCTIONS) else node.lineno  # type: ignore[attr-defined]
    last: int = node.end_lineno  # type: ignore[attr-defined]
    if end_col <= 0:  # columns unknown
        return isinstance(node, (ast.stmt, ast.ExceptHandler)) and first <= line <= last
    begins = (first, node.col_offset) if first == node.lineno else (first, 0)  # type: ignore[attr-defined]
    return begins <= (line, col) and (end_line, end_col) <= (last, node.end_col_offset)  # type: ignore[attr-defined]


def _qualnames(node: ast.AST, prefix: str) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            name = prefix + child.name
            yield child, name
            local = ".<locals>." if isinstance(child, FUNCTIONS) else "."
            yield from _qualnames(child, name + local)
        else:
            yield from _qualnames(child, prefix)


def _imports(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                found[alias.asname or alias.name] = f"{module}.{alias.name}"
    return found


def _bound(tree: ast.Module) -> set[str]:
    """Every name that the file itself gives a meaning."""
    found = set(_imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """(target, value) of every name that a statement gives a value; None: no single value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                yield from _unpacked(target, node.value)
            else:
                yield target, node.value
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
        yield node.target, node.value
    elif isinstance(node, ast.AugAssign):
        yield node.target, None
    elif isinstance(node, (ast.For, ast.comprehension)):
        yield from _unpacked(node.target, None)


def _defaults(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """(name, default) of every parameter of a def; None: it has no default."""
    if not isinstance(node, FUNCTIONS):
        return
    taken = node.args
    places = [*taken.posonlyargs, *taken.args]
    without = [None] * (len(places) - len(taken.defaults))
    for arg, value in (
        *zip(places, [*without, *taken.defaults], strict=True),
        *zip(taken.kwonlyargs, taken.kw_defaults, strict=True),
    ):
        yield ast.Name(arg.arg, ast.Store()), value


def _unpacked(
    target: ast.expr, value: ast.expr | None
) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    if not isinstance(target, (ast.Tuple, ast.List)):
        yield target, None
        return
    values: list[ast.expr | None] = [None] * len(target.elts)
    if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
        values = list(value.elts)
    yield from zip(target.elts, values, strict=True)


def _plain(node: ast.AST) -> str | None:
    """`self.Q` of the node self.Q; None of anything that is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = _plain(node.value)
        return above and f"{above}.{node.attr}"
    return None
