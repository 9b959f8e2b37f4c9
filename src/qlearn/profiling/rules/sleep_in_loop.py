"""The loop waits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
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
    for sites in telling.by_file(site for site in facts.calls_to(*WAITS) if site.loops):
        worst = sites[0]
        yield telling.finding_of_all(
            facts, RULE, WHY, sites, f"{worst.text} waits ", _fix(facts, worst)
        )


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    if isinstance(facts.source(site.file).statement(site.node), ast.Expr):
        return telling.diff(text, f"if watching:\n    {text}")
    return telling.diff(text)
