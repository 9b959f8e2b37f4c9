"""What `profile` found as one HTML page that needs nothing else, not even a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from qlearn.profiling.report import charts, flame, listing, markup, words
from qlearn.profiling.report.cards import card
from qlearn.runs.files import explained, write_bytes

ALONE = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def write(
    path: Path | str,
    report: Mapping[str, Any],
    raw: Any = None,
    stage_of: Sequence[str] | None = None,
) -> None:
    _save(Path(path), page(report, raw, stage_of))


def write_flame(
    path: Path | str, report: Mapping[str, Any], raw: Any, stage_of: Sequence[str] | None = None
) -> None:
    """The flame graph alone."""
    _save(Path(path), _document(report, [_flame(report, raw, stage_of)], raw))


def page(report: Mapping[str, Any], raw: Any = None, stage_of: Sequence[str] | None = None) -> str:
    """`raw` brings the flame graph; `stage_of`, the stage of each of its samples, its colours."""
    sections = [
        _stages(report, raw, stage_of),
        *_findings(report),
        _flame(report, raw, stage_of) if raw is not None else None,
        _hotspots(report),
        _lines(report),
        _operators(report, raw),
        _memory(report),
        _outlook(report),
    ]
    return _document(report, sections, raw)


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, path.parent) from None
    write_bytes(path, text.encode(errors="replace"))


def _document(report: Mapping[str, Any], sections: Sequence[Section | None], raw: Any) -> str:
    shown = [section for section in sections if section]
    body = "".join(section.html() for section in shown)
    title = escape(words.script(report))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{ALONE}">
<title>{title} · qlearn profile</title>
<style>{_asset("page.css")}</style></head>
<body>
<a class="skip" href="#content">to the content</a>
{_header(report, shown)}
<main id="content">{body}</main>
{_footer(report, raw)}
<script>{_asset("page.js")}</script>
</body></html>
"""


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


class Section(NamedTuple):
    name: str
    title: str
    body: str
    command: str = ""  # that measures it again

    def html(self) -> str:
        line = markup.command(self.command) if self.command else ""
        return f'<section id="{self.name}"><h2>{self.title}</h2>{self.body}{line}</section>'


def _header(report: Mapping[str, Any], sections: Sequence[Section]) -> str:
    tiles = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _tiles(report) if value
    )
    links = "".join(f'<a href="#{each.name}">{each.title}</a>' for each in sections)
    ending = words.ending(report)
    notice = f'<p class="notice">{escape(ending)}</p>' if ending else ""
    return (
        f'<header><p class="kind">qlearn profile</p><h1>{escape(words.script(report))}</h1>'
        f'{notice}<dl class="tiles">{tiles}</dl><nav aria-label="sections">{links}</nav></header>'
    )


def _tiles(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("in all", words.seconds(report["total_seconds"])),
        ("working", words.seconds(report.get("working_seconds"))),
        ("processor time", words.seconds(report.get("cpu_seconds"))),
        ("memory at most", words.megabytes(report.get("peak_memory_mb"))),
        ("as fast by all changes", words.together(report)),
        ("as fast by qlearn", words.times((report.get("instead") or {}).get("speedup"))),
    ]


def _stages(report: Mapping[str, Any], raw: Any, stage_of: Sequence[str] | None) -> Section:
    stages = words.ordered(report["stages"])
    body = charts.strip(stages) + charts.bars(stages)
    if raw is not None and stage_of and not words.by_timers(report):
        drawn = charts.over_time(raw, stage_of, [stage["name"] for stage in stages])
        body += f"<h3>From beginning to end</h3>{drawn}" if drawn else ""
    return Section("stages", "Where the time goes", body, words.again(report))


def _findings(report: Mapping[str, Any]) -> Iterator[Section]:
    """What saves time first; what is for learning's sake is another matter."""
    for name, title, faster in (
        ("changes", "What to change", True),
        ("learning", "What it learns", False),
    ):
        cards = [card(*pair, report) for pair in words.numbered(report, faster)]
        if cards:
            yield Section(name, title, "".join(cards))
    if not report["findings"] and not words.by_timers(report):
        nothing = "Nothing that a rule knows takes 1 % of the working time."
        yield Section("changes", "What to change", f'<p class="note">{nothing}</p>')


def _flame(report: Mapping[str, Any], raw: Any, stage_of: Sequence[str] | None) -> Section | None:
    root = flame.tree(raw, stage_of)
    if not root.seconds:
        return None
    drawn = flame.drawn(root, report)
    colours = {stage: charts.colour(stage) for stage in root.stages}
    data = json.dumps(drawn | {"colours": colours}, separators=(",", ":")).replace("<", "\\u003c")
    body = (
        '<div class="tools"><input type="search" id="find" placeholder="function or file"'
        ' aria-label="search the flame graph">'
        '<button type="button" id="whole" disabled>show all</button>'
        '<p class="hint">Click zooms in. Arrows move, Enter zooms, Escape shows all.</p></div>'
        '<div class="flame" id="flame" role="tree" aria-label="flame graph"></div>'
        '<p class="status" id="status" role="status">&nbsp;</p>'
        "<noscript><p>The flame graph needs JavaScript.</p></noscript>"
        f'<script type="application/json" id="calls">{data}</script>'
    )
    return Section("flame-graph", "Flame graph", body, words.again(report, "--flame"))


