"""A training step after every single step: a trade, not a fault."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "learn-every-step"
WHY = (
    "Each step of the environment pays for a whole forward, backward and optimiser step. Learning "
    "every fourth step, as DQN was first published, takes a quarter of that; it may need more steps "
    "to learn as much, so compare the score as well."
)
EVERY = 4
GAME_STEP = "play_step"  # of one game, by a row of zeros with a one in it


def find(facts: Facts) -> Iterator[Finding]:
    for site in facts.sites(ast.Call):
        called = _learning(facts, site)
        if called is None or not site.loops or not _beside_a_single_step(facts, site):
            continue
        seconds = site.seconds * (1 - 1 / EVERY)
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"{called} runs after every step of one environment: "
            + telling.amount(facts, site.seconds, site.calls)
            + f", of which every {EVERY}th would be left; learning less often is a trade: fewer updates, more steps",
            _fix(facts, site),
            seconds=seconds,
            trade=True,
        )


def _learning(facts: Facts, site) -> str | None:
    """The name of the called function, where that goes backward, itself or by one it calls."""
    name = _last(site.node)
    found = _defined(facts, {name})
    inner = {_last(call) for function in found for call in patterns.calls_below(function)}
    learned = any(networks.learns(function) for function in [*found, *_defined(facts, inner)])
    return name if found and learned else None


def _last(call: ast.Call) -> str:
    return patterns.name_of(call.func).rsplit(".", 1)[-1]


def _defined(facts: Facts, names: set[str]) -> list[ast.AST]:
    """The functions of these names in any of the user's files."""
    sources = [facts.source(file) for file in patterns.user_files(facts)]
    return [node for source in sources for _, node in source.functions() if node.name in names]


def _beside_a_single_step(facts: Facts, site) -> bool:
    """In the same loop as env.step(action) of one action, and under no `% n`."""
    source = facts.source(site.file)
    loops = source.loops(site.node)
    if not loops or _seldom(source, site, loops[0]):
        return False
    for call in patterns.calls_below(loops[0]):
        called = getattr(call.func, "attr", "")
        stepped = called in ("step", GAME_STEP) and call.args
        if stepped and source.loops(call)[:1] == loops[:1]:
            thing = patterns.seen(facts, site, call.args[0])
            single = thing is None or thing.size <= 1 or thing.kind in patterns.NUMBERS
            return single or called == GAME_STEP
    return False


def _seldom(source, site, loop: ast.AST) -> bool:
    for above in source.parents(site.node):
        if above is loop:
            return False
        if isinstance(above, ast.If) and any(isinstance(n, ast.Mod) for n in ast.walk(above.test)):
            return True
    return False


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    inside = "\n".join(f"    {line}" for line in text.splitlines())
    return telling.diff(text, f"if step % {EVERY} == 0:\n{inside}")
