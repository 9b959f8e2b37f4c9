"""One environment at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "single-env"
PART = 0.6  # CartPole: 7.2 us a step alone, 2.7 us among sixteen
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
        if not steps or not _steps_together(_first_text(made)):
            continue
        worst = steps[0]
        yield telling.finding_of_all(
            facts,
            RULE,
            WHY,
            steps,
            f"{worst.text}, one environment: ",
            _fix(facts, made, worst),
            saved=PART,
            sizes={"env": _first_text(made), "network": "torch" in facts.modules},
        )


def _steps_together(name: str) -> bool:
    """Gymnasium has a vectorised form of it: a list of single ones steps no faster than they do."""
    import gymnasium

    try:
        return gymnasium.spec(name).vector_entry_point is not None
    except gymnasium.error.Error:
        return False


def _steps(facts: Facts) -> list:
    return [s for s in facts.calls_to("*.step") if s.loops and s.node.args]


def _last(site) -> str:
    return patterns.name_of(site.node.func.value).rsplit(".", 1)[-1]


def _first_text(made) -> str:
    first = made.node.args[0] if made.node.args else None
    return str(first.value) if isinstance(first, ast.Constant) else "CartPole-v1"


def _fix(facts: Facts, made, step) -> str:
    source = facts.source(made.file)
    given = [source.text(part) for part in [*made.node.args, *made.node.keywords]]
    maker = source.text(made.node.func).replace("make", "make_vec")
    return telling.diff(
        f"{made.text}\n{step.text}",
        f"{maker}({', '.join([*given, 'num_envs=16'])})"
        f"   # or qlearn.make({_first_text(made)!r}, envs=64)",
        f"{facts.source(step.file).text(step.node.func)}(actions)",
    )


def proof(finding: Finding) -> Proof | None:
    if not finding.sizes["network"]:
        return None
    name = finding.sizes["env"]
    ask = "with torch.inference_mode():\n    y = model(torch.from_numpy({})).argmax(-1)"
    return Proof(
        "import gymnasium as gym\n"
        + networks.setup({})
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
