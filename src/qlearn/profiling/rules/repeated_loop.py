"""Two loops over the same actions that read the same values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "repeated-loop"
WHY = (
    "The second loop reads what the first one had in its hands, and in Python the looking up and the "
    "looping cost more than the arithmetic. One loop, or one list of the values, serves both."
)
LOOPS = (ast.For, ast.GeneratorExp, ast.ListComp)


def find(facts: Facts) -> Iterator[Finding]:
    seen_already: set[ast.AST] = set()
    for first, second in _pairs(facts):
        if second.node in seen_already or first.node in seen_already:
            continue
        seen_already.update((first.node, second.node))
        cheaper = min((first, second), key=lambda s: s.seconds)
        yield telling.finding(
            facts,
            RULE,
            WHY,
            second,
            f"the loop in line {first.line} reads the same values; the cheaper of both takes "
            + telling.amount(facts, cheaper.seconds, None),
            _fix(facts, first, second),
            seconds=cheaper.seconds,
            parts=[cheaper],
            sizes={"entries": max(patterns.trips(facts, first, first.node), 2)},
        )


def _pairs(facts: Facts) -> Iterator[tuple]:
    sites = [s for s in facts.sites(*LOOPS) if s.loops and _over(s.node) and _reads(s.node)]
    sites.sort(key=lambda s: (s.file, s.line))
    for first, second in combinations(sites, 2):
        together = (first.file, first.function) == (second.file, second.function)
        same = together and _over(first.node) == _over(second.node)
        if same and _apart(facts, first, second) and _reads(first.node) & _reads(second.node):
            yield first, second


def _iterated(node: Any) -> ast.AST:
    return node.iter if isinstance(node, ast.For) else node.generators[0].iter


def _target(node: Any) -> ast.AST:
    return node.target if isinstance(node, ast.For) else node.generators[0].target


def _over(node: ast.AST) -> str:
    """What it loops over; batches, which are made of names bound in between, left out."""
    iterated = _iterated(node)
    named = patterns.name_of(iterated) or isinstance(iterated, (ast.Tuple, ast.List))
    is_range = isinstance(iterated, ast.Call) and patterns.name_of(iterated.func) == "range"
    return ast.dump(iterated) if named or is_range else ""


def _reads(node: ast.AST) -> set[str]:
    """Subscripts and calls with the loop's own variable in them, that variable renamed."""
    target = patterns.name_of(_target(node))
    found = set()
    for below in ast.walk(node):
        if not target or not isinstance(below, (ast.Subscript, ast.Call)):
            continue
        if isinstance(below, ast.Subscript) and not isinstance(below.ctx, ast.Load):
            continue
        direct = below.slice if isinstance(below, ast.Subscript) else ast.Tuple(elts=below.args)
        if target in set(patterns.names_below(direct)) and _reads_values(below):
            found.add(ast.dump(below).replace(f"id='{target}'", "id='_'"))
    return found


def _reads_values(node: Any) -> bool:
    """A value looked up, rather than something done: append, max, print."""
    if isinstance(node, ast.Subscript):
        return True
    last = patterns.name_of(node.func).rsplit(".", 1)[-1]
    return last not in ("append", "max", "min", "print", "range", "len", "add", "abs", "round", "")


def _apart(facts: Facts, first, second) -> bool:
    """Neither within the other, nor in two branches of the same if."""
    source = facts.source(first.file)
    above_first, above_second = list(source.parents(first.node)), list(source.parents(second.node))
    if first.node in above_second or second.node in above_first:
        return False
    for above in above_first:
        if isinstance(above, ast.If) and above in above_second:
            return _branch(above, above_first, first.node) == _branch(
                above, above_second, second.node
            )
    return True


def _branch(parting: ast.If, chain: list, node: ast.AST) -> bool:
    below = [node, *chain]
    return any(part in below for part in parting.orelse)


def _fix(facts: Facts, first, second) -> str:
    source = facts.source(first.file)
    read = source.text(
        next(
            n
            for n in ast.walk(first.node)
            if isinstance(n, (ast.Subscript, ast.Call))
            and ast.dump(n).replace(f"id='{patterns.name_of(_target(first.node))}'", "id='_'")
            in _reads(first.node) & _reads(second.node)
        )
    )
    target, over = source.text(_target(first.node)), source.text(_iterated(first.node))
    return telling.diff(
        f"{source.text(first.node).splitlines()[0]} ...\n{source.text(second.node).splitlines()[0]} ...",
        f"values = [{read} for {target} in {over}]\nbest = max(values)\naction = values.index(best)",
    )


def proof(finding: Finding) -> Proof:
    entries = finding.sizes["entries"]
    return Proof(
        f"row = [0.1 * a for a in range({entries})]\nactions = list(range({entries}))",
        "best = -1000\nfor a in actions:\n    best = max(best, row[a])\nties = []\n"
        "for a in actions:\n    if row[a] == best:\n        ties.append(a)",
        "values = [row[a] for a in actions]\nbest = max(values)\naction = values.index(best)",
    )
