"""NumPy, or rounding, for one number at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "scalar-numpy"
WHY = (
    "A call into NumPy costs a microsecond or more before it does anything: right for thousands of "
    "numbers, dear for one. Plain Python does one number ten times as fast, or a batch shares the cost."
)
WHY_ROUND = (
    "Rounding makes a decimal number of a binary one and back, which costs ten times the sum that "
    "came before it, and the table learns from a slightly wrong value. Learn from what was computed; "
    "round where it is printed."
)
SMALL = 32
# What is called: (how many arguments it has when it draws one number, setup, before, after)
DRAWS = {
    "numpy.random.choice": (1, "np.random.choice(x)", "random.choice(x)"),
    "numpy.random.rand": (0, "np.random.rand()", "random.random()"),
    "numpy.random.random": (0, "np.random.random()", "random.random()"),
    "numpy.random.random_sample": (0, "np.random.random_sample()", "random.random()"),
    "numpy.random.uniform": (2, "np.random.uniform(0, 1)", "random.random()"),
    "numpy.random.randint": (2, "np.random.randint(0, 4)", "random.randrange(4)"),
    "numpy.random.normal": (2, "np.random.normal(0, 1)", "random.gauss(0, 1)"),
    "numpy.random.binomial": (2, "np.random.binomial(1, 0.5)", "random.random() < 0.5"),
}
LOOKS = {
    "numpy.argmax": ("np.argmax(row)", "{0}.index(max({0}))"),
    "numpy.max": ("np.max(row)", "max({0})"),
    "numpy.amax": ("np.amax(row)", "max({0})"),
    "numpy.array_equal": ("np.array_equal(x, x)", "{0} == {0}"),
}
ROUNDS = {
    "round": ("round(0.12345, 3)", "0.12345"),
    "numpy.round": ("np.round(0.12345, 3)", "0.12345"),
    "numpy.around": ("np.around(0.12345, 3)", "0.12345"),
}
LEAST_CALLS = 1000


def find(facts: Facts) -> Iterator[Finding]:
    """One finding for each function that is called so."""
    groups: dict[tuple[str, str], list] = {}
    for site in facts.calls_to(*DRAWS, *LOOKS, *ROUNDS):
        if site.loops and (site.calls is None or site.calls >= LEAST_CALLS):
            called = facts.source(site.file).resolve(site.node)
            if _is_scalar(facts, site, called):
                groups.setdefault((site.file, called), []).append(site)
    for (_, called), sites in groups.items():
        yield _finding(facts, called.removeprefix("builtins."), sites)


def _finding(facts: Facts, called: str, sites: list) -> Finding:
    worst = max(sites, key=lambda s: s.seconds)
    seconds, calls = patterns.total(sites)
    return patterns.finding(
        facts,
        RULE,
        WHY_ROUND if called in ROUNDS else WHY,
        worst,
        f"{worst.text} for one number: "
        + patterns.amount(facts, seconds, calls)
        + patterns.other_lines(s for s in sites if s is not worst),
        _fix(facts, worst, called),
        seconds=seconds,
        parts=sites,
        sizes={"called": called, "entries": _entries(facts, worst)},
    )


def _is_scalar(facts: Facts, site, called: str) -> bool:
    call = site.node
    if any(k.arg in ("size", "axis", "p", "out") for k in call.keywords):
        return False
    arrays = any(_is_big(facts, site, part) for part in call.args)
    if called in DRAWS:
        return len(call.args) <= DRAWS[called][0] and (
            called == "numpy.random.choice" or not arrays
        )
    if called in LOOKS:
        return len(call.args) in (1, 2) and _is_small(facts, site, call.args[0])
    return bool(call.args) and not arrays


def _is_big(facts: Facts, site, node: ast.AST) -> bool:
    return any(
        patterns.is_array(patterns.seen(facts, site, below)) and not _is_root(node, below)
        for below in ast.walk(node)
    )


def _is_root(node: ast.AST, below: ast.AST) -> bool:
    """Q of Q[state, action]: the array itself may be big, what is taken out of it need not."""
    return node is not below and patterns.root_of(node) is below


def _is_small(facts: Facts, site, node: ast.AST) -> bool:
    """A short row: Q[state] of an array whose rows are short, a short list, a literal."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return True
    thing = patterns.seen(facts, site, patterns.root_of(node))
    if thing is None or "dict" in thing.kind.lower():
        return False
    if isinstance(node, ast.Subscript):
        shape = patterns.shape_of(thing)
        return bool(shape) and shape[-1] <= SMALL and not _is_big(facts, site, node.slice)
    return 0 < thing.size <= SMALL


def _entries(facts: Facts, site) -> int:
    thing = patterns.seen(facts, site, site.node.args[0]) if site.node.args else None
    return thing.size if thing is not None and 0 < thing.size <= SMALL else 4


def _fix(facts: Facts, site, called: str) -> str:
    source = facts.source(site.file)
    given = [source.text(part) for part in site.node.args]
    if called in ROUNDS:
        after = f"{given[0]}  # rounded once, where it is printed"
    elif called == "numpy.random.choice":
        after = f"random.choice({given[0]})"
    elif called == "numpy.array_equal" and len(given) == 2:
        after = f"{given[0]} == {given[1]}  # both lists"
    elif called in LOOKS:
        after = LOOKS[called][1].format("row") + f"  # row = {given[0]}, a list"
    else:
        after = DRAWS[called][2]
    return patterns.diff(site.text, after)


def proof(finding: Finding) -> Proof:
    called = finding.sizes["called"]
    before, after = DRAWS[called][1:] if called in DRAWS else (LOOKS | ROUNDS)[called]
    return Proof(
        f"import random\nimport numpy as np\nx = list(range({finding.sizes['entries']}))\n"
        "row = np.array(x, dtype=float)",
        f"y = {before}",
        f"y = {after.format('x')}",
    )
