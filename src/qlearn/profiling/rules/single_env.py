"""One environment at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "single-env"
WHY = (
    "With one environment every step pays alone for Gymnasium's checks, the conversion of a state and "
    "a call of the network. Many environments stepped together share one call, and compiled ones "
    "step in microseconds."
)


def find(facts: Facts) -> Iterator[Finding]:
    for made in facts.calls_to("gymnasium.make", "gym.make"):
        source = facts.source(made.file)
        if source.loops(made.node) or isinstance(source.parent(made.node), ast.Lambda):
            continue
        names = {patterns.name_of(t) for t in getattr(source.statement(made.node), "targets", [])}
        steps = [s for s in _steps(facts) if _last(s) in {n.rsplit(".", 1)[-1] for n in names}]
        if not steps:
            continue
        worst = max(steps, key=lambda s: s.seconds)
        seconds, calls = patterns.total(steps)
        yield patterns.finding(
            facts,
            RULE,
            WHY,
            worst,
            f"{worst.text}, one environment: " + patterns.amount(facts, seconds, calls),
            _fix(made, worst),
            seconds=seconds,
            parts=steps,
            sizes={"env": _first_text(made), "network": "torch" in facts.modules},
        )


def _steps(facts: Facts) -> list:
    return [s for s in facts.calls_to("*.step") if s.loops and s.node.args]


def _last(site) -> str:
    return patterns.name_of(site.node.func.value).rsplit(".", 1)[-1]


def _first_text(made) -> str:
    first = made.node.args[0] if made.node.args else None
    return str(first.value) if isinstance(first, ast.Constant) else "CartPole-v1"


def _fix(made, step) -> str:
    after = made.text.replace(".make(", ".make_vec(", 1)
    head, _, tail = after.rpartition(")")
    return patterns.diff(
        f"{made.text}\n{step.text}",
        f"{head}, num_envs=16){tail}   # or qlearn.make({_first_text(made)!r}, envs=64)",
        step.text.replace("(action)", "(actions)"),
    )


def proof(finding: Finding) -> Proof | None:
    if not finding.sizes["network"]:
        return None
    name = finding.sizes["env"]
    ask = "with torch.inference_mode():\n    y = model(torch.from_numpy({})).argmax(-1)"
    return Proof(
        "import gymnasium as gym\n"
        + patterns.network_setup({})
        + f"env = gym.make({name!r})\nenvs = gym.make_vec({name!r}, num_envs=16)\n"
        "state, _ = env.reset()\nstates, _ = envs.reset()\nstate = state.ravel()\n"
        "action, actions = env.action_space.sample(), envs.action_space.sample()\n"
        "model = nn.Sequential(nn.Linear(len(state), 64), nn.ReLU(), nn.Linear(64, 2))\n"
        "state, states = state.astype('float32'), states.reshape(16, -1).astype('float32')",
        "for i in range(16):\n    _, _, ended, cut, _ = env.step(action)\n"
        "    if ended or cut:\n        env.reset()\n    "
        + ask.format("state").replace("\n", "\n    "),
        "envs.step(actions)\n" + ask.format("states"),
    )
