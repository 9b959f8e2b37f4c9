"""A finite Q-learning problem as a circuit: SystemVerilog, its simulation, its proofs, its speed.

  qlearn hardware generate grid --out D       modules, test benches and a manifest, in the folder D
  qlearn hardware simulate D                  the circuit in lockstep with its specification
  qlearn hardware verify D                    formal proofs, and planted faults that must be caught
  qlearn hardware synthesize D --rings 16     place and route: resources, clock, updates a second

`generate` needs nothing more; the others need pip install 'qlearn[hardware]'. Synthesis takes
minutes for a ring and longer for many: every result joins those in the folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from qlearn.cli import options
from qlearn.cli.console import Console
from qlearn.errors import UserError

Report = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        own = actions.add_parser(name, help=action.summary, allow_abbrev=False)
        action.add_arguments(own)
        # Every command takes these after its own words, too.
        for option in ("--json", "--quiet"):
            own.add_argument(option, action="store_true", default=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, console: Console) -> Report:
    from qlearn.hardware.tools import ToolFailed

    try:
        done = ACTIONS[arguments.action].run(arguments, console)
    except ToolFailed as error:
        raise _of_whom(error, Path(arguments.folder)) from None
    return {"action": arguments.action, **done}


def _of_whom(error: Exception, folder: Path) -> Exception:
    """A tool's complaint about files that somebody has changed is theirs, otherwise it is ours."""
    from qlearn.hardware.generate import changed

    edited = changed(folder)
    if not edited:
        return error
    lines = str(error).splitlines()
    why = next((line for line in lines[1:] if "error" in line.lower()), lines[0]).strip()
    return UserError(
        f"{', '.join(edited)} in {folder}: not as generate wrote it, and a tool fails: {why}"
    )


def show(report: Report, console: Console) -> None:
    ACTIONS[report["action"]].show(report, console)


def exit_code(report: Report) -> int:
    """A circuit that is not what it should be is our fault."""
    return int(not ACTIONS[report["action"]].holds(report))


# ----------------------------------------------------------------------------------------- generate


def _of_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="grid, a map FILE.txt, gym:ID, or a RUN")
    parser.add_argument("--out", required=True, metavar="DIR", help="the design's own folder")
    parser.add_argument("--word", default="Q8.8", help="fixed point, 8 to 32 bits (default: Q8.8)")
    parser.add_argument("--agents", type=options.whole(1), metavar="N", help="of each ring")
    parser.add_argument("--rings", type=options.whole(1), default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--rounding", default="half_up", metavar="NAME", help="half_up, even, floor or stochastic"
    )
    for name, what in (
        ("alpha", "learning rate"),
        ("gamma", "discount"),
        ("epsilon", "chance of a random action"),
    ):
        parser.add_argument(f"--{name}", type=options.real, metavar="X", help=what)
    parser.add_argument("--seed", type=options.seed, default=0, metavar="S")
    options.add_settings(parser, "options of the environment, such as env.slip=0.2")


def _generate(arguments: argparse.Namespace, console: Console) -> Report:
    from qlearn.hardware.generate import generate

    chosen = ("word", "agents", "rings", "rounding", "alpha", "gamma", "epsilon", "seed")
    made = generate(
        arguments.target,
        arguments.out,
        options=options.environment_options(arguments.settings),
        **{name: getattr(arguments, name) for name in chosen},
    )
    for warning in made["warnings"]:
        console.say(f"warning: {warning}")
    return made | {"folder": str(arguments.out)}


def _show_generated(report: Report, console: Console) -> None:
    console.out(
        f"{report['name']}: {report['states']:,} states, {report['actions']} actions, words"
        f" {report['word']}; {report['rings']} x {report['agents']} agents in {report['folder']}"
    )


# ----------------------------------------------------------------------------------------- simulate


