"""Plots or frames drawn while learning."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding

RULE = "plot-in-loop"
WHY = (
    "Drawing a figure or a frame takes milliseconds, as long as thousands of steps. Draw once in the "
    "end, or every so many seconds; a frame nobody looks at costs as much as one somebody does."
)
DRAWS = (
    "matplotlib.pyplot.*", "pygame.display.*", "pygame.draw.*", "cv2.imshow", "*.render", "*.draw",
    "*.blit", "*.canvas.draw", "*.flush_events", "*.savefig", "seaborn.*", "*.imshow",
)  # fmt: skip
NOT_DRAWING = ("pause", "close", "ion", "ioff", "figure", "set_caption")
LEAST_CALLS = 3


def find(facts: Facts) -> Iterator[Finding]:
    drawn = [
        site
        for site in facts.calls_to(*DRAWS)
        if _last(facts, site) not in NOT_DRAWING and site.loops and (site.calls or 9) >= LEAST_CALLS
    ]
    for sites in telling.by_file(telling.outermost(facts, drawn)):
        worst = sites[0]
        yield telling.finding_of_all(
            facts, RULE, WHY, sites, f"{worst.text} in the loop: ", _fix(facts, worst)
        )
    yield from _shown_by_gymnasium(facts)


def _last(facts: Facts, site) -> str:
    return facts.source(site.file).resolve(site.node).rpartition(".")[2]


def _shown_by_gymnasium(facts: Facts) -> Iterator[Finding]:
    """`gym.make(..., render_mode="human")` draws and waits within step()."""
    for site in facts.calls_to("gymnasium.make", "gym.make", "gymnasium.make_vec"):
        modes = [k.value for k in site.node.keywords if k.arg == "render_mode"]
        if modes and isinstance(modes[0], ast.Constant) and modes[0].value == "human":
            seconds = facts.stages.get("plotting", 0.0) + facts.stages.get("sleeping", 0.0)
            yield telling.finding(
                facts,
                RULE,
                WHY,
                site,
                f"{site.text} draws every step, and waits for the screen: "
                + telling.amount(facts, seconds, None),
                telling.diff(site.text, site.text.replace("human", "rgb_array")),
                seconds=seconds,
            )


def _fix(facts: Facts, site) -> str:
    text = patterns.statement_text(facts, site)
    return telling.diff(f"    {text}  # every time", f"{text}  # once, after the loop")
