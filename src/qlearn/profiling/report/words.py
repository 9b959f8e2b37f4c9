"""How numbers, places and stages are said, the same in the terminal and on the page."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

OTHER = "other"
TITLES = {
    "acting": "choosing actions",
    "update": "updating values",
    "converting": "converting to tensors",
    "act": "choosing actions",
    "env": "environment",
    "eval": "evaluating",
    "learn": "learning",
    "log": "logging",
    "table_copy": "copying tables",
    "view": "watching",
    OTHER: "not attributed",
}
FAMILIES = {
    "playing": ("environment", "acting"),
    "data": ("storing", "sampling", "converting", "table_copy"),
    "learning": ("forward", "loss", "backward", "optimiser", "target_update", "update"),
    "showing": ("plotting", "logging", "sleeping", "eval", "checkpoint"),
    "waiting": ("imports", "compiling"),
}
# How the timers of our own training call the same.
SAME = {"act": "acting", "env": "environment", "learn": "update", "log": "logging",
        "view": "plotting"}  # fmt: skip
HEADINGS = {
    "async-slower": "Environments in processes that wait for each other",
    "batch-of-one": "One state a forward pass",
    "bootstrap-terminal": "A target that goes on after the end",
    "deque-sample": "Batches drawn from a deque",
    "device-sync": "Waiting for the GPU at every step",
    "dict-table": "The Q-table is a dict of tuples",
    "fixed-schedule": "A schedule that does not move",
    "grad-when-acting": "A graph that nobody uses",
    "graph-kept": "Losses summed with their graphs",
    "growing-list": "A list that grows for ever",
    "keras-predict": "model.predict for a few states",
    "learn-every-step": "Learning at every step",
    "list-membership": "A list searched at every step",
    "loop-over-batch": "A Python loop over the batch",
    "lost-updates": "Updates that overwrite each other",
    "no-grad-prediction": "A loss without a gradient",
    "object-per-step": "A new object at every step",
    "plot-in-loop": "Drawing inside the loop",
    "repeated-loop": "The same work in two loops",
    "replay-waste": "A replay larger than its content",
    "scalar-numpy": "A costly call for a single number",
    "single-env": "One environment at a time",
    "sleep-in-loop": "Sleeping inside the loop",
    "table-copy": "The whole table copied",
    "target-not-detached": "A gradient through the target",
    "tensor-from-list": "A tensor made of a list of arrays",
    "tiny-net-on-gpu": "A network too small for a GPU",
    "too-many-threads": "More threads than work",
}
ENDINGS = {
    "error": "The script failed; what is shown was measured until then.",
    "stopped": "Stopped before its end; what is shown was measured until then.",
    "killed": "The process ended at once; its last seconds may be missing.",
}
IMPORTLIB = "<frozen importlib"  # in every import, and of no use to anyone
LIBRARIES = ("site-packages", "dist-packages")
FEW = 10  # below, a digit after the point is worth reading
LEAST_GAIN = 1.005  # below, it is not worth a word
LEAST_SECONDS = 1e-9


def title(stage: str) -> str:
    return TITLES.get(stage, stage.replace("_", " "))


def ordered(stages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that took time, the largest first; what could not be attributed stands last."""
    taken = [stage for stage in stages if stage["seconds"] > 0]
    return sorted(taken, key=lambda stage: (stage["name"] == OTHER, -stage["seconds"]))


def family(stage: str) -> tuple[str, int]:
    """Which kind of work a stage is, and which of its kind: what it is coloured by."""
    stage = SAME.get(stage, stage)
    for name, stages in FAMILIES.items():
        if stage in stages:
            return name, stages.index(stage)
    return ("rest", 0) if stage == OTHER else ("learning", sum(stage.encode()) % 6)


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 60:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest:02d} s"
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * scale >= 1:
            return f"{_three_digits(value * scale)} {unit}"
    return f"{_three_digits(value * 1e9)} ns" if value >= LEAST_SECONDS else "0 s"


def share(value: float) -> str:
    percent = 100 * value
    if 1e-9 < percent < 0.1:
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
    return f"{value:,.0f}x" if value >= FEW else f"{value:.{1 if value >= 2 else 2}f}x"


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


def saves_time(finding: Mapping[str, Any]) -> bool:
    """The others change what is learned, whatever that costs or saves."""
    limit = finding.get("gain_limit")
    return limit is None or limit > 1.0


def numbered(report: Mapping[str, Any], faster: bool) -> list[tuple[int, Mapping[str, Any]]]:
    """What saves time, or the others; numbers go on from the one to the other."""
    ordered = sorted(report["findings"], key=lambda finding: not saves_time(finding))
    return [pair for pair in enumerate(ordered, start=1) if saves_time(pair[1]) is faster]


def most(finding: Mapping[str, Any]) -> str:
    """The most that the whole run can gain by it; nothing where that is not worth a word."""
    limit = finding.get("gain_limit") or 0.0
    return f"at most {times(limit)}" if limit >= LEAST_GAIN else ""


def gain(finding: Mapping[str, Any]) -> str:
    if not saves_time(finding):
        return "changes what is learned"
    return f"{most(finding)} as fast without it" if most(finding) else ""


def together(report: Mapping[str, Any]) -> str:
    """What all changes together are thought to do; a bound, as long as none was measured."""
    predicted = report.get("predicted_gain") or 1.0
    if predicted < LEAST_GAIN or not any(map(saves_time, report["findings"])):
        return ""
    measured = any(finding.get("proof") for finding in report["findings"])
    return f"{'about' if measured else 'at most'} {times(predicted)}"


def outlook(report: Mapping[str, Any]) -> str:
    """How that was told, in a sentence."""
    if any(finding.get("proof") for finding in report["findings"]):
        return "by what each change was measured to save, where several want the same time once"
    return "if what they name took no time at all; --prove measures it"


def instead(report: Mapping[str, Any]) -> str:
    """What the command that trains the same was measured to take."""
    told = report.get("instead") or {}
    took, faster = seconds(told.get("seconds")), times(told.get("speedup"))
    parts = [f"{faster} as fast" if faster else "", f"{took} of training" if took else ""]
    return ", ".join(part for part in parts if part) + (", measured here" if any(parts) else "")


def spots(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The functions with time of their own, without those that all imports go through."""
    return [
        spot
        for spot in report.get("hotspots") or ()
        if spot["self_seconds"] > 0 and not spot["file"].startswith(IMPORTLIB)
    ]


def growth(report: Mapping[str, Any]) -> float:
    """Megabytes gained since the imports were done."""
    begun = report.get("startup_seconds") or 0.0
    points = [mb for at, mb in report.get("memory") or () if at >= begun]
    return points[-1] - points[0] if points else 0.0


def heading(finding: Mapping[str, Any]) -> str:
    rule = finding["rule"]
    return str(finding.get("title") or HEADINGS.get(rule) or rule.replace("-", " ").capitalize())


def versions(report: Mapping[str, Any]) -> str:
    """Python's and of what was installed; what comes with Python has none of its own."""
    modules = {
        name: version
        for name, version in (report.get("modules") or {}).items()
        if name.lstrip("_") not in sys.stdlib_module_names and not name.startswith("_")
    }
    python = {"Python": report["python"]} if report.get("python") else {}
    return ", ".join(
        f"{name} {version}" for name, version in [*python.items(), *sorted(modules.items())]
    )


def by_timers(report: Mapping[str, Any]) -> bool:
    """Of a training of ours: its stages are its own, and no rule looked at it."""
    return (report.get("measured") or {}).get("how") == "timers"


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
    text = f"Sampled{rhythm}{number}: the time since the last look goes where the script stood."
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
