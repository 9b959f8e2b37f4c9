"""What `auto` chooses beside every choice by hand: engine, device, threads, on four tasks.

The machine is calibrated first (`qlearn calibrate`), unless it is already. On each task `auto`
trains in turn with each place that a network can learn in; its share of the best of them is what
counts, 0.9 at least. Copies and minibatches are the task's own everywhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from _report import parser, rates, record
from qlearn.algorithms import registry
from qlearn.auto import choice, machine
from qlearn.auto.calibration import Place
from qlearn.compare.calibrate import calibrate
from qlearn.compare.measure import alternate, ratio, spread
from qlearn.envs.registry import find

BOARD = {"observation": "board"}
TASKS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "CartPole 4-64-64-2": ("cartpole", {}, {}),
    "Snake features 11-256-3": ("snake", {"observation": "features"}, {"hidden": "256"}),
    "Snake board 300-256-256-3": ("snake", BOARD, {"hidden": "256x256"}),
    "Snake board, 16x3x1 and 128": ("snake", BOARD, {"conv": "16x3x1", "hidden": "128"}),
}
AUTO = "auto"
LEAST_SHARE = 0.9


def learner(task: str, engine: str, **where: Any) -> tuple[Any, str]:
    """In training, and what was said when it was chosen."""
    env, options, settings = TASKS[task]
    environment = find(env, options)
    base: Any = registry.configure("pqn", settings, environment, "torch")
    copies = {"envs": base.envs, "rollout": base.rollout, "minibatch": base.minibatch}
    own = {**settings, **copies, **where, "steps": 2**62}
    chosen = choice.choose(environment, "pqn", engine, own)
    return registry.make_learner("pqn", chosen.engine, environment, chosen.config, 0), chosen.note


def by_hand(task: str) -> list[Place]:
    here = machine.here()
    places = [Place("torch", "cpu", number) for number in range(1, here.cores + 1)]
    if here.gpu and here.cuda:
        places.append(Place("torch", "cuda"))
    if "conv" not in TASKS[task][2]:
        places += [Place("fused", "cpu", number) for number in range(1, here.cores + 1)]
    return places


def per_second(training: Any, seconds: float) -> Callable[[], float]:
    def measure() -> float:
        before, begun, took = training.env_steps, time.perf_counter(), 0.0
        while took < seconds:
            training.advance(training.env_steps + 1)
            took = time.perf_counter() - begun
        return (training.env_steps - before) / took

    return measure


def table(task: str, repeats: int, seconds: float) -> dict[str, Any]:
    training, note = learner(task, "auto")
    print(f"\n{task}: {note}")
    contenders = {AUTO: per_second(training, seconds)}
    for place in by_hand(task):
        other, _ = learner(task, place.engine, device=place.device, threads=place.threads)
        contenders[str(place)] = per_second(other, seconds)
    measured = alternate(contenders, repeats)
    best = max(
        (name for name in measured if name != AUTO),
        key=lambda name: spread(measured[name])["median"],
    )
    share = ratio(measured[AUTO], measured[best])
    rows = rates(task, measured, best)
    print(
        f"  auto: {share['median']:.2f} of the best by hand [{share['low']:.2f} .. {share['high']:.2f}]"
    )
    return {"said": note, "best": best, "share": share, "rates": rows}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=1.5, help="of a turn, at least")
    chosen = options.parse_args()
    calibrate(say=lambda line: print(line, file=sys.stderr))
    tables = {task: table(task, chosen.repeats, chosen.seconds) for task in TASKS}
    short = [task for task, found in tables.items() if found["share"]["median"] < LEAST_SHARE]
    print("\nbelow 0.9 of the best: " + (", ".join(short) or "none"))
    record("auto_choice", tables, chosen.record)


if __name__ == "__main__":
    main()
