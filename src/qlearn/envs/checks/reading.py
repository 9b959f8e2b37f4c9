"""The functions' text, read without running it: what it reaches, builds, draws and changes."""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import qlearn
from qlearn.envs.checks.problem import ERROR, WARNING, Problem, from_error, in_function
from qlearn.errors import UserError, closest
from qlearn.kernels.text import ModuleText, _bound_names, _chain, _lookup, plain_or_none, source_of

# What an argument of the environment's functions is, whatever it is called.
ROLES = {
    "reset": ("state", "rng", "world"),
    "step": ("state", "action", "rng", "world"),
    "observe": ("state", "obs", "world"),
    "truncated": ("state", "world"),
    "score": ("state", "world"),
    "measure": ("state", "sums", "world"),
    "reward": ("before", "action", "after", "reward", "terminated"),
}

# Modules whose functions answer differently each time they are asked.
HIDDEN = {
    "random": "draws from {0}, which the seed does not reach; {1}",
    "numpy.random": "draws from {0}, which the seed does not reach; {1}",
    "secrets": "draws from {0}, which the seed does not reach; {1}",
    "uuid": "draws from {0}, which the seed does not reach; {1}",
    "time": "reads the clock ({0}); the same seed must play the same game: count steps in `state`",
    "datetime": "reads the clock ({0}); the same seed must play the same game: count steps in"
    " `state`",
    "os": "asks the system ({0}); the same seed must play the same game",
}
OUR_RANDOM = "use uniform(rng) or integers(rng, n) of qlearn.rng"

ALLOCATING = frozenset({
    "array", "asarray", "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like",
    "full_like", "arange", "linspace", "eye", "identity", "copy", "concatenate", "stack", "vstack",
    "hstack", "tile", "repeat", "append", "roll", "meshgrid",
})  # fmt: skip
ALLOCATING_METHODS = frozenset({"copy", "astype", "flatten", "tolist"})
BUILDING = frozenset({"list", "dict", "set", "sorted", "str", "bytearray", "open", "input"})
FILL_IN_PLACE = "declare an array in `state`, such as ('float64', 4), and fill it in place"
DISPLAYS = {
    ast.List: "a list",
    ast.ListComp: "a list",
    ast.Dict: "a dict",
    ast.DictComp: "a dict",
    ast.Set: "a set",
    ast.SetComp: "a set",
    ast.GeneratorExp: "a generator",
}
NOT_COMPILED = {
    ast.With: "`with`",
    ast.AsyncWith: "`with`",
    ast.Yield: "`yield`",
    ast.YieldFrom: "`yield`",
    ast.Await: "`await`",
    ast.Delete: "`del`",
    ast.ClassDef: "a class of its own",
}


@dataclass
class Reading:
    """What the text says, and the files it is spread over."""

    problems: list[Problem]
    files: frozenset[str]
    hidden: bool  # draws or reads what no seed reaches


@dataclass
class Subject:
    """What the text may mention."""

    fields: np.dtype | None
    world: Collection[str] | None
    problems: list[Problem] = field(default_factory=list)
    hidden: bool = False


def read(
    functions: dict[str, Callable],
    fields: np.dtype | None = None,
    world: Collection[str] | None = None,
) -> Reading:
    """Reads these functions (by the names of ROLES) and every function of the user's they reach."""
    subject = Subject(fields, world)
    queue = [
        (plain, dict(zip(inspect.signature(plain).parameters, ROLES[name], strict=False)))
        for name, function in functions.items()
        if (plain := plain_or_none(function)) is not None
    ]
    step = plain_or_none(functions.get("step"))
    if step is not None and _users(step):
        subject.problems.extend(_step_problems(step))
    files, done = set(), set()
    while queue:
        function, roles = queue.pop(0)
        key = (function, tuple(roles.items()))
        if key in done or not _users(function):
            continue
        done.add(key)
        files.add(function.__code__.co_filename)
        node = _parsed(function)
        if node is not None:
            reader = _Reader(function, node, roles, subject)
            reader.read()
            queue.extend(reader.called)
    subject.problems.extend(_cannot_be_collected(functions.values()))
    return Reading(subject.problems, frozenset(files), subject.hidden)


