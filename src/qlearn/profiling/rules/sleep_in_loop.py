"""The loop waits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "sleep-in-loop"
WHY = (
    "The program waits here, and nothing is computed meanwhile. Waiting is for people who watch: take "
    "it out of training, or put it where a game is shown."
)
WAITS = (
    "time.sleep", "matplotlib.pyplot.pause", "pygame.time.wait", "pygame.time.delay", "*.tick",
    "*.tick_busy_loop", "cv2.waitKey", "input",
)  # fmt: skip


def find(facts: Facts) -> Iterator[Finding]:
    groups: dict[str, list] = {}
    for site in facts.calls_to(*WAITS):
        if site.loops:
            groups.setdefault(site.file, []).append(site)
    for sites in groups.values():
        worst = max(sites, key=lambda s: s.seconds)
        seconds, calls = patterns.total(sites)
        yield patterns.finding(
            facts,
            RULE,
            WHY,
            worst,
            f"{worst.text} waits "
            + patterns.amount(facts, seconds, calls)
            + patterns.other_lines(s for s in sites if s.line != worst.line),
            _fix(facts, worst),
            seconds=seconds,
            parts=sites,
        )


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    if isinstance(facts.source(site.file).statement(site.node), ast.Expr):
        return patterns.diff(text, f"if watching:\n    {text}")
    return patterns.diff(text)
