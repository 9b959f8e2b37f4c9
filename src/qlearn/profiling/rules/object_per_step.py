"""An object of the user's class made anew every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "object-per-step"
WHY = (
    "Making an object calls its class, allocates it and its attributes, runs `__init__` and throws "
    "the old one away. One object that is changed, or the bare numbers, need none of that."
)
LEAST_CALLS = 1000


def find(facts: Facts) -> Iterator[Finding]:
    for file in patterns.user_files(facts):
        classes = _plain_classes(facts.tree(file))
        sites = [
            site
            for site in facts.sites(ast.Call)
            if site.file == file
            and patterns.name_of(site.node.func) in classes
            and site.loops
            and (site.calls is None or site.calls >= LEAST_CALLS)
            and isinstance(facts.source(file).parent(site.node), ast.Assign)
        ]
        for name in {patterns.name_of(site.node.func) for site in sites}:
            same = [s for s in sites if patterns.name_of(s.node.func) == name]
            yield _finding(facts, same, classes[name])


def _finding(facts: Facts, sites: list, made: ast.ClassDef) -> Finding:
    worst = max(sites, key=lambda s: s.seconds)
    seconds, calls = patterns.total(sites)
    return patterns.finding(
        facts,
        RULE,
        WHY,
        worst,
        f"a new {made.name} is made "
        + patterns.amount(facts, seconds, calls)
        + patterns.other_lines(s for s in sites if s is not worst),
        _fix(facts, worst),
        seconds=seconds,
        parts=sites,
        sizes={"attributes": len(_attributes(made))},
    )


def _plain_classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Classes without a base of a library's, which have an `__init__`."""
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and _attributes(node)
    }


def _attributes(made: ast.ClassDef) -> set[str]:
    found = set()
    for node in made.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            for below in ast.walk(node):
                if isinstance(below, ast.Attribute) and isinstance(below.ctx, ast.Store):
                    found.add(below.attr)
    return found


def _fix(facts: Facts, site) -> str:
    source = facts.source(site.file)
    statement = source.statement(site.node)
    target = source.text(statement.targets[0]) if isinstance(statement, ast.Assign) else "state"
    given = ", ".join(source.text(part) for part in [*site.node.args, *site.node.keywords])
    return patterns.diff(
        source.text(statement), f"{target}.move_to({given})  # sets its attributes"
    )


def proof(finding: Finding) -> Proof:
    count = max(finding.sizes["attributes"], 1)
    names = [f"a{i}" for i in range(count)]
    given = ", ".join(names)
    body = "\n".join(f"        self.{name} = {name}" for name in names)
    values = ", ".join(str(i) for i in range(count))
    setting = "; ".join(f"state.{name} = {i}" for i, name in enumerate(names))
    return Proof(
        f"class State:\n    def __init__(self, {given}):\n{body}\nstate = State({values})",
        f"state = State({values})",
        setting,
    )