def _hotspots(report: Mapping[str, Any]) -> Section | None:
    spots = words.spots(report)
    if not spots:
        return None
    exact = (report.get("measured") or {}).get("calls_observed", 1.0) >= 1.0
    heads = ("function", "calls", "own", "with callees", "share")
    table = markup.table(heads, [_spot(spot, exact, report) for spot in spots])
    return Section("functions", "Functions", table, words.again(report))


def _spot(spot: Mapping[str, Any], exact: bool, report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    name = f"<code>{escape(spot['function'])}</code>"
    where = f"<small>{escape(words.place(spot['file'], spot['line'], report))}</small>"
    own, whole, share = (spot[key] for key in ("self_seconds", "cumulative_seconds", "share"))
    bar = f'<i class="bar" style="--w:{min(1, share):.4f}"></i>'
    return [
        (name + where, spot["function"]),
        (words.count(spot["calls"], exact), spot["calls"]),
        (words.seconds(own), own),
        (words.seconds(whole), whole),
        (words.share(share) + bar, share),
    ]


def _lines(report: Mapping[str, Any]) -> Section | None:
    made = listing.listings(report.get("lines"))
    body = "".join(_listing(each, report) for each in made)
    return Section("lines", "Line by line", body, words.again(report, "--line")) if made else None


def _listing(listed: listing.Listing, report: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<span class="row" style="--heat:{row.heat:.3f}"><i>{row.number}</i>'
        f"<em>{words.seconds(row.seconds) if row.seconds else ''}</em>"
        f"<em>{words.count(row.hits, False)}</em>{markup.python(row.text.expandtabs(4))}\n</span>"
        for row in listed.rows
    )
    where = escape(words.place(listed.file, listed.rows[0].number, report))
    name = escape(listed.function)
    return f"<h3><code>{name}</code> <small>{where}</small></h3>" + markup.code(
        rows, name, "code heated"
    )


def _operators(report: Mapping[str, Any], raw: Any) -> Section | None:
    operators = getattr(raw, "operators", None)
    if not operators:
        return None
    rows = [
        [
            (f"<code>{escape(row['name'])}</code>", row["name"]),
            (words.count(row["calls"]), row["calls"]),
            (words.seconds(row["cpu_seconds"]), row["cpu_seconds"]),
            (words.seconds(row["device_seconds"]), row["device_seconds"]),
        ]
        for row in operators
    ]
    body = markup.table(("operator", "calls", "processor", "device"), rows)
    return Section("operators", "PyTorch operators", body, words.again(report, "--torch"))


def _allocations(report: Mapping[str, Any]) -> str:
    rows = [
        [
            (_line_of(row, report), f"{row['file']}:{row['line']}"),
            (f"{row['mb']:.1f} MB", row["mb"]),
            (f"{row['growth_mb']:+.1f} MB", row["growth_mb"]),
        ]
        for row in report.get("allocations") or ()
    ]
    return markup.table(("line", "holds", "grown by"), rows) if rows else ""


def _line_of(row: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    text = escape(listing.text_of(row["file"], row["line"]))
    where = escape(words.place(row["file"], row["line"], report))
    return f"<code>{text}</code><small>{where}</small>"


def _memory(report: Mapping[str, Any]) -> Section | None:
    drawn = charts.memory(report.get("memory") or [])
    if not drawn:
        return None
    peak = words.megabytes(report.get("peak_memory_mb"))
    grown = words.growth(report)
    body = f'{drawn}<p class="note">At most {peak}; {grown:+,.0f} MB since the imports.</p>'
    body += _allocations(report)
    return Section("memory", "Memory over time", body, words.again(report, "--memory"))


def _outlook(report: Mapping[str, Any]) -> Section | None:
    """What the changes come to, and what trains the same in one command."""
    together, instead = words.together(report), report.get("instead")
    body = ""
    if together:
        how = escape(words.outlook(report))
        body += f"<p>With these changes: <b>{together} as fast</b>, {how}.</p>"
    if instead:
        said = escape(words.instead(report))
        body += f"<p>The same training by qlearn: <b>{said}</b>.</p>"
        body += markup.command(instead["command"])
    return Section("instead", "How fast it can be", body) if body else None


def _footer(report: Mapping[str, Any], raw: Any) -> str:
    trouble = "; ".join(getattr(raw, "trouble", []))
    facts = [words.versions(report), str(report.get("machine") or "")]
    facts.append(f"Measuring itself had trouble: {trouble}" if trouble else "")
    lines = "".join(f"<p>{escape(fact)}</p>" for fact in facts if fact)
    artifacts = "".join(
        f"<dt>{escape(name)}</dt><dd><code>{escape(str(path))}</code></dd>"
        for name, path in (report.get("artifacts") or {}).items()
    )
    return (
        f"<footer><h2>How this was measured</h2><p>{escape(words.measured(report))}</p>{lines}"
        f"{f'<dl>{artifacts}</dl>' if artifacts else ''}</footer>"
    )