class _Reader(ast.NodeVisitor):
    """One function; `roles` says which of its arguments is the state, the world and so on."""

    def __init__(
        self,
        function: types.FunctionType,
        node: ast.FunctionDef,
        roles: dict[str, str],
        subject: Subject,
    ) -> None:
        self.function, self.node, self.roles, self.subject = function, node, roles, subject
        self.first = source_of(function)[1]
        self.local = _locals(node)
        self.called: list[tuple[types.FunctionType, dict[str, str]]] = []

    def read(self) -> None:
        for statement in self.node.body:
            self.visit(statement)

    def say(self, node: ast.AST, message: str, severity: str = ERROR) -> None:
        line = self.first + getattr(node, "lineno", 1) - 1
        file = self.function.__code__.co_filename
        message = f"{self.function.__name__} {message}"
        self.subject.problems.append(Problem(file, line, message, severity))

    def visit(self, node: ast.AST) -> None:
        if type(node) in DISPLAYS and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            self.say(
                node,
                f"builds {DISPLAYS[type(node)]}, and nothing may be allocated while playing; use a"
                f" tuple, or {FILL_IN_PLACE}",
            )
        elif type(node) in NOT_COMPILED:
            self.say(node, f"uses {NOT_COMPILED[type(node)]}, which cannot be compiled")
        else:
            super().visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.say(node, "imports while playing; import at the top of the file")

    visit_ImportFrom = visit_Import

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)  # an annotation is not evaluated
        if node.value is not None:
            self.visit(node.value)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.target)
        self._visit_constant_list(node.iter)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        for other in node.comparators:
            self._visit_constant_list(other)

    def _visit_constant_list(self, node: ast.expr) -> None:
        """`for x in [1, 2]` and `x in [1, 2]` are compiled as tuples are."""
        if isinstance(node, ast.List):
            self.generic_visit(node)
        else:
            self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        role = self.roles.get(node.id)
        if isinstance(node.ctx, ast.Store) and role in ("state", "obs", "rng", "world"):
            inside = {"obs": f"{node.id}[0] = ...", "state": f"{node.id}.x = ..."}
            hint = f"; write {inside[role]}" if role in inside else ""
            self.say(node, f"assigns to the name {node.id} itself, which changes nothing{hint}")
        elif isinstance(node.ctx, ast.Load):
            self._look_for_hidden(node, [node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain = _chain(node)
        if not chain:
            self.generic_visit(node)
        elif role := self.roles.get(chain[0]):
            self._look_at_field(node, role, chain)
        elif self._changed(node) and chain[0] not in self.local:
            self._says_global(node, chain[0])
        else:
            self._look_for_hidden(node, chain)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        root = node.value
        while isinstance(root, ast.Subscript | ast.Attribute):
            root = root.value
        if isinstance(node.value, ast.Name) and self.roles.get(node.value.id) == "state":
            key = str(node.slice.value) if isinstance(node.slice, ast.Constant) else "x"
            self.say(node, f"reads the state by key; write {node.value.id}.{key}")
        elif self._changed(node) and isinstance(root, ast.Name):
            if self.roles.get(root.id) == "world":
                self._says_world(node)
            elif root.id not in self.local:
                self._says_global(node, root.id)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ALLOCATING_METHODS:
            root = _chain(node.func)
            if root and root[0] in self.local:
                self.say(node, f"allocates an array (.{node.func.attr}()); {FILL_IN_PLACE}")
                return
        value = self._global_value(_chain(node.func))
        if callable(value):
            self._look_at_called(node, value)
        self.generic_visit(node)

    def _look_at_called(self, node: ast.Call, value: Any) -> None:
        name = getattr(value, "__name__", "?")
        numpys = getattr(np, name, None) is value and not hasattr(builtins, name)
        if numpys and name in ALLOCATING:
            self.say(node, f"allocates an array (np.{name}); {FILL_IN_PLACE}")
        elif value is print:
            self.say(node, "prints at every call; take it out before training", WARNING)
        elif getattr(builtins, name, None) is value and name in BUILDING:
            self.say(node, f"uses {name}(), which cannot run in a compiled loop")
        elif (plain := plain_or_none(value)) is not None:
            self.called.append((plain, self._roles_in(plain, node)))

    def _roles_in(self, callee: types.FunctionType, node: ast.Call) -> dict[str, str]:
        """The roles of a helper's arguments, from what it is called with."""
        given = dict(zip(inspect.signature(callee).parameters, node.args, strict=False))
        given |= {word.arg: word.value for word in node.keywords if word.arg}
        return {
            name: self.roles[value.id]
            for name, value in given.items()
            if isinstance(value, ast.Name) and value.id in self.roles
        }

    def _look_at_field(self, node: ast.Attribute, role: str, chain: list[str]) -> None:
        name, whole = chain[1], f"{chain[0]}.{chain[1]}"
        if role == "rng":
            self.say(node, f"uses {whole}; rng is a stream: {OUR_RANDOM}")
        elif role == "world":
            if self._changed(node):
                self._says_world(node)
            elif self.subject.world is not None and name not in self.subject.world:
                hint = closest(name, self.subject.world)
                self.say(node, f"uses {whole}, which is no option and no field of `world`{hint}")
        elif role == "state" and self.subject.fields is not None:
            declared: Mapping[str, Any] = self.subject.fields.fields or {}
            if name not in declared:
                hint = closest(name, declared)
                self.say(node, f"uses {whole}, which `state` does not declare{hint}")
            elif len(chain) == 2 and self._changed(node) and declared[name][0].subdtype:
                self.say(node, f"replaces the array {whole}; write {whole}[:] = ...")

    def _look_for_hidden(self, node: ast.AST, chain: list[str]) -> None:
        if chain[0] in self.local:
            return
        value, found = _lookup(self.function, chain[0])
        for k in range(len(chain)):
            home = _home(value) if found else ""
            for module, words in HIDDEN.items():
                if home == module or home.startswith(module + "."):
                    self.subject.hidden = True
                    self.say(node, words.format(".".join(chain), OUR_RANDOM))
                    return
            if k + 1 < len(chain):
                found = hasattr(value, chain[k + 1])
                value = getattr(value, chain[k + 1], None)

    def _global_value(self, chain: list[str]) -> Any:
        if not chain or chain[0] in self.local:
            return None
        value, found = _lookup(self.function, chain[0])
        for name in chain[1:]:
            value = getattr(value, name, None)
        return value if found else None

    def _changed(self, node: ast.AST) -> bool:
        return isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)

    def _says_world(self, node: ast.AST) -> None:
        self.say(node, "writes to world, which is shared and read-only; declare it in `state`")

    def _says_global(self, node: ast.AST, name: str) -> None:
        self.say(node, f"changes the global '{name}'; keep what changes in `state`")


def _locals(function: ast.FunctionDef) -> frozenset[str]:
    """The variables of a function, those of lambdas and functions inside it with them."""
    scopes = [n for n in ast.walk(function) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    imported = [
        alias.asname or alias.name.split(".")[0]
        for n in ast.walk(function)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for alias in n.names
    ]
    return frozenset(imported).union(*map(_bound_names, scopes))


def _home(value: Any) -> str:
    """The module a value comes from."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        return (owner if isinstance(owner, type) else type(owner)).__module__
    return getattr(value, "__module__", None) or type(value).__module__


def _step_problems(step: types.FunctionType) -> Iterator[Problem]:
    """Returns that no play may reach, and an action that nothing depends on."""
    node = _parsed(step)
    if node is None:
        return
    first = source_of(step)[1]
    for child in _own_nodes(node):
        if isinstance(child, ast.Return):
            given = _described(child.value)
            if given:
                message = f"step must return (reward, terminated), not {given}"
                yield Problem(step.__code__.co_filename, first + child.lineno - 1, message)
    action = [argument.arg for argument in node.args.args][1:2]
    used = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
    if action and not used.intersection(action):
        yield in_function(step, f"step never looks at `{action[0]}`", WARNING)


def _described(value: ast.expr | None) -> str:
    """What a return gives, where it is plainly no pair."""
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return "nothing"
    starred = any(isinstance(node, ast.Starred) for node in ast.walk(value))
    if isinstance(value, ast.Tuple) and len(value.elts) != 2 and not starred:
        return f"{len(value.elts)} values"
    return ""


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)


class _Collector(ModuleText):
    """The real collector of a module's text, going on after what it refuses."""

    def __init__(self) -> None:
        super().__init__({}, lambda function: "")
        self.refused: list[UserError] = []

    def _edits(self, function, node):
        try:
            yield from super()._edits(function, node)
        except UserError as error:
            self.refused.append(error)

    def _resolve(self, function, child, chain):
        try:
            yield from super()._resolve(function, child, chain)
        except UserError as error:
            self.refused.append(error)


def _cannot_be_collected(functions: Collection[Callable]) -> Iterator[Problem]:
    """Names that mean nothing, globals that are no constants, functions without a text."""
    collector = _Collector()
    for function in functions:
        plain = plain_or_none(function)
        if plain is None or not _users(plain):
            continue
        try:
            source_of(plain)
            if _parsed(plain) is not None:
                collector.add(plain)
        except UserError as error:
            collector.refused.append(error)
        for refused in collector.refused:
            code = plain.__code__
            yield from_error(refused, code.co_filename, code.co_firstlineno)
        collector.refused.clear()


def _parsed(function: types.FunctionType) -> ast.FunctionDef | None:
    try:
        node = ast.parse(source_of(function)[0]).body[0]
    except (UserError, SyntaxError):
        return None
    return node if isinstance(node, ast.FunctionDef) else None


def _users(function: types.FunctionType) -> bool:
    """Whether it is the user's, not ours."""
    file = Path(function.__code__.co_filename)
    return Path(qlearn.__file__).parent not in file.parents
