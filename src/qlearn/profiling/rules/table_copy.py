"""The whole table copied again and again."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "table-copy"
WHY = (
    "A step changes one entry, and the copy touches every one: its cost grows with the table. "
    "Q-learning needs no second table: write the new value where the old one was."
)
COPIES = ("*.copy", "copy.copy", "copy.deepcopy", "numpy.copy", "dict", "*.clone")


def find(facts: Facts) -> Iterator[Finding]:
    for site in facts.calls_to(*COPIES):
        copied = _copied(site.node)
        if not site.loops or not patterns.name_of(copied):
            continue
        thing = patterns.seen(facts, site, copied)
        if not _is_table(facts, site, copied):
            continue
        size = thing.size if thing is not None else 0
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{site.text} copies {size or 'all'} entries: "
            + telling.amount(facts, site.seconds, site.calls),
            _fix(facts, site, copied),
            sizes={
                "kind": thing.kind if thing is not None else "dict",
                "entries": size,
                "shape": patterns.shape_of(thing),
                "deep": "deepcopy" in site.text,
            },
        )


def _copied(call: ast.Call) -> ast.AST:
    return call.args[0] if call.args else getattr(call.func, "value", call.func)


def _is_table(facts: Facts, site, copied: ast.AST) -> bool:
    tables = patterns.tables(facts, site.file) | {
        patterns.name_of(s.node.value) for s in patterns.dict_tables(facts, site.file)
    }
    return bool(({patterns.name_of(copied)} | _targets(facts, site)) & tables)


def _targets(facts: Facts, site) -> set[str]:
    statement = facts.source(site.file).statement(site.node)
    return {patterns.name_of(t) for t in getattr(statement, "targets", [])} - {""}


def _fix(facts: Facts, site, copied: ast.AST) -> str:
    old = next(iter(_targets(facts, site)), "Q")
    new = patterns.name_of(copied)
    return telling.diff(
        f"{new}[state, action] = value\n{patterns.statement_text(facts, site)}",
        f"{old}[state, action] = value",
    )


def proof(finding: Finding) -> Proof:
    entries = max(finding.sizes["entries"], 4)
    kind = finding.sizes["kind"]
    if kind in patterns.ARRAYS:
        shape = tuple(finding.sizes["shape"])
        setup = f"import numpy as np\nQ = np.zeros({shape})\nat = {(0,) * len(shape)}"
    elif kind == "list":
        setup = f"Q = [[0.0] * 4 for _ in range({entries})]\nat = 1\nvalue = Q[1]"
    else:
        setup = f"Q = {{(i, 0, i % 4): 0.0 for i in range({entries})}}\nat = (1, 0, 1)"
    copying = "copy.deepcopy(Q)" if finding.sizes["deep"] else "Q.copy()"
    return Proof(
        f"import copy\n{setup}\nvalue = Q[at]", f"Q[at] = value\nold = {copying}", "Q[at] = value"
    )
