"""The classic Snake trainer beside `qlearn train snake`: what each has learned after how long.

    python benchmarks/snake_classic.py [--minutes 2] [--seeds 3]

Both train for the same time on the same 10x10 board, in turn. The classic trainer
(examples/classic/snake.py) shows the mean score of its last 100 games, as people plot it; at
intervals its network is judged by 200 greedy games of qlearn's own snake, off the clock. Ours, by
its default settings, is judged by the greedy evaluations of its own training, on the clock.
--record also draws docs/snake_classic.png.
"""

from __future__ import annotations

import random
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

import qlearn
from _report import parser, rates, record
from qlearn import plotting
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.greedy import Player
from qlearn.compare.measure import alternate
from qlearn.envs.registry import find
from qlearn.nets.layout import Architecture
from qlearn.nets.module import flat_of
from qlearn.runs.curve import read_metrics

HERE = Path(__file__).parent
sys.path += [str(HERE / "peers"), str(HERE.parent / "examples" / "classic")]

from _solved import Stopwatch  # noqa: E402

CLASSIC, OURS = "classic trainer", "qlearn train snake"
SIZE, GAMES, RECENT = 10, 200, 100
EVALUATIONS = 40  # of a training, about
FIRST_SEED, EVALUATION_SEED, MOST_STEPS = 1000, 7, 10_000
SLOWER = 0.88  # ours is budgeted by its first steps, and these are slower while snakes are longer
PICTURE = HERE.parent / "docs" / "snake_classic.png"
Report = dict[str, Any]


class Judge:
    """Greedy games of the classic network on qlearn's own snake."""

    def __init__(self) -> None:
        environment = find("snake", {"size": SIZE, "observation": "features"})
        self._architecture = Architecture(11, (256,), 3, "relu", layer_norm=False)
        self._player = Player(environment, self._architecture)
        self._scale = seeing.first_scale(environment)

    def mean(self, model: torch.nn.Module) -> float:
        flat = flat_of(self._architecture, model.parameters())
        played = self._player.evaluate(flat, self._scale, GAMES, EVALUATION_SEED, MOST_STEPS)
        return played.mean


def run_classic(seed: int, seconds: float) -> Report:
    """(seconds, mean) of its last games and of its greedy network, and how many moves it made."""
    snake: Any = import_module("snake")
    random.seed(seed)
    torch.manual_seed(seed)
    judge, clock = Judge(), Stopwatch()
    agent, game = snake.Agent(), snake.SnakeGame(SIZE)
    scores: list[int] = []
    training, greedy, steps = [], [(0.0, judge.mean(agent.model))], 0
    clock.start()
    while clock.seconds < seconds:
        scores.append(snake.play_game(agent, game))
        steps += game.moves
        with clock.paused():
            at = clock.seconds
            if at >= seconds or at - greedy[-1][0] >= seconds / EVALUATIONS:
                training.append((at, float(np.mean(scores[-RECENT:]))))
                greedy.append((at, judge.mean(agent.model)))
    report = {"games": len(scores), "training": training, "greedy": greedy}
    return _said(CLASSIC, seed, report, steps, greedy[-1][0])


def run_ours(seed: int, seconds: float, eval_every: int) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        run = qlearn.train(
            "snake", env_size=SIZE, seed=seed, seconds=SLOWER * seconds, eval_every=eval_every,
            out=f"{folder}/run",
        )  # fmt: skip
        rows = read_metrics(run.path / "metrics.jsonl")
        last = run.evaluate(GAMES).mean
    result = run.report
    judged = [(row["machine"]["seconds"], row["eval"]["mean"]) for row in rows if "eval" in row]
    greedy = [*judged[:-1], (result["train_seconds"], last)]
    return _said(OURS, seed, {"greedy": greedy}, result["env_steps"], result["train_seconds"])


def _said(name: str, seed: int, report: Report, steps: int, seconds: float) -> Report:
    print(
        f"  {name} seed {seed}: greedy mean {report['greedy'][-1][1]:.1f} after {steps:,} steps in"
        f" {seconds:.1f} s",
        file=sys.stderr,
    )
    return {"seed": seed, "steps": steps, "seconds": seconds, **report}


