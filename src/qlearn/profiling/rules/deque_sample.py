"""Transitions drawn from a deque one by one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "deque-sample"
WHY = (
    "A deque is a chain of blocks: reaching an entry in its middle walks there, and every transition "
    "is then taken apart and put together again in Python. Arrays with one row per transition are "
    "sampled by one indexing."
)


def find(facts: Facts) -> Iterator[Finding]:
    for site in facts.calls_to("random.sample", "random.choices", "random.choice"):
        drawn = site.node.args[0] if site.node.args else None
        thing = patterns.seen(facts, site, drawn) if drawn is not None else None
        if thing is None or thing.kind != "deque":
            continue
        function = patterns.function_of(facts, site.file, site.node)
        apart = [
            s for s in facts.calls_to("zip") if s.function == site.function and _starred(s.node)
        ]
        parts = telling.outermost(facts, [site, *apart])
        seconds = telling.total(parts)[0]
        count = site.node.args[1] if len(site.node.args) > 1 else None
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{site.text} from a deque of {thing.size or 'many'}: "
            + telling.amount(facts, seconds, site.calls or (function.calls if function else None)),
            _fix(facts, site),
            seconds=seconds,
            parts=parts,
            sizes={"entries": max(thing.size, 1000), "batch": _number(count)},
        )


def _starred(call: ast.Call) -> bool:
    return any(isinstance(part, ast.Starred) for part in call.args)


def _number(node: ast.AST | None) -> int:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else 64


def _fix(facts: Facts, site) -> str:
    source = facts.source(site.file)
    name = source.text(site.node.args[0])
    count = source.text(site.node.args[1]) if len(site.node.args) > 1 else "batch_size"
    return telling.diff(
        f"{name} = deque(maxlen=...)\n{patterns.statement_text(facts, site)}",
        f"{name} = qlearn.ReplayBuffer(...)  # or one array each for states, actions, ...",
        f"chosen = rng.integers({name}_size, size={count})\nstates = {name}_states[chosen]",
    )


def proof(finding: Finding) -> Proof:
    entries, batch = finding.sizes["entries"], finding.sizes["batch"]
    return Proof(
        "import random\nfrom collections import deque\nimport numpy as np\n"
        f"states = np.zeros(({entries}, 4), dtype=np.float32)\n"
        f"actions = np.zeros({entries}, dtype=np.int64)\n"
        "memory = deque(zip(states, actions, states))\nrng = np.random.default_rng(0)",
        f"s, a, n = zip(*random.sample(memory, {batch}))\ns, a, n = np.stack(s), np.stack(a), np.stack(n)",
        f"chosen = rng.integers({entries}, size={batch})\n"
        "s, a, n = states[chosen], actions[chosen], states[chosen]",
    )
