"""A finding as a card: what was seen, why it is slow, the line, the change, the proof."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from html import escape
from typing import Any

from qlearn.profiling.report import markup, words
from qlearn.profiling.report.excerpt import excerpt

DIFF = {"-": "out", "+": "in"}


def card(number: int, finding: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    where = escape(words.place(finding["file"], finding["line"], report))
    return (
        f'<article class="card" id="change-{number}" aria-labelledby="title-{number}">'
        f'<div class="head"><div><h3 id="title-{number}">{number}. '
        f"{escape(words.heading(finding))}</h3>"
        f"<p><code>{where}</code> <code>{escape(finding['rule'])}</code></p></div>"
        f"{_gain(finding)}</div>"
        f'<div class="sides"><div><p class="evidence">{escape(finding["evidence"])}</p>'
        f"<p>{escape(finding['why'])}</p>{_proof(finding, report)}</div>"
        f"<div>{_code(finding, where)}{_diff(finding['fix'])}</div></div></article>"
    )


def _gain(finding: Mapping[str, Any]) -> str:
    if not words.saves_time(finding):
        return f'<p class="gain">{words.gain(finding)}</p>'
    return (
        f'<p class="gain"><b>{words.share(finding["share"])}</b> of the working time'
        f'<i class="bar" style="--w:{min(1, finding["share"]):.4f}"></i>'
        f"<span>{words.gain(finding)}</span></p>"
    )


def _code(finding: Mapping[str, Any], where: str) -> str:
    rows = "".join(
        f'<span class="row{" marked" if line.marked else ""}"><i>{line.number}</i>'
        f"{markup.python(line.text)}\n</span>"
        for line in excerpt(finding["file"], finding["line"], finding.get("end_line"))
    )
    return markup.code(rows, where) if rows else ""


def _diff(fix: str) -> str:
    rows = "".join(
        f'<span class="row {DIFF.get(line[:1], "")}">{markup.python(line)}\n</span>'
        for line in textwrap.dedent(fix).strip("\n").split("\n")
    )
    return markup.code(rows, "the change", "diff")


def _proof(finding: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    proof = finding.get("proof")
    if not proof:
        return ""
    times = {"before": proof["before_seconds"], "after": proof["after_seconds"]}
    largest = max(times.values()) or 1.0
    rows = "".join(
        f'<dt>{name}</dt><dd><i class="bar {name}" style="--w:{value / largest:.4f}"></i>'
        f"<b>{words.seconds(value)}</b></dd>"
        for name, value in times.items()
    )
    command = finding.get("command") or words.again(report, "--prove")
    return (
        f'<div class="proof"><p>Measured on this machine, at the sizes seen in this run:'
        f" <b>{words.times(proof['speedup'])}</b></p><dl>{rows}</dl></div>"
        f"{markup.command(command)}"
    )
