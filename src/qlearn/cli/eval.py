"""Play a run's greedy policy, without exploration and without learning, and report its scores."""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder, a name under the runs folder, last")
    parser.add_argument("--episodes", type=options.whole(1), default=100)
    parser.add_argument("--best", action="store_true", help="the best evaluation's, not the last")
    parser.add_argument("--seed", type=options.seed, default=0)
    parser.add_argument(
        "--max-steps",
        type=options.whole(1),
        help="let episodes last that long, whatever the environment's time limit (default: its"
        " own, and 10,000 where it has none)",
    )


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.runs.run import load

    found = load(arguments.run)
    evaluation = found.evaluate(
        arguments.episodes,
        best=arguments.best,
        seed=arguments.seed,
        max_steps=arguments.max_steps,
    )
    for note in found.folder.notes:
        console.say(note)
    return {"run": str(found.path), **evaluation.report()}


def show(report: dict[str, Any], console: Console) -> None:
    console.out(
        f"mean {report['mean']:.6g} (std {report['std']:.3g}, min {report['min']:.6g},"
        f" max {report['max']:.6g}) over {report['episodes']} episodes of"
        f" {report['mean_length']:.6g} steps"
    )
    known = {"run", "episodes", "mean", "std", "min", "max", "mean_length", "cut_off"}
    more = [f"{name} {value:.4g}" for name, value in report.items() if name not in known]
    if more:
        console.out(", ".join(more))
    if report["cut_off"]:
        console.out(f"{report['cut_off']} episodes did not end by themselves and were cut off")