def _of_simulate(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument(
        "--updates", type=options.whole(1), default=100_000, metavar="N", help="in lockstep (100k)"
    )
    parser.add_argument("--fast", action="store_true", help="the lockstep alone")
    parser.add_argument("--waves", action="store_true", help="keep the signals for a wave viewer")


def _simulate(arguments: argparse.Namespace, console: Console) -> Report:
    from qlearn.hardware.simulate import simulate

    return simulate(
        arguments.folder,
        updates=arguments.updates,
        waves=arguments.waves,
        say=console.say,
        **({"simulators": ("lockstep",)} if arguments.fast else {}),
    )


def _show_simulated(report: Report, console: Console) -> None:
    console.out(
        f"{report['updates']:,} updates in {report['cycles']:,} cycles,"
        f" {report['mismatches']:,} mismatches; at most {report['max_error_to_float']:.3g} from"
        f" real numbers; greedy policy {'' if report['policy_optimal'] else 'not '}optimal"
    )


# ------------------------------------------------------------------------------------------- verify


def _of_verify(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument("--fast", action="store_true", help="this design's width, fewer faults")


def _verify(arguments: argparse.Namespace, console: Console) -> Report:
    from qlearn.hardware.verify import verify

    return verify(arguments.folder, fast=arguments.fast, say=console.say)


# A proof that holds, its broken twin that does not, a simulation that is the specification.
VERDICTS = {
    "proof": ("proved", "NOT PROVED"),
    "twin": ("refuted", "NOT REFUTED"),
    "simulation": ("agrees", "DIFFERS"),
}


def _show_verified(report: Report, console: Console) -> None:
    rows = [(one["name"], VERDICTS[one["kind"]][not one["passed"]]) for one in report["proofs"]]
    console.table(("proof", ""), rows)
    console.out(f"{report['caught']} of {report['mutants']} planted faults caught")


# --------------------------------------------------------------------------------------- synthesize


def _of_synthesize(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument("--device", default="ecp5-85k", metavar="NAME", help="default: ecp5-85k")
    parser.add_argument("--rings", type=options.whole(1), metavar="N", help="other than its own")
    parser.add_argument(
        "--seeds", type=options.whole(1), default=4, metavar="N", help="placements (default: 4)"
    )


def _synthesize(arguments: argparse.Namespace, console: Console) -> Report:
    from qlearn.hardware.synthesize import synthesize

    return synthesize(
        arguments.folder, arguments.device, arguments.rings, arguments.seeds, console.say
    )


def _show_synthesized(report: Report, console: Console) -> None:
    mhz = report["mhz"]
    console.out(
        f"{report['device']}: {mhz['median']:.1f} MHz [{mhz['min']:.1f} .. {mhz['max']:.1f}],"
        f" {report['updates_per_second']:,.0f} updates/s"
    )
    console.table(
        ("", "used", "of"),
        [(name, f"{n['used']:,}", f"{n['of']:,}") for name, n in report["resources"].items()],
    )
    path = report["critical_path"]
    console.say(f"critical path: {path['from']} to {path['to']}")
    console.say(f"report: {report['report']}")


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a design, made by generate")


class Action(NamedTuple):
    """One of the things that can be done."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console], Report]
    show: Callable[[Report, Console], None]
    holds: Callable[[Report], bool] = lambda report: True


ACTIONS = {
    "generate": Action("write a design", _of_generate, _generate, _show_generated),
    "simulate": Action(
        "hold the circuit to its specification",
        _of_simulate,
        _simulate,
        _show_simulated,
        lambda report: report["mismatches"] == 0,
    ),
    "verify": Action(
        "prove its properties, and catch planted faults",
        _of_verify,
        _verify,
        _show_verified,
        lambda report: (
            all(proof["passed"] for proof in report["proofs"])
            and report["caught"] == report["mutants"]
        ),
    ),
    "synthesize": Action("place and route it", _of_synthesize, _synthesize, _show_synthesized),
}
