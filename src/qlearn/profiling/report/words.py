"""How numbers, places and stages are said, the same in the terminal and on the page."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

OTHER = "other"
TITLES = {
    "acting": "choosing actions",
    "update": "updating values",
    "converting": "converting to tensors",
    "env": "environment",
    "act": "choosing actions",
    "table_copy": "copying tables",
    OTHER: "not attributed",
}
FAMILIES = {
    "playing": ("environment", "acting", "env", "act"),
    "data": ("storing", "sampling", "converting", "table_copy", "replay", "store", "sample"),
    "learning": ("forward", "loss", "backward", "optimiser", "target_update", "update", "learn"),
    "showing": (
        "plotting",
        "logging",
        "sleeping",
        "imports",
        "compiling",
        "log",
        "view",
        "checkpoint",
    ),
}
ENDINGS = {
    "error": "The script failed; what is shown was measured until then.",
    "stopped": "Stopped before its end; what is shown was measured until then.",
    "killed": "The process ended at once; its last second may be missing.",
}
LIBRARIES = ("site-packages", "dist-packages")
FEW = 10  # below, a digit after the point is worth reading
LEAST_GAIN = 1.05  # below, it is not worth a word


def title(stage: str) -> str:
    return TITLES.get(stage, stage.replace("_", " "))


def ordered(stages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that took time, the largest first; what could not be attributed stands last."""
    taken = [stage for stage in stages if stage["seconds"] > 0]
    return sorted(taken, key=lambda stage: (stage["name"] == OTHER, -stage["seconds"]))


def family(stage: str) -> tuple[str, int]:
    """Which kind of work a stage is, and which of its kind: what it is coloured by."""
    for name, stages in FAMILIES.items():
        if stage in stages:
            return name, stages.index(stage)
    return ("rest", 0) if stage == OTHER else ("learning", sum(stage.encode()) % 7)


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 60:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest:02d} s"
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * scale >= 1:
            return f"{_three_digits(value * scale)} {unit}"
    return f"{_three_digits(value * 1e9)} ns" if value > 0 else "0 s"


def share(value: float) -> str:
    percent = 100 * value
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %" if percent < FEW else f"{percent:.0f} %"


def count(value: float | None, exact: bool = True) -> str:
    if value is None:
        return ""
    if exact or value < FEW:
        return f"{round(value):,}"
    if value >= 1e6:
        return f"≈ {value / 1e6:,.1f} M"
    step = 10 ** (math.floor(math.log10(value)) - 1)
    return f"≈ {round(value / step) * step:,}"


def times(value: float | None) -> str:
    """A speedup; nothing where there is none to say."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:,.0f}x" if value >= FEW else f"{value:.1f}x"


def megabytes(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value / 1000:.1f} GB" if value >= 1000 else f"{value:.0f} MB"


def place(file: str, line: int | None, report: Mapping[str, Any]) -> str:
    """FILE:LINE as short as it stays clear: below the script's folder, or inside a library."""
    path = Path(file)
    target = report.get("target")
    home = Path(target).absolute().parent if target else Path.cwd()
    parts = path.parts
    for folder in LIBRARIES:
        if folder in parts:
            path = Path(*parts[len(parts) - parts[::-1].index(folder) :])
            break
    else:
        if path.is_relative_to(home):
            path = path.relative_to(home)
        elif path.is_absolute():
            path = Path(path.name)
    return f"{path}:{line}" if line else str(path)


def script(report: Mapping[str, Any]) -> str:
    """What was profiled, as it was typed."""
    return shlex.join([str(report.get("target") or "script"), *map(str, report.get("argv") or ())])


def again(report: Mapping[str, Any], *options: str) -> str:
    """The command that measures a number again."""
    typed = list(map(str, report.get("options") or ()))
    line = ["qlearn", "profile", str(report.get("target") or "script"), *typed]
    line += [option for option in options if option not in typed]
    argv = list(map(str, report.get("argv") or ()))
    return shlex.join([*line, "--", *argv] if argv else line)


def gain(finding: Mapping[str, Any]) -> str:
    """The most that a change can do for the whole run."""
    limit = finding.get("gain_limit")
    if limit is not None and limit <= 1.0:
        return "changes what is learned"
    return f"at most {times(limit)} faster without it" if times(limit) else ""


def together(report: Mapping[str, Any]) -> str:
    """What all changes together are thought to do."""
    predicted = report.get("predicted_gain") or 1.0
    return f"about {times(predicted)}" if report["findings"] and predicted >= LEAST_GAIN else ""


def growth(report: Mapping[str, Any]) -> float:
    """Megabytes gained since the imports were done."""
    begun = report.get("startup_seconds") or 0.0
    points = [mb for at, mb in report.get("memory") or () if at >= begun]
    return points[-1] - points[0] if points else 0.0


def heading(finding: Mapping[str, Any]) -> str:
    return str(finding.get("title") or finding["rule"].replace("-", " ").capitalize())


def measured(report: Mapping[str, Any]) -> str:
    """How the numbers came about and what that cost, in one paragraph."""
    how = report.get("measured") or {}
    sentences = [_way(how)]
    observed = how.get("calls_observed")
    if observed is not None and observed < 1:
        sentences.append(
            f"Numbers of calls (≈) are estimates: counted during {share(observed)} of the time."
        )
    elif observed is not None:
        sentences.append("Numbers of calls are exact.")
    if how.get("cost_seconds") is not None and report["total_seconds"]:
        cost = how["cost_seconds"]
        sentences.append(
            f"Measuring took {seconds(cost)}, {share(cost / report['total_seconds'])} of the run."
        )
    return " ".join(sentences)


def _way(how: Mapping[str, Any]) -> str:
    if how.get("how") == "timers":
        return "Stages are the training's own timers, which are always on."
    every, samples = how.get("every_seconds"), how.get("samples")
    rhythm = f" every {seconds(every)}" if every else ""
    number = f" ({samples:,} samples)" if samples else ""
    text = f"Where the program stood was looked at{rhythm}{number}; the time since went there."
    if how.get("how") == "functions":
        text += " The function profile was on: functions that are called often look slower."
    return text


def ending(report: Mapping[str, Any]) -> str:
    """Said only where the script did not run to its end."""
    end = report.get("end") or {}
    if end.get("kind") == "exit" and end.get("code"):
        return f"The script left with exit code {end['code']}."
    return ENDINGS.get(end.get("kind", ""), "")


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= FEW else f"{value:.2f}"
