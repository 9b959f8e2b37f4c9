"""Losses summed with their graphs."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "graph-kept"
WHY = (
    "A loss carries the graph of everything it was computed from, and a sum of losses keeps them all: "
    "memory grows with every step, and the graphs are torn down one by one in the end. "
    "Add the number, not the tensor."
)
SECONDS_EACH = 8e-6  # one more operation recorded, and a graph kept from being used again


def find(facts: Facts) -> Iterator[Finding]:
    for site, kept in _kept(facts):
        calls = patterns.executions(facts, site)
        seconds = max(site.seconds, calls * SECONDS_EACH)
        growth = _growth_mb(facts)
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{kept} is kept with its graph: "
            + telling.amount(facts, seconds, calls)
            + (f"; memory grew by {growth:.0f} MB" if growth >= 1 else ""),
            telling.diff(site.text, _replaced(site.text, kept)),
            seconds=seconds,
            growth_mb=growth,
            sizes={"threads": facts.torch_threads},
        )


def _replaced(text: str, kept: str) -> str:
    head, _, tail = text.rpartition(kept)
    return f"{head}{kept}.item(){tail}"


def _kept(facts: Facts) -> Iterator[tuple]:
    """`total += loss`, `total = total + loss`, `losses.append(loss)` in a loop."""
    for site in facts.sites(ast.AugAssign):
        if (
            site.loops
            and isinstance(site.node.op, ast.Add)
            and _has_graph(facts, site, site.node.value)
        ):
            yield site, patterns.name_of(site.node.value)
    for site in facts.calls_to("*.append"):
        if site.loops and site.node.args and _has_graph(facts, site, site.node.args[0]):
            yield site, patterns.name_of(site.node.args[0])


def _has_graph(facts: Facts, site, node: ast.AST) -> bool:
    """A single number that requires a gradient, and is gone backward from or called a loss."""
    thing = patterns.seen(facts, site, node)
    if thing is None or thing.kind != "Tensor" or not thing.detail.get("requires_grad"):
        return False
    return thing.size <= 1 and not networks.has_no_graph(facts, site)


def _growth_mb(facts: Facts) -> float:
    megabytes = [mb for _, mb in facts.memory]
    return max(megabytes) - megabytes[len(megabytes) // 4] if megabytes else 0.0


def proof(finding: Finding) -> Proof:
    setup = networks.setup(finding.sizes) + "total = 0"
    step = "loss = model(states).square().mean()\nmodel.zero_grad()\nloss.backward()\n"
    return Proof(setup, f"{step}total += loss", f"{step}total += loss.item()")
