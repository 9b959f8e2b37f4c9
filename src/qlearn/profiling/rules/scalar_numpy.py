"""NumPy, or rounding, for one number at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from qlearn.profiling import patterns, telling
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
GENERATORS = ("Generator", "RandomState")
# One number is drawn: (arguments at most, what is timed before, and after)
DRAWS = {
    "choice": (1, "np.random.choice(x)", "random.choice(x)"),
    "rand": (0, "np.random.rand()", "random.random()"),
    "random": (0, "np.random.random()", "random.random()"),
    "random_sample": (0, "np.random.random_sample()", "random.random()"),
    "uniform": (2, "np.random.uniform(0, 1)", "random.random()"),
    "randint": (2, "np.random.randint(0, 4)", "random.randrange(4)"),
    "integers": (2, "rng.integers(0, 4)", "random.randrange(4)"),
    "normal": (2, "np.random.normal(0, 1)", "random.gauss(0, 1)"),
    "binomial": (2, "np.random.binomial(1, 0.5)", "random.random() < 0.5"),
}
# A few numbers are looked at: (what is timed before, and after; how it is written)
LOOKS = {
    "numpy.argmax": ("np.argmax(row)", "x.index(max(x))", "{0}.index(max({0}))"),
    "numpy.max": ("np.max(row)", "max(x)", "max({0})"),
    "numpy.amax": ("np.amax(row)", "max(x)", "max({0})"),
    "numpy.sum": ("np.sum(row)", "sum(x)", "sum({0})"),
    "numpy.array_equal": ("np.array_equal(row, row)", "x == x", "{0} == {1}"),
    "numpy.nonzero": ("np.nonzero(row)", "[i for i, v in enumerate(x) if v]", ENUMERATED := "[i for i, v in enumerate({0}) if ...]"),
    "numpy.where": ("np.where(row)", "[i for i, v in enumerate(x) if v]", ENUMERATED),
    "numpy.argwhere": ("np.argwhere(row)", "[i for i, v in enumerate(x) if v]", ENUMERATED),
    "numpy.flatnonzero": ("np.flatnonzero(row)", "[i for i, v in enumerate(x) if v]", ENUMERATED),
    "numpy.nditer": ("for v in np.nditer(row): pass", "for v in x: pass", "{0}.ravel().tolist()"),
}  # fmt: skip
ROUNDS = {
    "round": ("round(0.12345, 3)", "0.12345"),
    "numpy.round": ("np.round(0.12345, 3)", "0.12345"),
    "numpy.around": ("np.around(0.12345, 3)", "0.12345"),
}
LEAST_CALLS = 1000


def find(facts: Facts) -> Iterator[Finding]:
    """One finding for each function that is called so."""
    groups: dict[tuple[str, str], list] = {}
    for site, called in _calls(facts):
        often = site.calls is None or site.calls >= LEAST_CALLS
        if site.loops and often and _is_scalar(facts, site, called):
            groups.setdefault((site.file, called), []).append(site)
    within = {site.node for sites in groups.values() for site in sites}
    for (_, called), sites in groups.items():
        yield _finding(facts, called, sites, within)


def _calls(facts: Facts) -> Iterator[tuple[Any, str]]:
    """Calls, by the name of what draws, looks or rounds."""
    for site in facts.calls_to(*(f"numpy.random.{name}" for name in DRAWS), *LOOKS, *ROUNDS):
        called = facts.source(site.file).resolve(site.node)
        yield site, called.removeprefix("numpy.random.").removeprefix("builtins.")
    for site in facts.calls_to(*(f"*.{name}" for name in DRAWS)):
        drawer = patterns.seen(facts, site, site.node.func.value)
        if drawer is not None and drawer.kind in GENERATORS:
            yield site, site.node.func.attr


def _finding(facts: Facts, called: str, sites: list, within: set[ast.AST]) -> Finding:
    """What a call within takes is said by that one."""
    own = {site.node: _own_seconds(facts, site, within) for site in sites}
    sites = sorted(sites, key=lambda site: -own[site.node])
    seconds, parts = sum(own.values()), sites
    if called == "numpy.nditer":  # what is done with each number is done one by one, too
        parts = telling.outermost(facts, [_loop(facts, site) for site in sites])
        seconds = telling.total(parts)[0]
    return telling.finding_of_all(
        facts,
        RULE,
        WHY_ROUND if called in ROUNDS else WHY,
        sites,
        f"{sites[0].text} for {'one number' if called not in LOOKS else 'a few numbers'}: ",
        _fix(facts, sites[0], called),
        seconds=seconds,
        parts=parts,
        sizes={"called": called, "entries": _entries(facts, sites[0])},
    )


def _own_seconds(facts: Facts, site, within: set[ast.AST]) -> float:
    below = [
        facts.site_of(site.file, node)
        for node in ast.walk(site.node)
        if node is not site.node and node in within
    ]
    return max(0.0, site.seconds - telling.total(telling.outermost(facts, below))[0])


def _loop(facts: Facts, site):
    above = facts.source(site.file).parent(site.node)
    return facts.site_of(site.file, above) if isinstance(above, ast.For) else site


def _is_scalar(facts: Facts, site, called: str) -> bool:
    call = site.node
    if any(k.arg in ("size", "axis", "p", "out") for k in call.keywords):
        return False
    arrays = any(_is_big(facts, site, part) for part in call.args)
    if called in DRAWS:
        return len(call.args) <= DRAWS[called][0] and (called == "choice" or not arrays)
    if called in LOOKS:
        return len(call.args) in (1, 2) and _is_small(facts, site, call.args[0])
    return bool(call.args) and not arrays


def _is_big(facts: Facts, site, node: ast.AST) -> bool:
    """Holds more than a few numbers."""
    for below in ast.walk(node):
        thing = patterns.seen(facts, site, below)
        if patterns.is_array(thing) and not _is_root(node, below):
            return True
    return False


def _is_root(node: ast.AST, below: ast.AST) -> bool:
    """Q of Q[state, action]: the array itself may be big, what is taken out of it need not."""
    return node is not below and patterns.root_of(node) is below


def _is_small(facts: Facts, site, node: ast.AST) -> bool:
    """A short row: Q[state] of an array whose rows are short, a short list, a literal."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return True
    if isinstance(node, ast.Compare):
        return _is_small(facts, site, node.left)
    thing = patterns.seen(facts, site, patterns.root_of(node))
    if thing is None:
        return False
    if "dict" in thing.kind.lower():
        shape = tuple(thing.detail.get("value_shape") or ())
        return isinstance(node, ast.Subscript) and len(shape) == 1 and shape[0] <= SMALL
    if isinstance(node, ast.Subscript):
        shape = patterns.shape_of(thing)
        return bool(shape) and shape[-1] <= SMALL and _picks(facts, site, node.slice)
    return 0 < thing.size <= SMALL


