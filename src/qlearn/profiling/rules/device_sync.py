"""The GPU waited for, every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "device-sync"
WHY = (
    "A GPU works through a queue of its own; reading one number from it waits until the queue is "
    "empty and leaves the GPU idle until the next kernel arrives. Keep the numbers on the device and "
    "read them together, every hundred steps."
)
READS = ("*.item", "*.cpu", "*.tolist", "*.numpy", "print")


def find(facts: Facts) -> Iterator[Finding]:
    if not facts.cuda:
        return
    groups: dict[str, list] = {}
    for site in facts.calls_to(*READS):
        if site.loops and (site.calls is None or site.calls >= 100) and _on_device(facts, site):
            groups.setdefault(site.file, []).append(site)
    for sites in groups.values():
        worst = max(sites, key=lambda s: s.seconds)
        seconds, calls = patterns.total(sites)
        yield patterns.finding(
            facts,
            RULE,
            WHY,
            worst,
            f"{worst.text} waits for the GPU: "
            + patterns.amount(facts, seconds, calls)
            + patterns.other_lines(s for s in sites if s.line != worst.line),
            patterns.diff(
                worst.text,
                "total += value.detach()        # stays on the device",
                "if step % 100 == 0:\n    print(total.item())",
            ),
            seconds=seconds,
            parts=sites,
        )


def _on_device(facts: Facts, site) -> bool:
    """Something on the GPU is read: itself, or what it is computed from."""
    things = [patterns.seen(facts, site, node) for node in ast.walk(site.node)]
    devices = [
        str(t.detail.get("device")) for t in things if t is not None and t.detail.get("device")
    ]
    return any(device.startswith("cuda") for device in devices)


def proof(finding: Finding) -> Proof:
    setup = "import torch\nx = torch.rand(64, 64, device='cuda')\ntotal = torch.zeros((), device='cuda')"
    return Proof(setup, "y = (x @ x).mean().item()", "total += (x @ x).mean()")
