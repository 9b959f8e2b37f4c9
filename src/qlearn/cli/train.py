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
    parser.add_argument("--seeds", type=options.whole(1), metavar="K", help="train K seeds")
    parser.add_argument("--envs", type=options.whole(1), help="copies of the environment")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", metavar="DIR", help="the run's own folder")
    options.add_settings(parser, "any setting, such as lr=0.1 epsilon=1->0.05@0.5 env.slip=0.2")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.runs.seeds import train_seeds
    from qlearn.runs.training import Interrupted, train

    if arguments.resume and arguments.env:
        raise UserError("either an environment or --resume RUN, not both")
    _take_from_settings(arguments)
    options.refuse(arguments.settings, ("env", "resume", "progress", "say", "count"))
    how: dict[str, Any] = {
        "algo": arguments.algo,
        "engine": arguments.engine,
        "steps": arguments.steps,
        "episodes": arguments.episodes,
        "seconds": arguments.seconds,
        "until": arguments.until,
        "seed": arguments.seed,
        "out": arguments.out,
        "say": console.say,
        **arguments.settings,
    }
    if arguments.envs is not None:
        how["envs"] = arguments.envs
    if arguments.device != "auto":
        how["device"] = arguments.device
    try:
        if arguments.seeds is not None:
            if arguments.resume:
                raise UserError("--resume goes on with one run, without --seeds")
            return train_seeds(arguments.env, arguments.seeds, **how)
        with _Bar(console) as bar:
            return train(arguments.env, resume=arguments.resume, progress=bar, **how).report
    except Interrupted as stopped:
        console.error(str(stopped))
        sys.exit(130)


class _Bar:
    """A progress line from the first line of metrics on, where a person watches."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.line: Any = None
        self.begun = False

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.line is not None:
            self.line.__exit__()

    def __call__(self, row: dict[str, Any]) -> None:
        if not self.begun:
            self.begun = True
            self.line = self.console.progress(row["budget"], "training")
            if self.line is not None:
                self.line.__enter__()
        if self.line is not None:
            mean = row["return"]
            self.line.update(row["env_steps"], "" if mean is None else f"return {mean:.4g}")


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
    "seeds": options.whole(1),
    "device": str,
}


def _take_from_settings(arguments: argparse.Namespace) -> None:
    for key, parse in AS_SETTINGS.items():
        if key in arguments.settings:
            try:
                setattr(arguments, key, parse(arguments.settings.pop(key)))
            except argparse.ArgumentTypeError as error:
                raise UserError(f"--set {key}: {error}") from None


def show(report: dict[str, Any], console: Console) -> None:
    if "runs" in report:
        for one in report["runs"]:
            console.out(f"seed {one['seed']}: greedy mean {one['eval']['mean']:.6g}")
        summary = report["summary"]
        console.out(
            f"mean {summary['mean']:.6g}, median {summary['median']:.6g}, interquartile mean"
            f" {summary['iqm']:.6g} [{summary['low']:.6g} .. {summary['high']:.6g}]"
        )
        return
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
