"""The one command of ours that trains what a script trains, and how much faster, measured here."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from qlearn.errors import UserError
from qlearn.profiling.facts import Facts
from qlearn.profiling.source import names_in, words
from qlearn.profiling.stages import DEEP

SECONDS = 2.0  # that ours is trained for
LEAST_STEPS = 100  # of the script's; from fewer no rate can be told


def instead(facts: Facts, folder: Path) -> dict[str, Any] | None:
    """Trains it for a moment: {command, seconds, speedup} for as many steps as the script made."""
    target, steps = _target(facts), _steps(facts)
    if target is None or steps < LEAST_STEPS:
        return None
    from qlearn.runs.training import train

    algo = "dqn" if DEEP & set(facts.modules) else "table"
    try:
        run = train(target, algo=algo, seconds=SECONDS, out=folder / "instead")
    except UserError:  # no environment of that name here, or none that the algorithm can learn
        return None
    seconds = steps / run.report["steps_per_second"]
    return {
        "command": f"qlearn train {target} --algo {algo} --steps {steps}",
        "seconds": seconds,
        "speedup": facts.working_seconds / seconds,
    }


def _target(facts: Facts) -> str | None:
    """The environment: Gymnasium's by its name; the classics by what their worlds are called."""
    for site in facts.calls_to("gymnasium.make", "gym.make"):
        name = site.node.args[0] if isinstance(site.node, ast.Call) and site.node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return f"gym:{name.value}"
    for function in facts.functions:
        owner = set(words(function.name.split(".")[0]))
        if "snake" in owner and function.seconds:
            return "snake"
    for function in facts.functions:
        if function.seconds and {"holes", "hole"} & names_in(function.node):
            return "grid"
    return None


def _steps(facts: Facts) -> int:
    """How often the script's world moved on, as often as it was called."""
    sites = [site.calls or 0 for site in facts.calls_to("*.step", "*.play_step")]
    moves = [
        function.calls or 0
        for function in facts.functions
        if "_".join(words(function.name.rpartition(".")[2])) in _MOVES
    ]
    return max([0, *sites, *moves])


_MOVES = {"step", "play_step", "env_step", "next_state", "nxt_position", "next_position",
          "next_place", "get_reward", "reward", "take_action"}  # fmt: skip
