"""What synthesis found as one HTML page that needs nothing else: drawing, clocks, parts, rates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from qlearn import plotting
from qlearn.errors import UserError
from qlearn.hardware import diagram

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2733; --soft: #5b6b7a; --line: #dde3ea;
        --dot: #1d4ed8; --bar: #c2410c; --box: #f2f5f9; --store: #e6eefc; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161c; --ink: #e4eaf1; --soft: #9aa8b6; --line: #2d3743;
          --dot: #7aa2ff; --bar: #fb923c; --box: #1c232d; --store: #1b2a47; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       background: var(--paper); color: var(--ink); font-variant-numeric: tabular-nums; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; margin: 1.25rem 0; }
.tiles dt, .note, small { color: var(--soft); } .tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .35rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
@media (max-width: 30rem) { table { font-size: .9em; } th, td { padding: .35rem .25rem; } }
th { font-weight: 400; color: var(--soft); }
th:first-child, td:first-child { text-align: left; }
code { font-size: .85em; overflow-wrap: anywhere; }
.share { display: block; width: 4.5rem; height: .35rem; margin: .15rem 0 .1rem auto; border-radius: 2px; background: var(--line); }
.share i { display: block; height: 100%; border-radius: 2px; background: var(--dot); }
svg { display: block; width: 100%; height: auto; }
.diagram { max-width: 30rem; font: 13px system-ui, sans-serif; } .plot { max-width: 40rem; }
.diagram text { fill: var(--ink); } .diagram .soft { fill: var(--soft); font-size: 11.5px; }
.box { fill: var(--box); stroke: var(--line); } .store { fill: var(--store); stroke: var(--line); }
.wire { fill: none; stroke: var(--soft); stroke-width: 1.5; } .tip { fill: var(--soft); }
"""
ALONE = "default-src 'none'; style-src 'unsafe-inline'"
PLOT = 5.2, 3.2  # inches
# Matplotlib's colours as the page's own, which light and dark change.
COLOURS = {plotting.INK: "var(--ink)", plotting.PALE: "var(--line)", "#1d4ed8": "var(--dot)"}


def page(
    manifest: Mapping[str, Any],
    found: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    rings: bool = True,
) -> str:
    """`found` in full, and beside it the `results` of the same chip with other numbers of rings.

    Without `rings` it is the machine of one agent, which has neither pipeline nor neighbours.
    """
    alike = [each for each in results if each["device"] == found["device"]]
    name = escape(f"{manifest['name']} on {found['device']}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{ALONE}"><style>{STYLE}</style></head><body>
<h1>{name}</h1>
{_tiles(found)}
<h2>The circuit</h2>
{_circuit(manifest, found, rings)}
{_rates(alike) if rings else ""}
<h2>What it takes</h2>
{_resources(found["resources"])}
<h2>What limits the clock</h2>
{_limit(found)}
<p class="note">Placed and routed, not run on a chip: a clock is what nextpnr's timing analysis gives
for speed grade {found["speed_grade"]}. nextpnr places by chance; the clock is the median of
{len(found["seeds"])} seeds. Power cannot be measured here and is not told.</p>
</body></html>
"""


def _tiles(found: Mapping[str, Any]) -> str:
    mhz = found["mhz"]
    told = {
        "updates a second": billions(found["updates_per_second"]),
        "clock, median": f"{mhz['median']:.1f} MHz",
        "slowest and fastest seed": f"{mhz['min']:.1f} to {mhz['max']:.1f}",
        "agents": f"{found['rings'] * found['agents']:,}",
    }
    tiles = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items())
    return f'<dl class="tiles">{tiles}</dl>'


def billions(number: float) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.0f} million"


def _circuit(manifest: Mapping[str, Any], found: Mapping[str, Any], rings: bool) -> str:
    if not rings:
        clocks = found["clocks_per_update"]
        return f"<p>One agent, one step of its update after the other: {clocks} clocks each.</p>"
    said = escape(
        f"{manifest['agents']} agents take turns in each ring, one update a clock;"
        f" {manifest['depth']} clocks from a state to its new Q value."
        f" {manifest['states']:,} states, {manifest['actions']} actions, words {manifest['word']}."
    )
    return f"<p>{said}</p>{diagram.svg(manifest)}"


def _rates(alike: Sequence[Mapping[str, Any]]) -> str:
    return f"<h2>Updates a second</h2>{plot(alike)}{_builds(alike)}"


def _builds(alike: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f"{each['rings']}",
            f"{each['mhz']['median']:.1f}",
            f"{each['mhz']['min']:.1f} .. {each['mhz']['max']:.1f}",
            f"{len(each['seeds'])}",
            billions(each["updates_per_second"]),
        )
        for each in alike
    ]
    return _table(("rings", "MHz", "over seeds", "seeds", "updates/s"), rows)


def _resources(resources: Mapping[str, Mapping[str, int]]) -> str:
    rows = []
    for name, count in resources.items():
        share = count["used"] / count["of"]
        bar = f'<span class="share"><i style="width:{100 * share:.1f}%"></i></span>'
        rows.append((name, f"{count['used']:,}", f"{count['of']:,}", f"{share:.1%}{bar}"))
    return _table(("", "used", "there are", "share"), rows)


def _limit(found: Mapping[str, Any]) -> str:
    path = found["critical_path"]
    logic, routing = path["logic_ns"], path["routing_ns"]
    return (
        f"<p>In the slowest placement, {logic + routing:.2f} ns from <code>{escape(path['from'])}</code>"
        f" to <code>{escape(path['to'])}</code>: {logic:.2f} ns in logic, {routing:.2f} ns on wires.</p>"
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(cells, "td") for cells in rows)
    return f'<div class="wide"><table><thead>{line(headings, "th")}</thead><tbody>{body}</tbody></table></div>'


def plot(alike: Sequence[Mapping[str, Any]]) -> str:
    """Updates a second against rings: medians as dots, from the slowest to the fastest seed."""
    try:
        made = plotting.figure(*PLOT)
    except UserError as error:
        return f'<p class="note">No plot: {escape(str(error))}</p>'
    made.patch.set_alpha(0)
    axes = made.add_axes((0.13, 0.17, 0.84, 0.78), facecolor="none")
    rings = [each["rings"] for each in alike]
    rates = {
        key: [each["rings"] * each["mhz"][key] / 1e3 for each in alike]
        for key in ("median", "min", "max")
    }
    dot = next(colour for colour, named in COLOURS.items() if named == "var(--dot)")
    axes.vlines(rings, rates["min"], rates["max"], color=dot, linewidth=2)
    axes.plot(rings, rates["median"], "o", color=dot, markersize=6)
    axes.set_xlim(0, 1.1 * max(rings))
    axes.set_ylim(0, 1.15 * max(rates["max"]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("rings")
    axes.set_ylabel("billion updates/s")
    axes.grid(color=plotting.PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    for part in (axes.xaxis.label, axes.yaxis.label):
        part.set(color=plotting.INK, fontsize=plotting.NORMAL)
    axes.tick_params(colors=plotting.INK, labelsize=plotting.SMALL)
    for side in axes.spines.values():
        side.set_visible(False)
    return _inline(plotting.svg(made).decode())


def _inline(drawn: str) -> str:
    """Matplotlib's drawing as part of a page: without the file's head, in the page's colours."""
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(<svg[^>]*?) (?:width|height)="[\d.]+pt"', r"\1", drawn)
    drawn = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r'\1 class="plot"', drawn)
    for colour, named in COLOURS.items():
        drawn = drawn.replace(colour, named)
    return drawn
