"""The gradient flows through the target as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "target-not-detached"
WHY = (
    "The target is what the prediction should become, a number; with its graph attached the loss "
    "also moves the target, away from the prediction, and the backward pass does twice the work. "
    "Compute it under no_grad."
)
PART = 0.5  # of the backward goes through the target's half


def find(facts: Facts) -> Iterator[Finding]:
    for site in networks.module_calls(facts):
        scope = patterns.scope_of(facts, site.file, site.node)
        if networks.has_no_graph(facts, site) or networks.is_detached(facts, site):
            continue
        if not _is_discounted(facts, site, scope) or _target_detached(facts, site, scope):
            continue
        backward = [s for s in facts.calls_to("*.backward") if s.file == site.file]
        seconds = PART * sum(s.seconds for s in backward) + 0.3 * site.seconds
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{patterns.statement_text(facts, site)} keeps its graph; recording it and going back "
            "through it take " + telling.amount(facts, seconds, site.calls),
            _fix(facts, site),
            seconds=seconds,
            parts=[site, *backward],
            sizes=networks.sizes(facts, site),
        )


def _is_discounted(facts: Facts, site, scope: ast.AST) -> bool:
    """gamma * model(next_states).max(), at once or by way of a name."""
    source = facts.source(site.file)
    if any(networks.discounts(above) for above in source.parents(site.node)):
        return True
    statement = source.statement(site.node)
    names = {patterns.name_of(t) for t in getattr(statement, "targets", [])} - {""}
    for node in ast.walk(scope):
        if networks.discounts(node) and names & set(patterns.names_below(node)):
            return True
    return False


def _target_detached(facts: Facts, site, scope: ast.AST) -> bool:
    """`criterion(pred, target.detach())`: detached later on, by the name it ended up in."""
    statement = facts.source(site.file).statement(site.node)
    names = _named(statement)
    for _ in range(3):  # target = reward + gamma * best; best = model(next_states).max()
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and names & set(patterns.names_below(node.value)):
                names |= {name for name in _named(node) if "loss" not in name}
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("detach", "data")
        and names & set(patterns.names_below(node.value))
        for node in ast.walk(scope)
    )


def _named(statement: ast.AST) -> set[str]:
    """What a statement gives a value: target of target[i][action] = value."""
    targets = getattr(statement, "targets", [])
    return {patterns.name_of(patterns.root_of(target)) for target in targets} - {""}


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    inside = "\n".join(f"    {line}" for line in text.splitlines())
    return telling.diff(text, f"with torch.no_grad():\n{inside}")


def proof(finding: Finding) -> Proof:
    learning = (
        "value = model(states).gather(1, actions.unsqueeze(1)).squeeze(1)\n"
        "loss = nn.functional.mse_loss(value, target)\nmodel.zero_grad()\nloss.backward()"
    )
    target = "target = rewards + 0.9 * alive * model(next_states).amax(dim=1)"
    return Proof(
        networks.setup(finding.sizes),
        f"{target}\n{learning}",
        f"with torch.no_grad():\n    {target}\n{learning}",
    )
