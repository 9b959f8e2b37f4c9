"""A replay in twice the bytes: float64, converted again at every sample."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts, Seen
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "replay-waste"
WHY = (
    "float64 takes twice the memory and twice the traffic of the float32 that the network computes "
    "with, and every sample is converted on its way. A next state that is the following entry's "
    "state need not be stored at all."
)
CONVERSIONS = (
    "*.astype", "*.float", "torch.tensor", "torch.FloatTensor", "torch.Tensor", "torch.as_tensor",
    "torch.from_numpy", "numpy.float32", "numpy.asarray", "numpy.array",
)  # fmt: skip
LEAST_ENTRIES = 20_000


def find(facts: Facts) -> Iterator[Finding]:
    converted = [
        site
        for site in facts.calls_to(*CONVERSIONS)
        if _sampled(facts, site) and not _inside_another(facts, site)
    ]
    for sites in telling.by_file(converted):
        worst = sites[0]
        wide: Any = _sampled(facts, worst)
        shape, megabytes = patterns.shape_of(wide), 8 * wide.size / 2**20
        yield telling.finding_of_all(
            facts,
            RULE,
            WHY,
            sites,
            f"{wide.name} is float64 {shape}, {megabytes:.0f} MB of which half would do; "
            "converting takes ",
            _fix(facts, worst, wide.name),
            sizes={"shape": shape, "batch": 64},
        )


def _sampled(facts: Facts, site) -> Seen | None:
    """The big float64 array that rows are taken from here."""
    for node in ast.walk(site.node):
        if isinstance(node, ast.Subscript):
            thing = patterns.seen(facts, site, node.value)
            if thing is None or thing.kind not in patterns.ARRAYS or thing.size < LEAST_ENTRIES:
                continue
            if "float64" in str(thing.detail.get("dtype")) and len(patterns.shape_of(thing)) > 1:
                return thing
    return None


def _inside_another(facts: Facts, site) -> bool:
    """from_numpy(x[i].astype(...)): the outer call is the one."""
    above = facts.source(site.file).parent(site.node)
    while isinstance(above, ast.Attribute):
        above = facts.source(site.file).parent(above)
    return isinstance(above, ast.Call) and any(
        s.node is above for s in facts.calls_to(*CONVERSIONS)
    )


def _fix(facts: Facts, site, name: str) -> str:
    source = facts.source(site.file)
    made = next(
        (source.text(v) for v in source.assigned(name) if isinstance(v, ast.Call)),
        "np.zeros(shape)",
    )
    text = site.text
    return telling.diff(
        f"{name} = {made}\n{text}",
        f"{name} = {made.rstrip(')')}{')' * (made.count('(') - 1)}, dtype=np.float32)",
        text.replace(".astype(np.float32)", "").replace(".float()", ""),
    )


def proof(finding: Finding) -> Proof:
    shape, batch = tuple(finding.sizes["shape"]), finding.sizes["batch"]
    return Proof(
        f"import numpy as np\nimport torch\nwide = np.zeros({shape})\nnarrow = wide.astype(np.float32)\n"
        f"chosen = np.random.default_rng(0).integers({shape[0]}, size={batch})",
        "x = torch.from_numpy(wide[chosen].astype(np.float32))",
        "x = torch.from_numpy(narrow[chosen])",
    )
