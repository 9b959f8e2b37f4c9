"""An epsilon that never changes, or is at its floor at once."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from qlearn.profiling import patterns
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "fixed-schedule"
WHY = (
    "Exploring is worth much in the beginning and costs reward in the end: an epsilon that never "
    "changes does the wrong amount of it most of the time, and one that is at its floor at once "
    "explores never. Spread its decay over a good part of the run."
)
AT_ONCE = 0.02  # of the steps


def find(facts: Facts) -> Iterator[Finding]:
    done: set[tuple[str, str]] = set()
    for site in facts.sites(ast.Compare):
        for name in _epsilons(site.node):
            last = name.rsplit(".", 1)[-1]
            if not site.loops or (site.file, last) in done or _is_parameter(facts, site, name):
                continue
            done.add((site.file, last))
            found = _never_changes(facts, site, name, last) or _at_its_floor(facts, site, last)
            if found:
                where, evidence, fix = found
                yield patterns.finding(
                    facts, RULE, WHY, where, evidence, fix,
                    seconds=_choosing(facts, site), faster=False,
                )  # fmt: skip


def _epsilons(compare: ast.Compare) -> Iterator[str]:
    """epsilon of `random.random() < epsilon`."""
    sides = [compare.left, *compare.comparators]
    draws = any("rand" in " ".join(patterns.names_below(side)).lower() for side in sides)
    for side in sides:
        name = patterns.name_of(side)
        if draws and name.rsplit(".", 1)[-1].lower() in ("epsilon", "eps", "exploration_rate"):
            yield name


def _is_parameter(facts: Facts, site, name: str) -> bool:
    """Given by the caller, who may change it."""
    scope = patterns.scope_of(facts, site.file, site.node)
    given = (
        []
        if isinstance(scope, ast.Module)
        else [a.arg for a in ast.walk(scope) if isinstance(a, ast.arg)]
    )
    return name in given


def _changes(facts: Facts, file: str, last: str) -> list[ast.stmt]:
    """Statements that give epsilon a value while running: in a loop, or in a method."""
    source = facts.source(file)
    found: list[ast.stmt] = []
    for node in ast.walk(facts.tree(file)):
        if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [
            t
            for target in targets
            for t in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
        if not any(patterns.name_of(t).rsplit(".", 1)[-1] == last for t in flat):
            continue
        function = source.function_of(node)
        if source.loops(node) or (
            function is not None and function.name != "__init__" and _by_self(node)
        ):
            found.append(node)
    return found


def _by_self(node: ast.stmt) -> bool:
    """Made of what it was, or of what changes: no first value."""
    value = getattr(node, "value", None)
    return isinstance(node, ast.AugAssign) or (
        value is not None and any(patterns.names_below(value))
    )


def _never_changes(facts: Facts, site, name: str, last: str) -> tuple | None:
    if any(_changes(facts, file, last) for file in patterns.user_files(facts)):
        return None
    return (
        site,
        f"{name} is never changed while {site.function} runs",
        patterns.diff(site.text, f"{name} = max(0.05, 1 - 2 * step / steps)\n{site.text}"),
    )


def _at_its_floor(facts: Facts, site, last: str) -> tuple | None:
    """`epsilon *= 0.9` every step: the floor comes after a fiftieth of the run."""
    for node in _changes(facts, site.file, last):
        if not (isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult)):
            continue
        decay, start = _constant(facts, site.file, node.value), _start(facts, site.file, last)
        where = facts.site_of(site.file, node)
        runs = patterns.executions(facts, site)
        if decay is None or not 0 < decay < 1 or not start:
            continue
        steps = math.log(max(_floor(facts, site.file), 1e-3) / start) / math.log(decay)
        if runs > 1000 and steps < AT_ONCE * runs and _every_time(facts, where, runs):
            slower = f"{decay ** (steps / (0.5 * runs)):.6f}"
            return (
                where,
                f"{patterns.name_of(node.target)} is at its floor after {steps:.0f} of about "
                f"{patterns.rounded(runs)} choices",
                patterns.diff(where.text, f"{patterns.name_of(node.target)} *= {slower}"),
            )
    return None


def _every_time(facts: Facts, where, runs: float) -> bool:
    """The decay runs about as often as the choice: by step rather than by episode."""
    return patterns.executions(facts, where) > 0.3 * runs


def _constant(facts: Facts, file: str, node: ast.AST) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    last = patterns.name_of(node).rsplit(".", 1)[-1]
    return _start(facts, file, last) if last else None


def _start(facts: Facts, file: str, last: str) -> float | None:
    """The first plain number that a name is given."""
    source = facts.source(file)
    for name in (last, f"self.{last}"):
        for value in source.assigned(name):
            if isinstance(value, ast.Constant) and isinstance(value.value, (int, float)):
                return float(value.value)
    return None


def _floor(facts: Facts, file: str) -> float:
    for last in ("epsilon_min", "min_epsilon", "eps_min", "epsilon_end", "eps_end", "EPS_END"):
        found = _start(facts, file, last)
        if found is not None:
            return found
    return 0.01


def _choosing(facts: Facts, site) -> float:
    return patterns.around(facts, site)
