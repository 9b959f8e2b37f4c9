"""Make a run out of a file of weights: `qlearn import model/model.pth --env snake`.

FILE is a PyTorch state dict (torch.save(model.state_dict(), FILE)) of dense layers: the classic
Linear_QNet, an nn.Sequential of Linear layers, what `qlearn export --torch` writes; or a checkpoint
that has one among other things. Names do not count, the order does. Weights are read, nothing in
the file is executed. Environment options that are not set are chosen by what the network fits. The
run is one of dqn: `qlearn eval`, `watch` and `export` take it, and `qlearn train --resume RUN
--steps N` goes on.
"""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.pth")
    parser.add_argument("--env", metavar="ENV", required=True, help="what the network plays")
    parser.add_argument(
        "--activation", default="relu", help="between its layers: relu (default), selu, tanh"
    )
    parser.add_argument("--network", metavar="NAME", help="which, where a checkpoint has several")
    parser.add_argument("--out", metavar="DIR", help="the run's own folder")
    options.add_settings(parser, "environment options, env.KEY=VALUE")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.runs.exchange import import_run

    made = import_run(
        arguments.file,
        arguments.env,
        options.environment_options(arguments.settings),
        activation=arguments.activation,
        network=arguments.network,
        say=console.say,
        out=arguments.out,
    )
    return {"run": str(made.path), "eval": made.report["eval"]}


def show(report: dict[str, Any], console: Console) -> None:
    evaluation = report["eval"]
    console.out(report["run"])
    console.out(f"greedy mean {evaluation['mean']:.6g} over {evaluation['episodes']} episodes")
