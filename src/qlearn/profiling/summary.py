"""What a run's facts and findings are in the object of `profile --json`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from qlearn.auto.machine import processor_name
from qlearn.profiling.facts import NOTHING, Facts, short_name
from qlearn.profiling.findings import Finding
from qlearn.profiling.raw import MAIN, Raw
from qlearn.profiling.stages import OTHER

MOST_HOTSPOTS = 20
LEAST_LEFT = 0.05  # of the working time: no more than twentyfold is promised from a sum of findings


def summary(facts: Facts, seconds: dict[str, float], findings: Sequence[Finding]) -> dict[str, Any]:
    """The report's numbers; `seconds` are the stages'."""
    raw = facts.raw
    return {
        "total_seconds": facts.total_seconds,
        "cpu_seconds": raw.cpu_seconds,
        "startup_seconds": raw.startup_seconds,
        "working_seconds": facts.working_seconds if facts.working_seconds > NOTHING else 0.0,
        "stages": stages(seconds, facts.total_seconds),
        "hotspots": hotspots(facts),
        "peak_memory_mb": raw.peak_memory_mb,
        "memory": raw.memory,
        "findings": [finding.report() for finding in findings],
        "predicted_gain": predicted_gain(facts, findings),
        **_surroundings(raw),
    }


def _surroundings(raw: Raw) -> dict[str, Any]:
    """Where and how it was measured."""
    count = sum(sample.count for sample in raw.samples if sample.thread == MAIN)
    sampled = sum(sample.seconds for sample in raw.samples if sample.thread == MAIN)
    return {
        "end": asdict(raw.end),
        "python": raw.python,
        "modules": raw.modules,
        "machine": processor_name(),
        "torch_threads": raw.torch_threads,
        "lines": raw.lines,
        "allocations": raw.allocations,
        "operators": raw.operators,
        "trouble": raw.trouble,
        "measured": {
            "how": "functions" if raw.options.get("functions") else "sampling",
            "samples": count,
            "every_seconds": sampled / count if count else None,
            "calls_observed": raw.calls_observed,
            "cost_seconds": sum(raw.cost.values()),
        },
    }


def stages(seconds: dict[str, float], total: float) -> list[dict[str, Any]]:
    """The largest first, what could not be attributed last."""
    ordered = sorted(seconds.items(), key=lambda item: (item[0] == OTHER, -item[1]))
    return [
        {"name": name, "seconds": spent, "share": spent / total if total else 0.0}
        for name, spent in ordered
    ]


def hotspots(facts: Facts) -> list[dict[str, Any]]:
    """The functions that took the most themselves, the user's and the libraries'."""
    raw = facts.raw
    own: dict[tuple[str, str, int], float] = defaultdict(float)
    whole: dict[tuple[str, str, int], float] = defaultdict(float)
    for sample, stage in zip(raw.samples, facts.attribution.of_samples, strict=True):
        if sample.thread != MAIN or not sample.stack or stage == "imports":
            continue  # what importing takes is a stage of its own
        frames = [raw.frames[index] for index in sample.stack]
        keys = [(frame.file, frame.function, frame.first_line) for frame in frames]
        own[keys[-1]] += sample.seconds
        for key in set(keys):
            whole[key] += sample.seconds
    calls = {(c.file, c.first_line, short_name(c.function)): c.calls for c in raw.calls}
    hottest = sorted(whole, key=lambda key: -own[key])[:MOST_HOTSPOTS]
    return [
        {
            "function": function,
            "file": file,
            "line": line,
            "calls": calls.get((file, line, short_name(function))),
            "self_seconds": own[file, function, line],
            "cumulative_seconds": whole[file, function, line],
            "share": own[file, function, line] / facts.total_seconds,
        }
        for file, function, line in hottest
    ]


def predicted_gain(facts: Facts, findings: Sequence[Finding]) -> float:
    """How many times faster the work is with every finding followed, by their proofs if there are.

    Where several findings want the same seconds, the one that saves most of them counts.
    """
    samples = [(s.seconds, facts.nodes_around(s.stack)) for s in facts.working_samples()]
    saved, fractions = 0.0, []
    for finding in findings:
        if finding.trade:
            continue
        parts = set(finding.parts)
        covered = sum(seconds for seconds, nodes in samples if nodes & parts)
        if covered:
            fractions.append((parts, min(1.0, finding.saved_seconds / covered)))
        else:  # told from counts alone
            saved += finding.saved_seconds
    for seconds, nodes in samples:
        saved += seconds * max((share for parts, share in fractions if nodes & parts), default=0.0)
    return 1.0 / max(LEAST_LEFT, 1.0 - saved / facts.working_seconds)