def steps_between(seconds: float) -> int:
    """Between ours' evaluations, by a short training; what has to be compiled is so, after it."""
    with tempfile.TemporaryDirectory() as folder:
        run = qlearn.train("snake", env_size=SIZE, seconds=2.0, out=f"{folder}/run")
    return max(1, int(run.report["steps_per_second"] * seconds / EVALUATIONS))


def measure(seeds: int, seconds: float) -> dict[str, list[Report]]:
    eval_every = steps_between(seconds)
    left = {name: iter(range(FIRST_SEED, FIRST_SEED + seeds)) for name in (CLASSIC, OURS)}
    return alternate(
        {
            CLASSIC: lambda: run_classic(next(left[CLASSIC]), seconds),
            OURS: lambda: run_ours(next(left[OURS]), seconds, eval_every),
        },
        seeds,
        warmup=0,
    )


def picture(measured: dict[str, list[Report]]) -> bytes:
    """The median of the seeds, and from the worst to the best of them."""
    curves = [
        (OURS, "greedy", "greedy", "#d4552b"),
        (CLASSIC, "greedy", "greedy", "#2f6db5"),
        (CLASSIC, "training", f"mean of its last {RECENT} games", "#8a929c"),
    ]
    page = plotting.figure(6.0, 3.6)
    axes = page.add_axes((0.09, 0.13, 0.88, 0.76))
    end = min(report["seconds"] for reports in measured.values() for report in reports)
    grid = np.linspace(0.0, end, 4 * EVALUATIONS)
    for name, key, what, colour in curves:
        lines = []
        for report in measured[name]:
            seconds, scores = np.transpose(report[key])
            lines.append(np.interp(grid, seconds, scores, left=np.nan))  # not before it is judged
        axes.fill_between(
            grid, np.min(lines, 0), np.max(lines, 0), color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(grid, np.median(lines, 0), color=colour, linewidth=1.6, label=f"{name}: {what}")
    axes.set_xlabel("seconds of training", fontsize=plotting.NORMAL, color=plotting.INK)
    axes.set_ylabel("mean score", fontsize=plotting.NORMAL, color=plotting.INK)
    axes.set_xlim(0.0, end)
    axes.set_ylim(bottom=0.0)
    axes.tick_params(labelsize=plotting.SMALL, colors=plotting.INK, width=0.6)
    axes.grid(color=plotting.PALE, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(
        f"Snake {SIZE}x{SIZE}, {len(measured[OURS])} seeds: median, worst to best",
        fontsize=plotting.NORMAL, color=plotting.INK,
    )  # fmt: skip
    axes.legend(fontsize=plotting.SMALL, frameon=False, loc="best", labelcolor=plotting.INK)
    return plotting.png(page)


def rounded(reports: list[Report]) -> list[Report]:
    """Curves with no more digits than they mean."""
    return [
        {
            key: [[round(x, 2), round(y, 3)] for x, y in value]
            if isinstance(value, list)
            else value
            for key, value in report.items()
        }
        for report in reports
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    measured = measure(chosen.seeds, 60.0 * chosen.minutes)
    speeds = {
        name: [report["steps"] / report["seconds"] for report in reports]
        for name, reports in measured.items()
    }
    tables = {
        "minutes": chosen.minutes,
        "speed": rates("Training steps", speeds, CLASSIC),
        "seeds": {name: rounded(reports) for name, reports in measured.items()},
    }
    print(f"\nGreedy mean of {GAMES} games of the last network")
    for name, reports in measured.items():
        last = ", ".join(f"{r['greedy'][-1][1]:.1f} ({r['seconds']:.0f} s)" for r in reports)
        print(f"  {name:44} {last}")
    record("snake_classic", tables, chosen.record)
    if chosen.record:
        PICTURE.write_bytes(picture(measured))


if __name__ == "__main__":
    main()
