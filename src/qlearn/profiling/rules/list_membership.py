"""A list searched from its beginning, where a set knows at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "list-membership"
WHY = (
    "A list is searched entry by entry, and through all of it where the answer is no. "
    "A set, or an array of flags indexed by the state, answers in the same short time at any length."
)
SECONDS_EACH = 2.5e-8  # one entry compared
LEAST_ENTRIES = 3


def find(facts: Facts) -> Iterator[Finding]:
    places = [*_memberships(facts), *_searching_loops(facts)]
    for file in {site.file for site, _, _ in places}:
        here = [place for place in places if place[0].file == file]
        worst, searched, _ = max(here, key=lambda place: place[2])
        seconds = sum(seconds for _, _, seconds in here)
        thing: Any = patterns.seen(facts, worst, searched)
        entries = patterns.size_of(facts, worst, searched)
        name = patterns.name_of(searched)
        yield telling.finding(
            facts,
            RULE,
            WHY,
            worst,
            f"{name} is a {thing.kind} of {entries}, searched "
            + telling.amount(facts, seconds, sum(patterns.executions(facts, p[0]) for p in here))
            + telling.other_lines(p[0] for p in here if p[0].line != worst.line),
            _fix(facts, worst, name),
            seconds=seconds,
            parts=[p[0] for p in here],
            sizes={"entries": entries, "value": thing.detail.get("value", "int")},
        )


def _memberships(facts: Facts) -> Iterator[tuple]:
    for site in facts.sites(ast.Compare):
        if len(site.node.ops) == 1 and isinstance(site.node.ops[0], (ast.In, ast.NotIn)):
            yield from _priced(facts, site, site.node.comparators[0])


def _searching_loops(facts: Facts) -> Iterator[tuple]:
    """`for hole in HOLES: if place == hole: ...`."""
    for site in facts.sites(ast.For):
        body = site.node.body
        test = body[0].test if len(body) == 1 and isinstance(body[0], ast.If) else None
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq):
            sides = {patterns.name_of(side) for side in (test.left, *test.comparators)}
            if patterns.name_of(site.node.target) in sides - {""}:
                yield from _priced(facts, site, site.node.iter)


def _priced(facts: Facts, site, searched: ast.AST) -> Iterator[tuple]:
    thing = patterns.seen(facts, site, searched)
    entries = patterns.size_of(facts, site, searched)
    if thing is None or thing.kind not in ("list", "tuple", "deque") or entries < LEAST_ENTRIES:
        return
    function = patterns.function_of(facts, site.file, site.node)
    if not site.loops and (function is None or (function.calls or 0) < 100):
        return
    times = patterns.executions(facts, site)
    yield site, searched, site.seconds or times * entries * SECONDS_EACH


def _fix(facts: Facts, site: Any, name: str) -> str:
    text = site.text.splitlines()[0]
    if isinstance(site.node, ast.For):
        question: Any = site.node.body[0]
        test = question.test
        sides = [test.left, *test.comparators]
        target = patterns.name_of(site.node.target)
        other = next(
            facts.source(site.file).text(s) for s in sides if patterns.name_of(s) != target
        )
        text = f"for {target} in {name}:\n    if {facts.source(site.file).text(test)}:"
        return telling.diff(f"{name} = [...]\n{text}", f"{name} = {{...}}\nif {other} in {name}:")
    return telling.diff(f"{name} = [...]\n{text}", f"{name} = set([...])\n{text}")


def proof(finding: Finding) -> Proof:
    entries = finding.sizes["entries"]
    value = "(i, -1)" if finding.sizes["value"] == "tuple" else "i"
    absent = "(-1, -1)" if finding.sizes["value"] == "tuple" else "-1"
    return Proof(
        f"places = [{value} for i in range({entries})]\nknown = set(places)\nplace = {absent}",
        "found = place in places",
        "found = place in known",
    )
