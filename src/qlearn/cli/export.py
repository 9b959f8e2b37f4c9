"""Write what a run has learned for others: `qlearn export last --torch model.pth`.

  --csv FILE    every weight or table entry with all its digits, `name,index...,value`
  --torch FILE  a PyTorch state dict for an nn.Sequential; the scaling of inputs is in its weights

What was written is read back and compared: `max_difference` is the largest between the run's action
values and the file's, on random observations.
"""

from __future__ import annotations

import argparse
from typing import Any

from qlearn.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder, a name under the runs folder, last")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--csv", metavar="FILE", help="text, one number a line")
    form.add_argument("--torch", metavar="FILE", help="a PyTorch state dict")
    parser.add_argument("--best", action="store_true", help="the best evaluation's, not the last")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    from qlearn.runs.exchange import export_csv, export_torch
    from qlearn.runs.run import load

    found = load(arguments.run)
    if arguments.csv is not None:
        report = export_csv(found, arguments.csv, arguments.best)
    else:
        report = export_torch(found, arguments.torch, arguments.best)
    for note in found.folder.notes:
        console.say(note)
    return report


def show(report: dict[str, Any], console: Console) -> None:
    console.out(f"{report['file']} (largest difference {report['max_difference']:.3g})")