def _picks(facts: Facts, site, index: ast.AST) -> bool:
    """One row, or a few entries of one."""
    for below in ast.walk(index):
        thing = patterns.seen(facts, site, below)
        if patterns.is_array(thing) and thing is not None and thing.size > SMALL:
            return False
    return isinstance(index, ast.Tuple) or not _is_big(facts, site, index)


def _entries(facts: Facts, site) -> int:
    thing = patterns.seen(facts, site, site.node.args[0]) if site.node.args else None
    return thing.size if thing is not None and 0 < thing.size <= SMALL else 4


def _fix(facts: Facts, site, called: str) -> str:
    source = facts.source(site.file)
    given = [source.text(part) for part in site.node.args]
    if called in ROUNDS:
        after = f"{given[0]}  # rounded once, where it is printed"
    elif called in LOOKS:
        shown = given[:1] if called != "numpy.array_equal" else given
        after = LOOKS[called][2].format(*shown) + f"  # {shown[0]} as a list"
    else:
        after = _drawn(facts, site, called, given)
    return telling.diff(site.text, after)


def _drawn(facts: Facts, site, called: str, given: list[str]) -> str:
    if called == "choice":
        drawn_from = patterns.seen(facts, site, site.node.args[0]) if given else None
        is_count = isinstance(site.node.args[0], ast.Constant) or (
            drawn_from is not None and drawn_from.kind in patterns.NUMBERS
        )
        return f"random.{'randrange' if is_count else 'choice'}({', '.join(given)})"
    if called in ("randint", "integers"):
        return f"random.randrange({', '.join(given)})"
    if called == "binomial" and len(given) == 2:
        return f"random.random() < {given[1]}"
    if called == "uniform" and given and given != ["0", "1"]:
        return f"random.uniform({', '.join(given)})"
    if called == "normal" and len(given) == 2:
        return f"random.gauss({', '.join(given)})"
    return DRAWS[called][2]


def proof(finding: Finding) -> Proof:
    called = finding.sizes["called"]
    if called in DRAWS:
        before, after = DRAWS[called][1:]
    else:
        before, after = (LOOKS | ROUNDS)[called][:2]
    timed = "" if before.startswith("for ") else "y = "
    return Proof(
        f"import random\nimport numpy as np\nx = list(range({finding.sizes['entries']}))\n"
        "row = np.array(x, dtype=float)\nrng = np.random.default_rng(0)",
        timed + before,
        timed + after,
    )
