"""Learn an environment: `qlearn train grid`, `qlearn train maze.txt --episodes 5000`.

ENV is grid, cartpole, snake, a map FILE.txt, gym:ID, or FILE.py:Name. Everything has a default;
`--set` takes any other setting (lr, epsilon, discount, eval_every, env.KEY, ...). A schedule is
written 1->0.05@0.3 (from 1 to 0.05 over 30 % of the steps).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console
from qlearn.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("env", nargs="?", metavar="ENV")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run: a folder, a name, last")
    parser.add_argument("--algo", default="auto", help="table (default: by the environment)")
    parser.add_argument("--engine", default="auto", help="dict, numba (default: the fastest)")
    parser.add_argument("--steps", type=options.whole(1), help="environment steps in all")
    parser.add_argument("--episodes", type=options.whole(1), help="episodes in all")
    parser.add_argument("--seconds", type=options.positive, help="about how long, as a step budget")
    parser.add_argument("--until", type=options.real, metavar="S", help="stop when solved at S")
    parser.add_argument("--seed", type=options.seed, default=0)
    parser.add_argument("--out", metavar="DIR", help="the run's own folder")
    options.add_settings(parser, "any setting, such as lr=0.1 epsilon=1->0.05@0.5 env.slip=0.2")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.runs.training import Interrupted, train

    if arguments.resume and arguments.env:
        raise UserError("either an environment or --resume RUN, not both")
    _take_from_settings(arguments)
    bar: Any = None

    def progress(row: dict[str, Any]) -> None:
        nonlocal bar
        if bar is None:
            bar = console.progress(row["budget"], "training")
            if bar is not None:
                bar.__enter__()
        if bar is not None:
            mean = row["return"]
            bar.update(row["env_steps"], "" if mean is None else f"return {mean:.4g}")

    try:
        finished = train(
            arguments.env,
            algo=arguments.algo,
            engine=arguments.engine,
            steps=arguments.steps,
            episodes=arguments.episodes,
            seconds=arguments.seconds,
            until=arguments.until,
            seed=arguments.seed,
            out=arguments.out,
            resume=arguments.resume,
            progress=progress,
            say=console.say,
            **arguments.settings,
        )
    except Interrupted as stopped:
        console.error(str(stopped))
        sys.exit(130)
    finally:
        if bar is not None:
            bar.__exit__()
    return finished.report


# Options that may also be written as settings: `--set steps=20k` is `--steps 20k`.
AS_SETTINGS = {
    "steps": options.whole(1),
    "episodes": options.whole(1),
    "seconds": options.positive,
    "until": options.real,
    "seed": options.seed,
    "algo": str,
    "engine": str,
    "out": str,
}


def _take_from_settings(arguments: argparse.Namespace) -> None:
    for key, parse in AS_SETTINGS.items():
        if key in arguments.settings:
            try:
                setattr(arguments, key, parse(arguments.settings.pop(key)))
            except argparse.ArgumentTypeError as error:
                raise UserError(f"--set {key}: {error}") from None


def show(report: dict[str, Any], console: Console) -> None:
    evaluation = report["eval"]
    console.out(
        f"{report['env']} by {report['algo']} on {report['engine']}:"
        f" greedy mean {evaluation['mean']:.6g} over {evaluation['episodes']} episodes"
        f" (best {report['best_eval']['mean']:.6g})"
    )
    console.out(
        f"{report['env_steps']:,} steps, {report['episodes']:,} episodes in"
        f" {report['train_seconds']:.3g} s: {report['steps_per_second']:,.0f} steps/s"
    )
    for stage in report["stages"]:
        console.out(
            f"  {stage['name']:10} {stage['seconds']:8.4f} s {100 * stage['share']:5.1f} %"
            f" {stage['calls']:8,} calls"
        )
    console.say(f"run: {Path(report['run'])}")
