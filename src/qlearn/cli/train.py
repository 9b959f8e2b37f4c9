"""Learn an environment: `qlearn train grid`, `qlearn train maze.txt --episodes 5000`.

ENV is grid, cartpole, snake, a map FILE.txt, gym:ID, or FILE.py:Name. Everything has a default;
`--set` takes any other setting (lr, epsilon, discount, eval_every, env.KEY, ...). A schedule is
written '1->0.05@0.3' (from 1 to 0.05 over 30 % of the budget), '1->0.05@2000ep' (over 2,000
episodes), 'decay:1->0.05@0.995/ep' (times 0.995 each episode, never below 0.05); in a shell, in
quotes. eval_every=5000 plays greedy episodes every 5,000 steps, eval_every=10ep every 10 episodes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlearn.cli import BEGUN, options
from qlearn.cli.console import Console
from qlearn.cli.durations import duration
from qlearn.errors import UserError

if TYPE_CHECKING:
    from qlearn.runs.watchers import Watcher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("env", nargs="?", metavar="ENV")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run: a folder, a name, last")
    parser.add_argument("--algo", default="auto", help="table, pqn, dqn (default: by what is seen)")
    parser.add_argument(
        "--engine", default="auto", help="numba, fused, torch, dict, ... (default: the fastest)"
    )
    parser.add_argument("--steps", type=options.whole(1), help="environment steps in all")
    parser.add_argument("--episodes", type=options.whole(1), help="episodes in all")
    parser.add_argument("--seconds", type=options.positive, help="about how long, as a step budget")
    parser.add_argument("--until", type=options.real, metavar="S", help="stop when solved at S")
    parser.add_argument("--seed", type=options.seed, help="default 0")
    parser.add_argument("--seeds", type=options.whole(1), metavar="K", help="train K seeds")
    parser.add_argument("--envs", type=options.whole(1), help="copies of the environment")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--threads", type=options.whole(0), metavar="N", help="of this process; 0: as many as help"
    )
    parser.add_argument(
        "--precision", choices=("float32", "tf32", "bf16"), help="of the torch engine's products"
    )
    parser.add_argument(
        "--init", metavar="SEED|FILE", help="the same untrained weights for every run"
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="settings known to do well: quick, strong, master (snake), mountaincar, lunarlander",
    )
    parser.add_argument("--out", metavar="DIR", help="the run's own folder")
    parser.add_argument(
        "--keep",
        type=options.whole(0),
        metavar="N",
        help="checkpoints that stay beside the last (default 1)",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="event files in the run's folder"
    )
    parser.add_argument(
        "--log", default="", metavar="NAMES", help="hand metrics on: trackio, wandb, mlflow"
    )
    parser.add_argument(
        "--dashboard", action="store_true", help="show it in the browser while it learns"
    )
    parser.add_argument("--clips", action="store_true", help="record games while it learns")
    options.add_settings(parser, "any setting, such as lr=0.1 epsilon='1->0.05@0.5' env.slip=0.2")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.cli.view import for_console
    from qlearn.runs.seeds import train_seeds
    from qlearn.runs.training import Interrupted, train

    if arguments.resume and arguments.env:
        raise UserError("either an environment or --resume RUN, not both")
    _take_from_settings(arguments)
    options.refuse(arguments.settings, ("env", "resume", "watchers", "say", "started", "count"))
    how: dict[str, Any] = {
        "algo": arguments.algo,
        "engine": arguments.engine,
        "steps": arguments.steps,
        "episodes": arguments.episodes,
        "seconds": arguments.seconds,
        "until": arguments.until,
        "seed": arguments.seed,
        "device": arguments.device,
        "threads": arguments.threads,
        "init": arguments.init,
        "tensorboard": arguments.tensorboard,
        "log": arguments.log,
        "out": arguments.out,
        "preset": arguments.preset,
        "say": console.say,
        **arguments.settings,
    }
    for key in ("envs", "precision", "keep"):
        if getattr(arguments, key) is not None:
            how[key] = getattr(arguments, key)
    try:
        if arguments.seeds is not None:
            if arguments.resume:
                raise UserError("--resume goes on with one run, without --seeds")
            how["watchers"] = _recording(arguments)
            return train_seeds(arguments.env, arguments.seeds, **how)
        watchers = [*for_console(console), *_recording(arguments)]
        how |= {"resume": arguments.resume, "watchers": watchers, "started": BEGUN}
        return train(arguments.env, **how).report
    except Interrupted as stopped:
        console.error(str(stopped))
        sys.exit(130)


def _recording(arguments: argparse.Namespace) -> list[Watcher]:
    """Who writes games down, and who shows everything in the browser."""
    found: list[Watcher] = []
    if arguments.dashboard or arguments.clips:
        from qlearn.watching.recorder import Recorder

        found.append(Recorder())
    if arguments.dashboard:
        from qlearn.dashboard.beside import Beside

        found.append(Beside())
    return found


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
    "preset": str,
    "seeds": options.whole(1),
    "device": str,
    "threads": options.whole(0),
    "init": str,
    "tensorboard": options.yes_or_no,
    "log": str,
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
        f" {duration(report['train_seconds'])}: {report['steps_per_second']:,.0f} steps/s"
    )
    for stage in report["stages"]:
        console.out(
            f"  {stage['name']:10} {stage['seconds']:8.4f} s {100 * stage['share']:5.1f} %"
            f" {stage['calls']:8,} calls"
        )
    console.say(f"run: {Path(report['run'])}")
