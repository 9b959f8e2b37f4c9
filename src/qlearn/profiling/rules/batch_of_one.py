"""The network is asked about one state at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "batch-of-one"
WHY = (
    "A small network's time is the overhead of its calls, the same for one state as for a hundred. "
    "Ask about all environments' states, or all samples, in one call."
)
LEAST_CALLS = 100


def find(facts: Facts) -> Iterator[Finding]:
    for site in networks.module_calls(facts):
        if site.calls is not None and site.calls < LEAST_CALLS:
            continue
        if not site.loops or _in_batch_loop(facts, site) or not _is_one(facts, site):
            continue
        inner = facts.source(site.file).loops(site.node)
        count = patterns.trips(facts, site, inner[0]) if inner else 1
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{site.text} on one state: " + telling.amount(facts, site.seconds, site.calls),
            _fix(facts, site),
            sizes={**networks.sizes(facts, site), "batch": count if count > 1 else 16},
        )


def _is_one(facts: Facts, site) -> bool:
    given = _peeled(facts, site, site.node.args[0])
    if isinstance(given, ast.Call):
        if getattr(given.func, "attr", "") == "unsqueeze":
            axis = given.args[-1] if given.args else None
            inside = getattr(given.func, "value", given) if len(given.args) < 2 else given.args[0]
            shape = patterns.shape_of(_first_array(facts, site, inside))
            return isinstance(axis, ast.Constant) and axis.value == 0 and len(shape) <= 1
        return False
    shape = patterns.shape_of(patterns.seen(facts, site, given))
    return len(shape) == 1 or shape[:1] == (1,)


MAKERS = (
    "torch.tensor",
    "torch.Tensor",
    "torch.FloatTensor",
    "torch.as_tensor",
    "torch.from_numpy",
)
MOVES = ("to", "float", "cuda", "cpu", "double", "type")


def _peeled(facts: Facts, site, given: ast.AST) -> ast.AST:
    """obs of torch.Tensor(obs).to(device)."""
    while isinstance(given, ast.Call):
        if getattr(given.func, "attr", "") in MOVES and isinstance(given.func, ast.Attribute):
            given = given.func.value
        elif given.args and facts.source(site.file).resolve(given) in MAKERS:
            given = given.args[0]
        else:
            break
    return given


def _first_array(facts: Facts, site, node: ast.AST):
    """state of torch.from_numpy(state).float()."""
    for below in ast.walk(node):
        thing = patterns.seen(facts, site, below)
        if thing is not None and thing.kind in patterns.ARRAYS:
            return thing
    return None


def _in_batch_loop(facts: Facts, site) -> bool:
    """Said by loop-over-batch: a learning step's loop."""
    return any(
        isinstance(loop, ast.For) and patterns.over_a_batch(facts, facts.site_of(site.file, loop))
        for loop in facts.source(site.file).loops(site.node)
    )


def _fix(facts: Facts, site) -> str:
    model = patterns.name_of(networks.network(site))
    return telling.diff(
        patterns.statement_text(facts, site),
        f"values = {model}(torch.from_numpy(states))  # (environments, ...) at once\n"
        "actions = values.argmax(dim=1)",
    )


def proof(finding: Finding) -> Proof:
    return Proof(
        networks.setup(finding.sizes),
        "with torch.inference_mode():\n    for i in range(batch):\n        y = model(states[i : i + 1])",
        "with torch.inference_mode():\n    y = model(states)",
    )
