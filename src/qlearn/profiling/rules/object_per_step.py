"""An object of the user's class made anew every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "object-per-step"
WHY = (
    "Making an object calls its class, allocates it and its attributes, runs `__init__` and throws "
    "the old one away, and what its methods answer is worked out again each time. A state that is a "
    "number needs no object, and a list made once has its answers."
)
LEAST_CALLS = 1000
PLAIN = {"range", "len", "abs", "min", "max", "tuple", "int", "bool", "float", "divmod"}


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
    asked = _asked(facts, worst.file, made)
    answers = {site.node.func.attr for site in asked}
    seconds, _ = telling.total([*sites, *asked])
    return telling.finding(
        facts,
        RULE,
        WHY,
        worst,
        f"a new {made.name} is made {_times(sites)}"
        + (f"and {', '.join(sorted(answers))} asked {_times(asked)}" if asked else "")
        + telling.amount(facts, seconds, None)
        + telling.other_lines(s for s in sites if s is not worst),
        _fix(facts, worst, answers),
        seconds=seconds,
        parts=[*sites, *asked],
        sizes={"attributes": len(_attributes(made)), "answers": len(answers)},
    )


def _times(sites: list) -> str:
    calls = telling.total(sites)[1]
    return f"about {telling.rounded(calls)} times, " if calls else ""


def _asked(facts: Facts, file: str, made: ast.ClassDef) -> list:
    """Calls in loops of methods that say nothing but what the object's attributes tell."""
    methods = {getattr(node, "name", "") for node in made.body if _only_computes(node)}
    return [
        site
        for site in facts.sites(ast.Call)
        if site.file == file
        and site.loops
        and isinstance(site.node.func, ast.Attribute)
        and site.node.func.attr in methods
        and facts.kind_of(site.function, site.node.func.value) == made.name
    ]


def _only_computes(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.name.startswith("__"):
        return False
    called = {patterns.name_of(call.func) for call in patterns.calls_below(node)}
    outside = any(isinstance(n, (ast.Global, ast.Nonlocal, ast.Yield)) for n in ast.walk(node))
    return called <= PLAIN and not outside


def _plain_classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Classes that have an `__init__` of their own."""
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


def _fix(facts: Facts, site, answers: set[str]) -> str:
    source = facts.source(site.file)
    statement = source.statement(site.node)
    target = source.text(statement.targets[0]) if isinstance(statement, ast.Assign) else "state"
    given = ", ".join(source.text(part) for part in [*site.node.args, *site.node.keywords])
    if not answers:
        changed = f"{target}.move_to({given})  # sets its attributes"
        return telling.diff(source.text(statement), changed)
    tables = [
        f"{name.upper()} = [{site.node.func.id}(place).{name}(...) for place in PLACES]"
        for name in sorted(answers)
    ]
    return telling.diff(
        source.text(statement), *tables, f"{target.lower()} = NUMBER[...]  # of a place in PLACES"
    )


def proof(finding: Finding) -> Proof:
    count = max(finding.sizes["attributes"], 1)
    answers = [f"answer{i}" for i in range(finding.sizes["answers"])]
    names = [f"a{i}" for i in range(count)]
    given = ", ".join(names)
    body = "\n".join(f"        self.{name} = {name}" for name in names)
    methods = "".join(
        f"    def {name}(self):\n        if self.a0 == 1:\n            return 1\n        return 0\n"
        for name in answers
    )
    values = ", ".join(str(i) for i in range(count))
    setting = "; ".join(f"state.{name} = {i}" for i, name in enumerate(names))
    before = [f"state = State({values})", *(f"x = state.{name}()" for name in answers)]
    after = ["number = NEXT[number]", *(f"x = {name.upper()}[number]" for name in answers)]
    return Proof(
        f"class State:\n    def __init__(self, {given}):\n{body}\n{methods}state = State({values})\n"
        "NEXT, number = [0, 1], 0\n" + "\n".join(f"{name.upper()} = [0, 1]" for name in answers),
        "\n".join(before),
        "\n".join(after) if answers else setting,
    )
