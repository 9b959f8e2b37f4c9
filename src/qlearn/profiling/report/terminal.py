"""What `profile` found, on a terminal: the most important first, and short."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from qlearn.profiling.report import listing, words

WIDTH = 100  # where nobody's terminal says
BAR = 28
MUCH = 0.2  # of the peak: growth that is worth a word
STAGES, HOTSPOTS, LINES = 9, 6, 6  # the page has them all
LONGEST_NAME = 28  # the place beside it says the rest
EXPLAINED, FINDINGS = 4, 9  # the first with reason and change, the next a line each
STAGE_COLOURS = {
    "playing": "blue",
    "data": "green",
    "learning": "magenta",
    "showing": "yellow",
    "waiting": "bright_black",
    "rest": "bright_black",
}
DIFF = {"-": "red", "+": "green"}


def show(report: Mapping[str, Any], file: IO[str] | None = None, width: int | None = None) -> None:
    console = Console(file=file, width=width, highlight=False)
    if not console.is_terminal and width is None and "COLUMNS" not in os.environ:
        console = Console(file=file, width=WIDTH, highlight=False)
    with console.capture() as held:
        _print(report, console)
    said = held.get().encode(console.encoding, "replace").decode(console.encoding)
    if not console.is_terminal:  # what fills up lines to the width is of no use in a file
        said = "\n".join(line.rstrip(" ") for line in said.split("\n"))
    console.file.write(said)


def text(report: Mapping[str, Any], width: int = WIDTH) -> str:
    page = io.StringIO()
    show(report, page, width)
    return page.getvalue()


def _print(report: Mapping[str, Any], console: Console) -> None:
    for part in _parts(report, console.encoding.lower().startswith("utf")):
        console.print(part)
    for name, path in (report.get("artifacts") or {}).items():
        console.print(Text.assemble((f"{name:10} ", "bright_black"), str(path)), soft_wrap=True)
    console.print(Text(words.measured(report), "bright_black"))


def _parts(report: Mapping[str, Any], fine: bool) -> Iterator[RenderableType]:
    yield _head(report)
    if words.ending(report):
        yield Text(words.ending(report), "yellow")
    yield from _section("where the time goes", _stages(report, fine))
    yield from _changes(report)
    if words.spots(report):
        yield from _section("functions with the most time of their own", _hotspots(report))
    if report.get("lines"):
        yield from _section("the dearest lines", _lines(report))
    if report.get("allocations"):
        yield from _section("memory by line", _allocations(report))
    outlook = list(_outlook(report))
    if outlook:
        yield from _section("how fast it can be", *outlook)
    yield Text()


def _section(title: str, *body: RenderableType) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, "bold")
    for part in body:
        yield Padding(part, (0, 0, 0, 2))


def _head(report: Mapping[str, Any]) -> RenderableType:
    facts = [f"{words.seconds(report['total_seconds'])} in all"]
    if report.get("working_seconds"):
        facts.append(f"{words.seconds(report['working_seconds'])} of it working")
    if report.get("cpu_seconds"):
        facts.append(f"{words.seconds(report['cpu_seconds'])} of processor time")
    if report.get("peak_memory_mb"):
        facts.append(f"{words.megabytes(report['peak_memory_mb'])} at most")
    if words.growth(report) > MUCH * (report.get("peak_memory_mb") or 0):
        facts.append(f"grown by {words.megabytes(words.growth(report))}")
    return Text.assemble((words.script(report), "bold"), "\n", ", ".join(facts))


def _stages(report: Mapping[str, Any], fine: bool) -> RenderableType:
    stages = words.ordered(report["stages"])
    largest = max((stage["share"] for stage in stages), default=0) or 1
    table = _grid(4)
    named = [stage for stage in stages if stage["name"] != words.OTHER]
    for stage in named[:STAGES] + stages[len(named) :]:
        family, _ = words.family(stage["name"])
        length = round(BAR * stage["share"] / largest)
        bar = Text(("█" if fine else "#") * length, STAGE_COLOURS[family])
        numbers = words.share(stage["share"]), words.seconds(stage["seconds"])
        table.add_row(words.title(stage["name"]), bar, *numbers)
    rest = named[STAGES:]
    if rest:
        share, seconds = (sum(stage[key] for stage in rest) for key in ("share", "seconds"))
        table.add_row(f"{len(rest)} others", "", words.share(share), words.seconds(seconds))
    return table


def _changes(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    faster, learning = words.numbered(report, True), words.numbered(report, False)
    if faster:
        yield from _section(_faster_title(faster, report), *_findings(faster, report))
    if learning:
        yield from _section("what it learns", *_findings(learning, report))
    if not report["findings"] and not words.by_timers(report):
        nothing = "Nothing that a rule knows takes 1 % of the working time or more."
        yield from _section("what to change", Text(nothing))


def _faster_title(faster: Sequence[Any], report: Mapping[str, Any]) -> str:
    together = words.together(report)
    return f"what to change ({len(faster)} found{f'; all together {together}' if together else ''})"


def _findings(
    findings: Sequence[tuple[int, Mapping[str, Any]]], report: Mapping[str, Any]
) -> Iterator[RenderableType]:
    reasons: set[str] = set()
    for number, finding in findings[:EXPLAINED]:
        if reasons:
            yield Text()
        parts = [_finding_head(finding, report), *_finding(finding, finding["why"] not in reasons)]
        yield _numbered(number, Group(*parts))
        reasons.add(finding["why"])
    if findings[EXPLAINED:]:
        yield Text()
    for number, finding in findings[EXPLAINED:FINDINGS]:
        yield _numbered(number, _finding_head(finding, report))
    if len(findings) > FINDINGS:
        yield Text(f"and {len(findings) - FINDINGS} smaller ones: see the page")


def _numbered(number: int, body: RenderableType) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_row(f"{number}.", body)
    return table


def _finding_head(finding: Mapping[str, Any], report: Mapping[str, Any]) -> Text:
    where = words.place(finding["file"], finding["line"], report)
    head = Text.assemble((finding["rule"], "bold cyan"), f"  {where}")
    if not words.saves_time(finding):
        return head
    most = words.most(finding)
    head.append("  ")
    head.append(words.share(finding["share"]), "bold")
    return head.append(f" of the working time{f', {most}' if most else ''}")


def _finding(finding: Mapping[str, Any], explained: bool) -> Iterator[RenderableType]:
    yield Text(finding["evidence"])
    if explained:
        yield Text(finding["why"], "bright_black")
    yield Padding(_diff(finding["fix"]), (0, 0, 0, 2))
    if finding.get("proof"):
        yield Text(_proof(finding["proof"]), "green")


def _diff(fix: str) -> Text:
    lines = textwrap.dedent(fix).strip("\n").split("\n")
    return Text("\n").join(Text(line, DIFF.get(line[:1], "")) for line in lines)


def _proof(proof: Mapping[str, Any]) -> str:
    before, after = (words.seconds(proof[key]) for key in ("before_seconds", "after_seconds"))
    return f"measured here: {before} -> {after}, {words.times(proof['speedup'])}"


def _hotspots(report: Mapping[str, Any]) -> RenderableType:
    exact = (report.get("measured") or {}).get("calls_observed", 1.0) >= 1.0
    table = _grid(5)
    for column in table.columns[:4]:
        column.no_wrap = True
    table.add_row(
        *(Text(name, "bright_black") for name in ("", "share", "calls", "own time", "where"))
    )
    for spot in words.spots(report)[:HOTSPOTS]:
        table.add_row(
            escape(_cut(spot["function"])),
            words.share(spot["share"]),
            words.count(spot["calls"], exact),
            words.seconds(spot["self_seconds"]),
            escape(words.place(spot["file"], spot["line"], report)),
        )
    return table


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _lines(report: Mapping[str, Any]) -> RenderableType:
    table = _grid(4)
    for row in listing.hottest(report["lines"], LINES):
        table.add_row(
            escape(words.place(row["file"], row["line"], report)),
            escape(listing.text_of(row["file"], row["line"])),
            words.count(row["hits"], False),
            words.seconds(row["seconds"]),
        )
    return table


def _allocations(report: Mapping[str, Any]) -> RenderableType:
    table = _grid(4)
    for row in report["allocations"][:LINES]:
        table.add_row(
            escape(words.place(row["file"], row["line"], report)),
            escape(listing.text_of(row["file"], row["line"])),
            words.megabytes(row["mb"]),
            f"{row['growth_mb']:+.1f} MB",
        )
    return table


def _outlook(report: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What the changes come to, and what trains the same in one command."""
    together = words.together(report)
    if together:
        head = ("these changes  ", ""), (f"{together} as fast", "bold")
        yield Text.assemble(*head, f", {words.outlook(report)}")
    if report.get("instead"):
        head = (f"{report['instead']['command']}  ", "bold cyan"), (words.instead(report), "bold")
        yield Text.assemble(*head)


def _grid(columns: int) -> Table:
    table = Table.grid(padding=(0, 2))
    for k in range(columns):
        table.add_column(justify="right" if 2 <= k < 4 else "left")
    return table
