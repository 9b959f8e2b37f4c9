"""The GPU waited for, every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
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
    reads = [
        site
        for site in facts.calls_to(*READS)
        if site.loops and (site.calls is None or site.calls >= 100) and _on_device(facts, site)
    ]
    for sites in telling.by_file(reads):
        yield telling.finding_of_all(
            facts,
            RULE,
            WHY,
            sites,
            f"{sites[0].text} waits for the GPU: ",
            telling.diff(
                sites[0].text,
                "total += value.detach()        # stays on the device",
                "if step % 100 == 0:\n    print(total.item())",
            ),
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
