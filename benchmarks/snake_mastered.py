"""How much of the board `qlearn train snake` fills, by minutes of training.

    python benchmarks/snake_mastered.py [--size 6 8 10] [--preset strong] [--seeds 3] [--folder D]

Each training is judged at every mark by 1,000 fresh greedy games, off the clock. With --folder what
was learned is kept at every mark, and the next call goes on from there: an hour a seed need not be
one sitting. --record keeps the figures of other boards and presets, and of other seeds that were judged
after as many steps; it draws docs/snake_mastered.png.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from _report import RESULTS, parser, record
from qlearn import plotting, presets
from qlearn.algorithms import registry
from qlearn.envs.registry import find

FIRST_SEED = 7400  # nothing was ever tuned on it or those after it
GAMES, GAMES_SEED, MOST_STEPS = 1000, 7, 50_000
KEYS = ("mean", "min", "max", "mean_length", "cut_off", "filled_share")
PICTURE = Path(__file__).parent.parent / "docs" / "snake_mastered.png"
Marks = list[dict[str, Any]]


class Training:
    """One seed, mark by mark; what it has come to lies in its folder."""

    def __init__(self, preset: str, size: int, seed: int, threads: int, folder: Path) -> None:
        _, _, settings = presets.apply(preset, "snake", "pqn", {})
        options = {key[4:]: settings.pop(key) for key in list(settings) if key.startswith("env.")}
        environment = find("snake", {**options, "size": size})
        config = registry.configure("pqn", {**settings, "threads": threads}, environment, "fused")
        self.learner = registry.make_learner("pqn", "fused", environment, config, seed)
        self.learner.advance(0)  # what has to be compiled is so
        self.steps, self.marks = config.steps, []
        self._seed, self._file = seed, folder / f"{preset}-{size}-{seed}.npz"
        if self._file.exists():
            with np.load(self._file) as kept:
                state = dict(kept)
            self.marks = json.loads(str(state.pop("marks")))
            self.learner.set_state(state)

    def go_on(self, marks: int) -> Marks:
        seconds = self.marks[-1]["seconds"] if self.marks else 0.0
        for mark in range(len(self.marks) + 1, marks + 1):
            begun = time.perf_counter()
            self.learner.advance(self.steps * mark // marks)
            seconds += time.perf_counter() - begun
            self._judge(seconds)
            np.savez(self._file, marks=json.dumps(self.marks), **self.learner.get_state())
        return self.marks

    def _judge(self, seconds: float) -> None:
        learner = self.learner
        report = learner.evaluate(GAMES, GAMES_SEED, MOST_STEPS).report()
        self.marks.append(
            {
                "steps": learner.env_steps,
                "seconds": round(seconds, 1),
                **{k: report[k] for k in KEYS},
            }
        )
        print(
            f"  seed {self._seed}: {learner.env_steps:>11,} steps, {seconds / 60:5.1f} min, mean score"
            f" {report['mean']:.2f}, best {report['max']:.0f}, filled {report['filled_share']:.1%}",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def summary(trainings: dict[str, Marks]) -> dict[str, Any]:
    """What the last networks are worth, and how far they are behind the best of their trainings."""
    last = [marks[-1] for marks in trainings.values()]
    filled, scores = ([mark[key] for mark in last] for key in ("filled_share", "mean"))
    behind = [
        max(mark["mean"] for mark in marks) - marks[-1]["mean"] for marks in trainings.values()
    ]
    return {
        "minutes": max(mark["seconds"] for mark in last) / 60,
        "filled": {"median": statistics.median(filled), "worst": min(filled)},
        "mean": {"median": statistics.median(scores), "worst": min(scores)},
        "behind_its_best": max(behind),
        "trainings": trainings,
    }


def say(name: str, found: dict[str, Any]) -> None:
    filled, mean = found["filled"], found["mean"]
    print(
        f"\n{name}, {len(found['trainings'])} seeds, at most {found['minutes']:.1f} minutes:"
        f" filled {filled['median']:.1%}, worst {filled['worst']:.1%};"
        f" mean score {mean['median']:.2f}, worst {mean['worst']:.2f};"
        f" last network at most {found['behind_its_best']:.2f} behind its best"
    )


DRAWN = {  # the defaults; the largest board takes too long to be drawn beside these
    "strong 6x6": "#3a8f5c", "strong 8x8": "#2f6db5", "strong 10x10": "#d4552b",
    "strong 12x12": "#8a63b5",
}  # fmt: skip
AXES = (("mean", "mean score", 1.0), ("filled_share", "boards filled, %", 100.0))


def picture(boards: dict[str, Any]) -> bytes:
    """The median of the seeds, and from the worst to the best of them."""
    page = plotting.figure(8.0, 3.4)
    for panel, (key, what, unit) in enumerate(AXES):
        axes = page.add_axes((0.07 + 0.5 * panel, 0.14, 0.41, 0.8))
        for name, colour in DRAWN.items():
            if name not in boards:
                continue
            seeds = list(boards[name]["trainings"].values())
            minutes = np.median([[mark["seconds"] / 60 for mark in marks] for marks in seeds], 0)
            lines = np.array([[unit * mark[key] for mark in marks] for marks in seeds])
            axes.fill_between(
                minutes, lines.min(0), lines.max(0), color=colour, alpha=0.2, linewidth=0
            )
            axes.plot(
                minutes, np.median(lines, 0), color=colour, linewidth=1.6, label=name.split()[1]
            )
        axes.set_xlabel("minutes of training", fontsize=plotting.NORMAL, color=plotting.INK)
        axes.set_ylabel(what, fontsize=plotting.NORMAL, color=plotting.INK)
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        axes.tick_params(labelsize=plotting.SMALL, colors=plotting.INK, width=0.6)
        axes.grid(color=plotting.PALE, linewidth=0.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    axes.legend(fontsize=plotting.SMALL, frameon=False, loc="best", labelcolor=plotting.INK)
    return plotting.png(page)


def kept() -> dict[str, Any]:
    path = RESULTS / "snake_mastered.json"
    return json.loads(path.read_text())["boards"] if path.exists() else {}


def beside(
    before: dict[str, Any], settings: dict[str, Any], trainings: dict[str, Marks]
) -> dict[str, Marks]:
    """With the seeds that were recorded of the very same training."""
    at = {tuple(mark["steps"] for mark in marks) for marks in trainings.values()}
    known = before.get("trainings", {}) if before.get("settings") == settings else {}
    same = {
        seed: marks for seed, marks in known.items() if tuple(mark["steps"] for mark in marks) in at
    }
    return dict(sorted({**same, **trainings}.items()))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--size", type=int, nargs="+", default=[10])
    options.add_argument("--preset", default="strong")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--first", type=int, default=FIRST_SEED, help="of the seeds")
    options.add_argument("--marks", type=int, default=10, help="times that a training is judged")
    options.add_argument("--threads", type=int, default=0, help="0: as many as are fastest")
    options.add_argument("--folder", type=Path, help="of what was learned so far")
    chosen = options.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    boards = kept()
    for size in chosen.size:
        trainings = {}
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            training = Training(chosen.preset, size, seed, chosen.threads, folder)
            trainings[str(seed)] = training.go_on(chosen.marks)
        name = f"{chosen.preset} {size}x{size}"
        settings = asdict(training.learner.config)
        trainings = beside(boards.get(name, {}), settings, trainings)
        boards[name] = {"settings": settings, **summary(trainings)}
        say(name, boards[name])
    record("snake_mastered", {"boards": boards}, chosen.record)
    if chosen.record:
        PICTURE.write_bytes(picture(boards))


if __name__ == "__main__":
    main()
