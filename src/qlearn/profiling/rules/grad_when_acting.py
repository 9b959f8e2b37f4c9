"""A graph for the gradient, recorded where nobody asks for one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "grad-when-acting"
WHY = (
    "Outside of no_grad and inference_mode every operation is recorded for a backward pass, which "
    "choosing an action never makes. inference_mode leaves the recording out."
)
PART = 0.3  # of a small network's forward is recording
DECIDING = ("argmax", "item", "numpy", "tolist")  # no gradient goes through these
CHOOSING = ("argmax", "max", "item", "numpy", "tolist", "sort", "topk", "cpu", "detach")


def find(facts: Facts) -> Iterator[Finding]:
    for site in networks.module_calls(facts):
        scope = patterns.scope_of(facts, site.file, site.node)
        if (
            networks.has_no_graph(facts, site)
            or not site.loops
            or not _only_looked_at(facts, site, scope)
        ):
            continue
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{site.text} records a graph that is thrown away: "
            + telling.amount(facts, site.seconds, site.calls)
            + ", of which about a third is the recording",
            _fix(facts, site),
            seconds=PART * site.seconds,
            sizes=networks.sizes(facts, site),
        )


def _only_looked_at(facts: Facts, site, scope: ast.AST) -> bool:
    """Its values choose an action, or are detached at once."""
    if networks.is_detached(facts, site):
        return True
    statement = facts.source(site.file).statement(site.node)
    names = {patterns.name_of(t) for t in getattr(statement, "targets", [])} - {""}
    chain = {getattr(a, "attr", "") for a in _chain(facts, site)}
    if chain.intersection(DECIDING) or _all_decide(scope, names):
        return True
    if _learns_here(facts, site, scope):
        return False
    return bool(chain.intersection(CHOOSING)) or any(
        _chooses(call, names) for call in patterns.calls_below(scope)
    )


def _all_decide(scope: ast.AST, names: set[str]) -> bool:
    """Wherever the values are used, an action is chosen: argmax of them, and nothing else."""
    used = [n for n in ast.walk(scope) if patterns.name_of(n) in names and _is_read(n)]
    deciding: set[ast.AST] = set()
    for call in patterns.calls_below(scope):
        if getattr(call.func, "attr", "") in DECIDING:
            deciding.update(ast.walk(call))
    return bool(used) and bool(names) and all(node in deciding for node in used)


def _is_read(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)


def _learns_here(facts: Facts, site, scope: ast.AST) -> bool:
    if not isinstance(scope, ast.Module):
        return networks.learns(scope) or _makes_loss(facts, site.file, scope)
    loops = facts.source(site.file).loops(site.node)
    return networks.learns(loops[0] if loops else scope)


def _makes_loss(facts: Facts, file: str, scope: ast.AST) -> bool:
    names = " ".join(patterns.names_below(scope)).lower()
    return "loss" in names or "criterion" in names


def _chain(facts: Facts, site) -> list[ast.AST]:
    """What is done to the values within the expression: .argmax, torch.argmax."""
    source = facts.source(site.file)
    found: list[ast.AST] = []
    for above in source.parents(site.node):
        if isinstance(above, ast.stmt):
            break
        found.append(above.func if isinstance(above, ast.Call) else above)
    return found


def _chooses(call: ast.Call, names: set[str]) -> bool:
    """values.argmax(), torch.argmax(values) of a name that holds the network's answer."""
    function = call.func
    if getattr(function, "attr", "") not in CHOOSING:
        return False
    looked_at = [function.value, *call.args] if isinstance(function, ast.Attribute) else call.args
    return any(patterns.name_of(part) in names for part in looked_at)


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    inside = "\n".join(f"    {line}" for line in text.splitlines())
    # What goes into a loss later on must not be made in inference_mode.
    how = "no_grad" if networks.is_detached(facts, site) else "inference_mode"
    return telling.diff(text, f"with torch.{how}():\n{inside}")


def proof(finding: Finding) -> Proof:
    return Proof(
        networks.setup(finding.sizes),
        "action = model(states).argmax(dim=1)",
        "with torch.inference_mode():\n    action = model(states).argmax(dim=1)",
    )
