"""What the rules ask of a run and its tree: names, who runs how often, what is a table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlearn.profiling.facts import Facts, Function, Seen, Site

ARRAYS = ("ndarray", "Tensor")
NUMBERS = ("float", "int", "float64", "float32", "bool")
LEAST_BATCH = 8


# --- the tree


def name_of(node: ast.AST) -> str:
    """`self.Q` of the node self.Q; nothing where it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = name_of(node.value)
        return f"{above}.{node.attr}" if above else ""
    return ""


def names_below(node: ast.AST) -> Iterator[str]:
    for below in ast.walk(node):
        if isinstance(below, (ast.Name, ast.Attribute)) and (name := name_of(below)):
            yield name


def calls_below(node: ast.AST) -> Iterator[ast.Call]:
    return (below for below in ast.walk(node) if isinstance(below, ast.Call))


def root_of(node: ast.AST) -> ast.AST:
    """What is subscripted: Q of Q[s][a]."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def scope_of(facts: Facts, file: str, node: ast.AST) -> ast.AST:
    """The def around the node, or the module."""
    return facts.source(file).function_of(node) or facts.tree(file)


def scope_name(facts: Facts, file: str, node: ast.AST) -> str:
    source = facts.source(file)
    return source.qualname(source.function_of(node))


def statement_text(facts: Facts, site: Site) -> str:
    """The statement's own lines; a compound one's first line."""
    source = facts.source(site.file)
    text = source.text(source.statement(site.node))
    return text if text.count("\n") < 6 else text.splitlines()[0] + " ..."


def values_of(facts: Facts, file: str, node: ast.AST) -> list[ast.expr]:
    name = name_of(node)
    return list(facts.source(file).assigned(name)) if name else []


def user_files(facts: Facts) -> list[str]:
    return list(dict.fromkeys(function.file for function in facts.functions))


# --- what a name held


def seen(facts: Facts, site: Site, node: ast.AST, *kinds: str) -> Seen | None:
    name = name_of(node)
    return facts.seen(scope_name(facts, site.file, site.node), name, *kinds) if name else None


def shape_of(thing: Seen | None) -> tuple[int, ...]:
    return tuple(thing.detail.get("shape") or ()) if thing is not None else ()


def is_array(thing: Seen | None) -> bool:
    """Holds several numbers."""
    return thing is not None and thing.kind in ARRAYS and shape_of(thing) not in ((), (1,))


def size_of(facts: Facts, site: Site, node: ast.AST) -> int:
    """How many entries a name held; of what was never looked at, how many it is made of."""
    thing = seen(facts, site, node)
    if thing is not None and (thing.size or thing.kind in NUMBERS):
        return 0 if thing.kind in NUMBERS else thing.size
    made = [
        v
        for v in values_of(facts, site.file, node)
        if isinstance(v, (ast.List, ast.Tuple, ast.Set))
    ]
    return max((len(value.elts) for value in made), default=0)


# --- how often


def function_of(facts: Facts, file: str, node: ast.AST) -> Function | None:
    name = scope_name(facts, file, node)
    return next((f for f in facts.functions if f.file == file and f.name == name), None)


def executions(facts: Facts, site: Site) -> float:
    """How often an expression without a call of its own ran: as often as the calls beside it."""
    source = facts.source(site.file)
    times = 1.0
    for loop in source.loops(site.node):
        beside = [
            facts.site_of(site.file, call).calls or 0
            for call in calls_below(loop)
            if loop in source.loops(call)[:1]
        ]
        if beside and max(beside) > 0:
            return times * max(beside)
        times *= trips(facts, site, loop)
    function = function_of(facts, site.file, site.node)
    return times * (function.calls or 1 if function is not None else 1)


def trips(facts: Facts, site: Site, loop: ast.AST) -> int:
    """How often a loop goes round each time it is met, where that can be told."""
    if isinstance(loop, (ast.For, ast.AsyncFor)):
        return length_of(facts, site, loop.iter)
    generators = getattr(loop, "generators", [])
    times = 1
    for generator in generators:
        times *= length_of(facts, site, generator.iter)
    return times


def length_of(facts: Facts, site: Site, iterated: ast.AST) -> int:
    if isinstance(iterated, (ast.Tuple, ast.List, ast.Set)):
        return len(iterated.elts)
    if isinstance(iterated, ast.Call) and iterated.args:
        called, last = name_of(iterated.func), iterated.args[-1]
        if called == "range" and isinstance(last, ast.Constant) and isinstance(last.value, int):
            return last.value
        if called == "range" and (number := seen(facts, site, last)) is not None:
            value = number.detail.get("value")
            return value if isinstance(value, int) else 1
        if called in ("range", "len", "enumerate", "zip", "reversed"):
            return length_of(facts, site, iterated.args[0])
        return 1
    return max(size_of(facts, site, iterated), 1)


def around(facts: Facts, site: Site) -> float:
    """Seconds of the code that a fault of learning spoils: its function, or its outermost loop."""
    source = facts.source(site.file)
    function = function_of(facts, site.file, site.node)
    if source.function_of(site.node) is not None and function is not None:
        return function.seconds
    loops = source.loops(site.node)
    return facts.site_of(site.file, loops[-1]).seconds if loops else site.seconds


def over_a_batch(facts: Facts, loop: Site) -> bool:
    """Of range(len(dones)), enumerate(batch), zip(states, ...), or of transitions."""
    target, iterated = loop.node.target, loop.node.iter
    names = set(names_below(iterated))
    if any("batch" in name.lower() for name in names):
        return True
    if isinstance(iterated, ast.Call) and name_of(iterated.func) in (
        "range",
        "enumerate",
        "zip",
    ):
        held = [n for n in ast.walk(iterated) if size_of(facts, loop, n) >= LEAST_BATCH]
        return bool(held) and (name_of(iterated.func) != "range" or "len" in names)
    return isinstance(target, ast.Tuple) and len(target.elts) >= 4


# --- tables


def tables(facts: Facts, file: str) -> set[str]:
    """Names of Q-tables: what a maximum is taken of by state."""
    calls = calls_below(facts.tree(file))
    return {name for call in calls for name in _maximised(call)} - {""}


def _maximised(call: ast.Call) -> Iterator[str]:
    """Q of max(Q[s]), np.argmax(Q[s]), Q[s].max(), max(Q[s, a] for a in actions)."""
    function = call.func
    last = (
        name_of(function).rsplit(".", 1)[-1] if name_of(function) else getattr(function, "attr", "")
    )
    if last not in ("max", "argmax", "amax", "amin", "maximum", "index"):
        return
    looked_at = [*call.args, *([function.value] if isinstance(function, ast.Attribute) else [])]
    for part in looked_at:
        part = getattr(part, "elt", part)
        if isinstance(part, ast.Subscript):
            yield name_of(root_of(part))


def dict_tables(facts: Facts, file: str) -> Iterator[Site]:
    """Places that reach into a dict which is keyed by tuples, or by texts made of states, and
    written to while running."""
    written = _written(facts.tree(file))
    for site in facts.sites(ast.Subscript):
        if site.file != file or name_of(site.node.value) not in written:
            continue
        thing = seen(facts, site, site.node.value)
        if thing is not None and "dict" in thing.kind.lower() and _keyed_by_tuples(thing, site):
            yield site


def _written(tree: ast.AST) -> set[str]:
    """Names whose entries are set, and those that are given what such a name holds."""
    found, given = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.add(name_of(root_of(node)))
        elif isinstance(node, ast.Assign):
            given.append((set(names_below(node.value)), [name_of(t) for t in node.targets]))
    for names, targets in given:
        if names & found:
            found.update(targets)
    return found - {""}


def _keyed_by_tuples(thing: Seen, site: Site) -> bool:
    key, index = thing.detail.get("key"), site.node.slice
    if key == "str":
        return isinstance(index, ast.Call) and name_of(index.func) in ("str", "repr")
    return key == "tuple" or (key is None and isinstance(index, ast.Tuple))
