"""An epsilon that never changes, or is at its floor at once."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
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
    for site in facts.sites(ast.Compare, ast.Call):
        for name in _epsilons(facts, site):
            last = name.rsplit(".", 1)[-1]
            if not site.loops or (site.file, last) in done:
                continue
            if _is_parameter(facts, site, name) and not _given_a_constant(facts, site, name):
                continue
            done.add((site.file, last))
            found = _never_changes(facts, site, name, last) or _at_its_floor(facts, site, last)
            if found:
                where, evidence, fix = found
                yield telling.finding(
                    facts, RULE, WHY, where, evidence, fix,
                    seconds=_choosing(facts, site), faster=False,
                )  # fmt: skip


NAMES = ("epsilon", "eps", "exploration_rate", "exploration", "explore")


def _epsilons(facts: Facts, site) -> Iterator[str]:
    """epsilon of `random.random() < epsilon`, of `draw < epsilon`, of `binomial(1, epsilon)`."""
    if isinstance(site.node, ast.Compare):
        sides = [site.node.left, *site.node.comparators]
        draws = any(_is_drawn(facts, site, side) for side in sides)
    else:
        sides = site.node.args
        draws = getattr(site.node.func, "attr", "") == "binomial"
    for side in sides if draws else []:
        name = patterns.name_of(side)
        if name.rsplit(".", 1)[-1].lower() in NAMES:
            yield name


def _is_drawn(facts: Facts, site, side: ast.AST) -> bool:
    """A random number, at once or by way of a name."""
    if _names_chance(side):
        return True
    name = patterns.name_of(side)
    scope = patterns.scope_of(facts, site.file, site.node)
    given = facts.source(site.file).assigned(name, scope) if name else iter(())
    return any(_names_chance(value) for value in given)


def _names_chance(node: ast.AST) -> bool:
    return "rand" in " ".join(patterns.names_below(node)).lower()


def _given_a_constant(facts: Facts, site, name: str) -> bool:
    """Every call gives the parameter one and the same number: a literal, or a name given one."""
    scope = facts.source(site.file).function_of(site.node)
    if scope is None:
        return False
    names = [a.arg for a in [*scope.args.posonlyargs, *scope.args.args]]
    if name not in names:
        return False
    method = names[:1] == ["self"]
    calls = [
        call
        for call in facts.sites(ast.Call)
        if patterns.name_of(call.node.func).rsplit(".", 1)[-1] == scope.name
    ]
    given = [_argument(call.node, name, names.index(name) - method) for call in calls]
    return bool(given) and all(_is_constant(facts, site.file, value) for value in given)


def _argument(call: ast.Call, name: str, place: int) -> ast.AST | None:
    """None where the default is left."""
    by_name = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in by_name:
        return by_name[name]
    return call.args[place] if place < len(call.args) else None


def _is_constant(facts: Facts, file: str, value: ast.AST | None) -> bool:
    if value is None or isinstance(value, ast.Constant):
        return True
    name = patterns.name_of(value)
    given = list(facts.source(file).assigned(name)) if name else []
    return (
        len(given) == 1
        and isinstance(given[0], ast.Constant)
        and not _changes(facts, file, name.rsplit(".", 1)[-1])
    )


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
        telling.diff(site.text, f"{name} = max(0.05, 1 - 2 * step / steps)\n{site.text}"),
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
                f"{telling.rounded(runs)} choices",
                telling.diff(where.text, f"{patterns.name_of(node.target)} *= {slower}"),
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
