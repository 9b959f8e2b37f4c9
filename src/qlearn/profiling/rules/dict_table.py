"""A Q-table in a dict whose keys are tuples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "dict-table"
WHY = (
    "Every access builds a tuple, hashes it and searches the dict, and the values of one state lie "
    "apart, so that a maximum needs a loop. A list with one row per state is indexed by a number, "
    "and its row is maximised by one call."
)
SECONDS_EACH = 8e-8  # build a tuple of two or three, hash it, find it


def find(facts: Facts) -> Iterator[Finding]:
    for file in patterns.user_files(facts):
        sites = [s for s in patterns.dict_tables(facts, file) if s.loops]
        if not sites:
            continue
        times = {id(s): patterns.executions(facts, s) for s in sites}
        worst = max(sites, key=lambda s: times[id(s)])
        count = sum(times.values())
        loops = [facts.site_of(file, loop) for s in sites for loop in _inner(facts, s)]
        parts = telling.outermost(facts, [*sites, *loops])
        seconds = sum(s.seconds for s in parts) or count * SECONDS_EACH
        name = patterns.name_of(worst.node.value)
        thing = patterns.seen(facts, worst, worst.node.value)
        entries = thing.size if thing is not None else 0
        text = thing is not None and thing.detail.get("key") == "str"
        kind = "texts made of states" if text else "tuples"
        yield telling.finding(
            facts,
            RULE,
            WHY,
            worst,
            f"{name} is a dict of {entries or 'many'} entries keyed by {kind}, "
            f"{'looped over by action' if loops else 'reached'}: "
            + telling.amount(facts, seconds, count)
            + telling.other_lines(s for s in sites if s is not worst),
            _fix(facts, worst, name),
            seconds=seconds,
            parts=parts,
            sizes={
                "entries": entries,
                "actions": _actions(facts, sites),
                "targets": any(map(networks.discounts, _nodes(loops))),
                "attribute": "." in name,
            },
        )


def _actions(facts: Facts, sites: list) -> int:
    """The length of the loop that goes over the keys' last part."""
    found = [patterns.trips(facts, s, loop) for s in sites for loop in _inner(facts, s)]
    return max((n for n in found if n > 1), default=4)


def _nodes(sites: list) -> Iterator[ast.AST]:
    return (node for site in sites for node in ast.walk(site.node))


def _inner(facts: Facts, site) -> list:
    """The loop whose variable ends the key."""
    key = site.node.slice
    last = patterns.name_of(key.elts[-1]) if isinstance(key, ast.Tuple) else ""
    loops = facts.source(site.file).loops(site.node)
    return [x for x in loops if isinstance(x, ast.For) and last == patterns.name_of(x.target)]


def _fix(facts: Facts, site, name: str) -> str:
    source = facts.source(site.file)
    key = site.node.slice
    state = "state" if not isinstance(key, ast.Tuple) else _state(source, key)
    action = source.text(key.elts[-1]) if isinstance(key, ast.Tuple) else "action"
    return telling.diff(
        f"{name} = {{(..., {action}): 0.0, ...}}\n{source.text(site.node)}",
        f"{name} = [[0.0] * len(actions) for _ in range(number_of_states)]\n"
        f"row = {name}[{state}]\nrow[{action}]; best = max(row)",
    )


def _state(source, key: ast.Tuple) -> str:
    parts = [source.text(part) for part in key.elts[:-1]]
    return (
        f"{parts[0]} * columns + {parts[1]}" if len(parts) == 2 else parts[0] if parts else "state"
    )


def proof(finding: Finding) -> Proof:
    sizes = finding.sizes
    actions = sizes["actions"]
    states = max(sizes["entries"] // actions, 2)
    if sizes["targets"]:
        before, after = TARGETS
    else:
        before, after = VALUES
    if sizes["attribute"]:
        before, after = (_with_self(text) for text in (before, after))
    return Proof(
        "class Agent: pass\nself = Agent()\nalpha, gamma, reward = 0.5, 0.9, -1\n"
        f"Q = {{(i, 0, a): 0.1 * a for i in range({states}) for a in range({actions})}}\n"
        f"table = [[0.1 * a for a in range({actions})] for i in range({states})]\n"
        f"actions = list(range({actions}))\ni, j, state = {states // 2}, 0, {states // 2}\n"
        "self.Q, self.table, self.actions = Q, table, actions\n"
        "self.alpha, self.gamma = alpha, gamma",
        before,
        after,
    )


VALUES = (
    "best = -1000\nfor a in actions:\n    value = Q[(i, j, a)]\n    if value > best:\n"
    "        best = value\nQ[(i, j, 0)] = 0.9 * Q[(i, j, 0)] + 0.1 * best",
    "row = table[state]\nrow[0] = 0.9 * row[0] + 0.1 * max(row)",
)
TARGETS = (  # computed for every action, and then the best of them
    "best = -1000\nfor a in actions:\n"
    "    value = (1 - alpha) * Q[(i, j, 0)] + alpha * (reward + gamma * Q[(i, j, a)])\n"
    "    if value > best:\n        best = value\nQ[(i, j, 0)] = best",
    "row = table[state]\n"
    "row[0] = (1 - alpha) * row[0] + alpha * (reward + gamma * max(table[state]))",
)


def _with_self(text: str) -> str:
    return re.sub(r"\b(Q|table|actions|alpha|gamma)\b", r"self.\1", text)
