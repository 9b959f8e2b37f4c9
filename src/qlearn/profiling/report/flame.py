"""Stacks as one tree of calls: speedscope's file, and the flame graph of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlearn.profiling.report.excerpt import expression
from qlearn.profiling.report.words import IMPORTLIB, place
from qlearn.runs.files import write_json

SMALLEST = 0.0005  # of all seconds; what is less is its parent's own
DEEPEST = 200  # frames; what is called from there is counted there
LONGEST_NAME = 80


@dataclass
class Node:
    """A function in its callers, or the expression at which a stack ended."""

    name: str
    file: str
    line: int
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    below: dict[tuple[str, str, int], Node] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """The one that nearly all of its time belongs to; none where it is a mixture."""
        if not self.stages:
            return ""
        name, most = max(self.stages.items(), key=lambda item: item[1])
        return name if most > 0.8 * self.seconds else ""

    def add(self, seconds: float, stage: str) -> None:
        self.seconds += seconds
        if stage:
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def under(self, name: str, file: str, line: int) -> Node:
        return self.below.setdefault((name, file, line), Node(name, file, line))


def tree(raw: Any, stage_of: Sequence[str] | None = None, thread: str | None = "main") -> Node:
    """Where the seconds went, from the script down; `thread` None takes all threads."""
    root = Node("all", "", 0)
    steps = [(_function(frame), _expression(frame)) for frame in raw.frames]
    noise = [frame.file.startswith(IMPORTLIB) for frame in raw.frames]
    for k, sample in enumerate(raw.samples):
        if thread is not None and sample.thread != thread:
            continue
        stage = stage_of[k] if stage_of else ""
        node = root
        node.add(sample.seconds, stage)
        seen = [index for index in sample.stack if not noise[index]]
        path = [steps[index][0] for index in seen] + [steps[index][1] for index in seen[-1:]]
        for step in path[:DEEPEST]:
            node = node.under(*step)
            node.add(sample.seconds, stage)
    return root


def speedscope(raw: Any, name: str) -> dict[str, Any]:
    """What https://www.speedscope.app opens: one profile a thread."""
    frames: dict[tuple[str, str, int], int] = {}

    def index(step: tuple[str, str, int]) -> int:
        return frames.setdefault(step, len(frames))

    profiles = []
    for thread in dict.fromkeys(sample.thread for sample in raw.samples):
        own = [sample for sample in raw.samples if sample.thread == thread and sample.stack]
        stacks = []
        for sample in own:
            chain = [raw.frames[k] for k in sample.stack]
            steps = [*map(_function, chain), _expression(chain[-1])]
            stacks.append([index(step) for step in steps])
        profiles.append(
            {
                "type": "sampled",
                "name": thread,
                "unit": "seconds",
                "startValue": 0,
                "endValue": sum(sample.seconds for sample in own),
                "samples": stacks,
                "weights": [sample.seconds for sample in own],
            }
        )
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "qlearn profile",
        "name": name,
        "activeProfileIndex": 0,
        "shared": {"frames": [_named(step) for step in frames]},
        "profiles": profiles,
    }


def write_speedscope(path: Path, raw: Any, name: str) -> None:
    write_json(path, speedscope(raw, name))


def drawn(root: Node, report: Mapping[str, Any]) -> dict[str, Any]:
    """The tree as the page reads it: [name, file, stage, line, seconds, [children]]."""
    words: dict[str, int] = {}

    def word(text: str) -> int:
        return words.setdefault(text, len(words))

    def draw(node: Node) -> list[Any]:
        below = _ordered(node.below.values(), SMALLEST * root.seconds)
        where = place(node.file, None, report) if node.file else ""
        named = [word(node.name), word(where), word(node.stage)]
        return [*named, node.line, round(node.seconds, 5), [draw(child) for child in below]]

    top = draw(root)
    return {"words": list(words), "tree": top}


def _ordered(nodes: Iterable[Node], smallest: float) -> list[Node]:
    kept = [node for node in nodes if node.seconds >= smallest]
    return sorted(kept, key=lambda node: -node.seconds)


def _function(frame: Any) -> tuple[str, str, int]:
    return frame.function, frame.file, frame.first_line


def _expression(frame: Any) -> tuple[str, str, int]:
    text = expression(frame.file, frame.line, frame.end_line, frame.col, frame.end_col)
    text = " ".join(text.split()) or f"line {frame.line}"
    cut = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
    return cut, frame.file, frame.line


def _named(step: tuple[str, str, int]) -> dict[str, Any]:
    name, file, line = step
    return {"name": name, "file": file, "line": line}
