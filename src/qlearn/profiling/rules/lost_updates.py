"""A batched update of a table that keeps only one of two updates to the same entry."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "lost-updates"
WHY = (
    "Where a batch holds the same state and action twice, indexing reads the old value for both and "
    "keeps what is written last: the other updates are lost. np.add.at, or index_put_ with "
    "accumulate=True, adds them all."
)


def find(facts: Facts) -> Iterator[Finding]:
    for site in facts.sites(ast.Assign, ast.AugAssign):
        target = site.node.targets[0] if isinstance(site.node, ast.Assign) else site.node.target
        if not isinstance(target, ast.Subscript) or (
            not site.loops and not _called_often(facts, site)
        ):
            continue
        table = patterns.name_of(target.value)
        if (
            not table
            or not _updates_itself(facts, site, table)
            or not _by_arrays(facts, site, target)
        ):
            continue
        seconds = patterns.around(facts, site)
        size = max(patterns.size_of(facts, site, part) for part in _parts(target))
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{size} updates of {table} at once, of which those to the same entry are lost; "
            f"{site.function} takes " + telling.amount(facts, seconds, None),
            _fix(facts, site, target, table),
            seconds=seconds,
            sizes={
                "batch": size,
                "shape": patterns.shape_of(patterns.seen(facts, site, target.value)),
            },
            faster=False,
        )


def _called_often(facts: Facts, site) -> bool:
    function = patterns.function_of(facts, site.file, site.node)
    return function is not None and (function.calls or 0) >= 10


def _updates_itself(facts: Facts, site, table: str) -> bool:
    """The table's own entries go into the new value, at once or by way of a name."""
    if isinstance(site.node, ast.AugAssign):
        return True
    names = set(patterns.names_below(site.node.value))
    scope, source = patterns.scope_of(facts, site.file, site.node), facts.source(site.file)
    given = (value for name in names for value in source.assigned(name, scope))
    return table in names or any(table in set(patterns.names_below(value)) for value in given)


def _parts(target: ast.Subscript) -> list[ast.expr]:
    return target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]


def _by_arrays(facts: Facts, site, target: ast.Subscript) -> bool:
    """Every index an array of integers, none of them counting up: those would be all different."""
    parts = _parts(target)
    things = [patterns.seen(facts, site, _indexed(part)) for part in parts]
    if not all(patterns.is_array(thing) for thing in things) or _counts_up(facts, site.file, parts):
        return False
    return not any(
        "bool" in str(thing.detail.get("dtype")) for thing in things if thing is not None
    )


def _indexed(part: ast.expr) -> ast.expr:
    """states of states[:, 0]."""
    root = patterns.root_of(part)
    return root if isinstance(root, ast.expr) else part


def _counts_up(facts: Facts, file: str, parts: list[ast.expr]) -> bool:
    source = facts.source(file)
    for part in parts:
        for value in source.assigned(patterns.name_of(part) or "?"):
            if isinstance(value, ast.Call) and source.resolve(value).endswith(
                (".arange", ".unique")
            ):
                return True
    return False


def _fix(facts: Facts, site, target: ast.Subscript, table: str) -> str:
    source = facts.source(site.file)
    index = source.text(target.slice)
    thing = patterns.seen(facts, site, target.value)
    if thing is not None and thing.kind == "Tensor":
        after = f"{table}.index_put_(({index}), alpha * errors, accumulate=True)"
    else:
        after = f"np.add.at({table}, ({index}), alpha * errors)"
    return telling.diff(site.text, f"errors = targets - {table}[{index}]\n{after}")
