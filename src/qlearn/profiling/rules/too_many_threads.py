"""More threads than a small network has work for."""

from __future__ import annotations

from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "too-many-threads"
WHY = (
    "Handing a piece of work to another thread and waiting for it takes microseconds, as long as the "
    "whole layer of a small network takes. One thread does it without waiting; more threads than "
    "cores wait for one another."
)
TINY = 100_000
MANY = 4
PART = 0.5
CALL_SECONDS = 1e-3  # a forward and backward of a small network by itself
OPERATIONS_A_SECOND = 5e9
WAITING = 4.0  # times what the computing should take
STAGES = ("forward", "loss", "backward", "optimiser")


def find(facts: Facts) -> Iterator[Finding]:
    threads = facts.torch_threads or 1
    sites = list(networks.module_calls(facts)) if threads > 1 else []
    sizes = [networks.parameters(patterns.seen(facts, s, networks.network(s))) for s in sites]
    if not sites or max(sizes) > TINY:
        return
    part = max(PART if threads >= MANY else 0.0, _waiting(facts, sites, max(sizes)))
    seconds = part * sum(facts.stages.get(stage, 0.0) for stage in STAGES)
    if not seconds:
        return
    asked = facts.calls_to("torch.set_num_threads")
    site = asked[0] if asked else sites[0]
    yield telling.finding(
        facts,
        RULE,
        WHY,
        site,
        f"{threads} threads for a network of {max(sizes):,} parameters, whose computing takes "
        + telling.amount(facts, seconds / part, None)
        + f"; about {100 * part:.0f} % of that may be waiting",
        telling.diff(asked[0].text if asked else "", "torch.set_num_threads(1)"),
        seconds=seconds,
        parts=(),
        sizes={**networks.sizes(facts, sites[0]), "many": threads},
    )


def _waiting(facts: Facts, sites: list, parameters: int) -> float:
    """The share of a backward pass that its arithmetic does not explain, where that is most of it."""
    seconds, calls = telling.total(facts.calls_to("*.backward"))
    if not calls:
        return 0.0
    batch = max((networks.sizes(facts, site)["batch"] or 1 for site in sites), default=1)
    expected = CALL_SECONDS + 4 * parameters * batch / OPERATIONS_A_SECOND
    return 1 - expected * calls / seconds if seconds > WAITING * expected * calls else 0.0


def proof(finding: Finding) -> Proof:
    step = (
        "value = model(states).gather(1, actions.unsqueeze(1)).squeeze(1)\n"
        "loss = nn.functional.mse_loss(value, rewards)\nmodel.zero_grad()\nloss.backward()"
    )
    return Proof(
        networks.setup(finding.sizes),
        f"torch.set_num_threads({finding.sizes['many']})\n{step}",
        f"torch.set_num_threads(1)\n{step}",
    )
