"""A finding in words: where, how often, how long, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qlearn.profiling.findings import Finding

if TYPE_CHECKING:
    from qlearn.profiling.facts import Facts, Site


def finding(
    facts: Facts,
    rule: str,
    why: str,
    site: Site,
    evidence: str,
    fix: str,
    *,
    seconds: float | None = None,
    parts: Iterable[Site] | None = None,
    sizes: dict[str, Any] | None = None,
    growth_mb: float = 0.0,
    faster: bool = True,
    trade: bool = False,
) -> Finding:
    """The share is of the working seconds; `faster=False`: mending it is for learning, not speed.
    `trade`: it learns something else then, too.

    `parts` are the places whose seconds these are, if not the site alone.
    """
    seconds = min(site.seconds if seconds is None else seconds, 0.99 * facts.working_seconds)
    share = seconds / facts.working_seconds if facts.working_seconds else 0.0
    return Finding(
        rule=rule,
        file=site.file,
        line=site.line,
        evidence=evidence,
        seconds=seconds,
        share=share,
        gain_limit=1 / (1 - share) if faster else 1.0,
        why=why,
        fix=fix,
        sizes=sizes or {},
        growth_mb=growth_mb,
        trade=trade,
        parts=tuple(part.node for part in ([site] if parts is None else parts)),
    )


def finding_of_all(
    facts: Facts,
    rule: str,
    why: str,
    sites: Sequence[Site],
    said: str,
    fix: str,
    *,
    seconds: float | None = None,
    saved: float = 1.0,
    parts: Sequence[Site] | None = None,
    sizes: dict[str, Any] | None = None,
) -> Finding:
    """One finding for several places of a kind, told at the first of them, the dearest.

    `seconds` are the places' own unless given; `saved`: the share of them that would go.
    """
    worst = sites[0]
    whole, calls = total(sites)
    seconds = whole if seconds is None else seconds
    others = other_lines(site for site in sites if site.line != worst.line)
    return finding(
        facts,
        rule,
        why,
        worst,
        said + amount(facts, seconds, calls) + others,
        fix,
        seconds=saved * seconds,
        parts=sites if parts is None else parts,
        sizes=sizes,
    )


def by_file(sites: Iterable[Site]) -> list[list[Site]]:
    """The places of each file, in the order given: of `facts`, the dearest first."""
    groups: dict[str, list[Site]] = {}
    for site in sites:
        groups.setdefault(site.file, []).append(site)
    return list(groups.values())


def amount(facts: Facts, seconds: float, calls: float | None) -> str:
    """`about 450,000 times, 0.61 s, 43 %`."""
    times = f"about {rounded(calls)} times, " if calls else ""
    share = seconds / facts.working_seconds if facts.working_seconds else 0.0
    return f"{times}{seconds:.2f} s, {100 * share:.0f} % of the working time"


def rounded(count: float) -> str:
    """Two digits: more would pretend to have counted what was estimated."""
    digits = max(len(str(int(count))) - 2, 0)
    return f"{round(int(count), -digits):,}"


def other_lines(sites: Iterable[Site]) -> str:
    lines = sorted({site.line for site in sites})
    return (
        f"; also in line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
        if lines
        else ""
    )


def diff(before: str, *after: str) -> str:
    """The user's lines with a minus, what to write with a plus."""
    taken = [f"- {line}" for line in before.splitlines()]
    return "\n".join([*taken, *(f"+ {line}" for text in after for line in text.splitlines())])


def total(sites: Iterable[Site]) -> tuple[float, float]:
    """Seconds and calls of several places."""
    sites = list(sites)
    return sum(s.seconds for s in sites), sum(s.calls or 0 for s in sites)


def outermost(facts: Facts, sites: Iterable[Site]) -> list[Site]:
    """Without those within another, whose seconds the other one has already."""
    by_node = {site.node: site for site in sites}
    return [
        site
        for node, site in by_node.items()
        if not by_node.keys() & set(facts.source(site.file).parents(node))
    ]
