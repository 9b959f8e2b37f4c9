"""A network too small for a GPU on one."""

from __future__ import annotations

from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "tiny-net-on-gpu"
WHY = (
    "Starting a kernel on a GPU takes longer than all the arithmetic of a network of this size, and "
    "every state has to be sent there first. The processor is done before the GPU has begun."
)
TINY = 100_000
MOST_ROWS = 1024


def find(facts: Facts) -> Iterator[Finding]:
    sites = (
        [s for s in networks.module_calls(facts) if _tiny_on_gpu(facts, s)] if facts.cuda else []
    )
    if not sites:
        return
    worst = sites[0]
    seconds = sum(
        facts.stages.get(s, 0.0) for s in ("forward", "backward", "optimiser", "converting")
    )
    seconds = max(seconds, telling.total(sites)[0])
    count = networks.parameters(patterns.seen(facts, worst, networks.network(worst)))
    yield telling.finding(
        facts,
        RULE,
        WHY,
        worst,
        f"{patterns.name_of(networks.network(worst))} has {count:,} parameters and is on the GPU; its forward, "
        "backward and transfers take " + telling.amount(facts, seconds, worst.calls),
        telling.diff('device = torch.device("cuda")', 'device = torch.device("cpu")'),
        seconds=seconds,
        parts=sites,
        sizes=networks.sizes(facts, worst),
    )


def _tiny_on_gpu(facts: Facts, site) -> bool:
    thing = patterns.seen(facts, site, networks.network(site))
    if not 0 < networks.parameters(thing) <= TINY:
        return False
    given = patterns.seen(facts, site, site.node.args[0])
    devices = [str(t.detail.get("device", "")) for t in (thing, given) if t is not None]
    rows = patterns.shape_of(given)[:1] or (1,)
    return any(device.startswith("cuda") for device in devices) and rows[0] <= MOST_ROWS


def proof(finding: Finding) -> Proof:
    setup = networks.setup(finding.sizes)
    return Proof(
        f"{setup}import copy\nfast = copy.deepcopy(model).cuda()",
        "with torch.inference_mode():\n    y = fast(states.cuda()).argmax(dim=1).cpu()",
        "with torch.inference_mode():\n    y = model(states).argmax(dim=1)",
    )
