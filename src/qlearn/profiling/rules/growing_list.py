"""A list that grows for ever and is gone through every time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "growing-list"
WHY = (
    "Each pass goes through everything since the beginning, so that the thousandth episode takes a "
    "thousand times as long as the first. A running sum, or a deque of the last hundred, costs the "
    "same at any time."
)
PASSES = (
    "sum", "max", "min", "sorted", "set", "list", "numpy.mean", "numpy.sum", "numpy.max", "numpy.min",
    "numpy.std", "numpy.array", "numpy.asarray", "numpy.median", "numpy.average", "statistics.mean",
    "torch.tensor", "torch.stack", "torch.cat", "pandas.DataFrame", "json.dump", "json.dumps",
    "pickle.dump",
)  # fmt: skip
LEAST_ENTRIES = 500


def find(facts: Facts) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list] = {}
    for site in facts.calls_to(*PASSES):
        name = patterns.name_of(site.node.args[0]) if site.node.args else ""
        if name and site.loops and _grows(facts, site, name):
            groups.setdefault((site.file, name), []).append(site)
    for (_, name), sites in groups.items():
        worst = sites[0]
        size = patterns.size_of(facts, worst, worst.node.args[0])
        yield telling.finding_of_all(
            facts,
            RULE,
            WHY,
            sites,
            f"{name} had {size:,} entries, {worst.text} goes through all of them: ",
            _fix(facts, worst, name),
            sizes={"entries": size},
        )


def _grows(facts: Facts, site, name: str) -> bool:
    """A long list that is appended to in a loop, and never cut."""
    thing = patterns.seen(facts, site, site.node.args[0])
    if thing is None or thing.kind != "list" or thing.size < LEAST_ENTRIES:
        return False
    source = facts.source(site.file)
    appended = [
        c for c in _methods(facts, site.file, name, ("append", "extend")) if source.loops(c)
    ]
    appended += [
        c for c in _methods(facts, site.file, name, ("append", "extend")) if name[:5] == "self."
    ]
    return bool(appended) and not _methods(facts, site.file, name, ("clear", "pop", "remove"))


def _methods(facts: Facts, file: str, name: str, methods: tuple[str, ...]) -> list[ast.Call]:
    return [
        call
        for call in patterns.calls_below(facts.tree(file))
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in methods
        and patterns.name_of(call.func.value) == name
    ]


def _fix(facts: Facts, site, name: str) -> str:
    text = patterns.statement_text(facts, site)
    return telling.diff(
        f"{name} = []\n{text}",
        f"recent = deque(maxlen=100)  # beside {name}, which may stay for the plot",
        text.replace(name, "recent"),
    )


def proof(finding: Finding) -> Proof:
    entries = max(finding.sizes["entries"] // 2, 1)  # on average over the run
    return Proof(
        "from collections import deque\n"
        f"values = [0.5] * {entries}\nrecent = deque(values, maxlen=100)",
        "mean = sum(values) / len(values)",
        "mean = sum(recent) / len(recent)",
    )
