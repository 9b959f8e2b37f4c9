"""The value of a state after the end."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "bootstrap-terminal"
WHY = (
    "After a terminal state nothing follows, and a network gives it a value all the same, which the "
    "target then adds to the last reward: what ends an episode looks as good as going on. Multiply "
    "by one minus done."
)
DONE_WORDS = (
    "done", "terminal", "terminated", "game_over", "is_end", "finished", "mask", "alive", "over",
    "ended",
)  # fmt: skip


def find(facts: Facts) -> Iterator[Finding]:
    reported: set[ast.AST] = set()
    for site in networks.module_calls(facts):
        scope = patterns.scope_of(facts, site.file, site.node)
        target = _target(facts, site, scope)
        if target is None or scope in reported or _knows_the_end(facts, site, scope, target):
            continue
        reported.add(scope)
        where = facts.site_of(site.file, target)
        seconds = patterns.around(facts, site)
        yield telling.finding(
            facts,
            RULE,
            WHY,
            where,
            f"{where.text} has no part of done in it; {where.function} takes "
            + telling.amount(facts, seconds, site.calls),
            _fix(facts, site.file, target, scope),
            seconds=seconds,
            faster=False,
        )


def _target(facts: Facts, site, scope: ast.AST) -> ast.stmt | None:
    """The statement that adds the discounted value of the next state, from this call."""
    source = facts.source(site.file)
    statement = source.statement(site.node)
    if _adds_discounted(statement):
        return statement
    names = {patterns.name_of(t) for t in getattr(statement, "targets", [])} - {""}
    for node in ast.walk(scope):
        if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.Return)):
            continue
        if _adds_discounted(node) and names & set(patterns.names_below(node)):
            return node
    return None


def _adds_discounted(statement: ast.AST) -> bool:
    """reward + gamma * something."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and any(map(networks.discounts, (node.left, node.right)))
        for node in ast.walk(statement)
    )


def _knows_the_end(facts: Facts, site, scope: ast.AST, target: ast.stmt) -> bool:
    """A word for the end stands in the target, in an if around it, or in what its names are made of."""
    source = facts.source(site.file)
    looked_at: list[ast.AST] = [target]
    looked_at += [
        above.test for above in source.parents(target) if isinstance(above, (ast.If, ast.IfExp))
    ]
    names = set(patterns.names_below(target))
    for node in ast.walk(scope):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(names & set(patterns.names_below(t)) for t in targets):
                looked_at.append(node)
    return any(_says_end(name) for node in looked_at for name in patterns.names_below(node))


def _says_end(name: str) -> bool:
    return any(word in name.lower() for word in DONE_WORDS)


def _fix(facts: Facts, file: str, target: ast.stmt, scope: ast.AST) -> str:
    text = facts.source(file).text(target)
    done = next((n for n in patterns.names_below(scope) if _says_end(n)), None)
    if done is None and not isinstance(scope, ast.Module):
        given = [a.arg for a in ast.walk(scope) if isinstance(a, ast.arg) and _says_end(a.arg)]
        done = given[0] if given else None
    for discount in ("gamma *", "discount *", "0.99 *", "0.9 *", "0.95 *"):
        if discount in text:
            return telling.diff(
                text, text.replace(discount, f"{discount} (1 - {done or 'done'}) *", 1)
            )
    return telling.diff(text, f"{text} * (1 - {done or 'done'})")
