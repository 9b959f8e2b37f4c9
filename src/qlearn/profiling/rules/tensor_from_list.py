"""A tensor made of a list of arrays."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "tensor-from-list"
WHY = (
    "torch.tensor walks through the list and every array in it, number by number, as Python objects. "
    "An array that is whole already, or stacked by NumPy, is taken over as one block of memory."
)
MAKERS = (
    "torch.tensor",
    "torch.FloatTensor",
    "torch.LongTensor",
    "torch.Tensor",
    "torch.as_tensor",
)
LISTS = ("list", "tuple")
ROWS = ("ndarray", "list", "tuple", "Tensor")


def find(facts: Facts) -> Iterator[Finding]:
    made = [s for s in facts.calls_to(*MAKERS) if s.node.args and _is_rows(facts, s)]
    for sites in telling.by_file(made):
        worst = sites[0]
        thing = patterns.seen(facts, worst, worst.node.args[0], *LISTS)
        size = max(thing.size, thing.longest) if thing is not None else 0
        yield telling.finding_of_all(
            facts,
            RULE,
            WHY,
            sites,
            f"{worst.text} of {size or 'several'} rows: ",
            _fix(facts, worst),
            sizes={"entries": size or 64, "width": _width(thing)},
        )


def _is_rows(facts: Facts, site) -> bool:
    given = site.node.args[0]
    if isinstance(given, ast.ListComp):
        return True
    thing = patterns.seen(facts, site, given, *LISTS)
    if thing is None or thing.detail.get("value") not in ROWS:
        return False
    return not _is_made_whole(facts, site, patterns.name_of(given))


def _is_made_whole(facts: Facts, site, name: str) -> bool:
    """`rows = np.array(rows)` before: the list went to NumPy."""
    source = facts.source(site.file)
    scope, statement = patterns.scope_of(facts, site.file, site.node), source.statement(site.node)
    before = [value for value in source.assigned(name, scope) if value.lineno < statement.lineno]
    return bool(before) and source.resolve(before[-1]).startswith(("numpy.", "torch."))


def _width(thing) -> int:
    shape = thing.detail.get("value_shape") if thing is not None else None
    return shape[-1] if shape else 8


def _fix(facts: Facts, site) -> str:
    given = facts.source(site.file).text(site.node.args[0])
    if given.startswith("["):
        return telling.diff(site.text, f"torch.from_numpy(np.array({given}, dtype=np.float32))")
    return telling.diff(site.text, f"torch.from_numpy(np.stack({given}))")


def proof(finding: Finding) -> Proof:
    entries, width = finding.sizes["entries"], finding.sizes["width"]
    return Proof(
        "import numpy as np\nimport torch\nimport warnings\nwarnings.simplefilter('ignore')\n"
        f"rows = list(np.random.default_rng(0).random(({entries}, {width}), dtype=np.float32))",
        "x = torch.tensor(rows)",
        "x = torch.from_numpy(np.stack(rows))",
    )
