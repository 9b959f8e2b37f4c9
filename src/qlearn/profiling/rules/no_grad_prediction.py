"""The prediction itself computed under no_grad: nothing learns."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "no-grad-prediction"
LOSSES = ("criterion", "loss_fn", "loss_func", "loss_function", "mse_loss", "huber_loss")
WHY = (
    "Under no_grad the prediction has no graph, so that the loss has no gradient and the weights "
    "never move: all of this time is for nothing. Only the target belongs under no_grad."
)


def find(facts: Facts) -> Iterator[Finding]:
    scopes: dict[ast.AST, list] = {}
    for site in networks.module_calls(facts):
        scopes.setdefault(patterns.scope_of(facts, site.file, site.node), []).append(site)
    for scope, sites in scopes.items():
        if not _makes_loss(facts, sites[0].file, scope) or not all(
            networks.has_no_graph(facts, s) for s in sites
        ):
            continue
        worst = sites[0]
        seconds = patterns.around(facts, worst)
        yield telling.finding(
            facts,
            RULE,
            WHY,
            worst,
            f"every call of {patterns.name_of(networks.network(worst))} in {worst.function} is without a graph; "
            f"{worst.function} takes " + telling.amount(facts, seconds, worst.calls),
            _fix(facts, worst),
            seconds=seconds,
            faster=False,
        )


def _makes_loss(facts: Facts, file: str, scope: ast.AST) -> bool:
    """Compares the network's answers with a target, or goes backward, here."""
    source = facts.source(file)
    own = None if isinstance(scope, ast.Module) else scope
    for call in patterns.calls_below(scope):
        if source.function_of(call) is own and _is_loss(source.resolve(call), call):
            return True
    return False


def _is_loss(called: str, call: ast.Call) -> bool:
    last = called.rpartition(".")[2]
    if last == "backward":
        return True
    is_torchs = called.startswith("torch.") and last.endswith("_loss")
    return len(call.args) >= 2 and (is_torchs or last in LOSSES)


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    model = patterns.name_of(networks.network(site))
    return telling.diff(
        f"with torch.no_grad():\n    {text}",
        f"values = {model}(states)\nwith torch.no_grad():\n    next_values = {model}(next_states)",
    )
