"""The training step goes through its batch sample by sample."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import networks, patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "loop-over-batch"
WHY = (
    "Each pass calls the network, or indexes tensors, for one sample, and every such call costs "
    "microseconds before it computes anything. One call on the whole batch does the same arithmetic "
    "in one go."
)


def find(facts: Facts) -> Iterator[Finding]:
    for site in facts.sites(ast.For):
        calls = [c for c in networks.module_calls(facts) if c.file == site.file and _in(site, c)]
        if (
            not patterns.over_a_batch(facts, site)
            or _acts(site)
            or not (calls or _fills_tensor(facts, site))
        ):
            continue
        count = patterns.length_of(facts, site, site.node.iter)
        backward = _backward(facts, site, calls)
        parts = [site, *backward]
        seconds = telling.total(parts)[0]
        yield telling.finding(
            facts,
            RULE,
            WHY,
            site,
            f"the loop over {count if count > 1 else 'the'} samples takes "
            + telling.amount(facts, seconds, None)
            + (", the way back through its graph included" if backward else ""),
            _fix(facts, site, calls),
            seconds=seconds,
            parts=parts,
            sizes={
                **(networks.sizes(facts, calls[0]) if calls else {}),
                "batch": count if count > 1 else None,
            },
        )


def _backward(facts: Facts, site, calls: list) -> list:
    """Goes back sample by sample too, where the loop's calls are recorded."""
    if not any(not networks.has_no_graph(facts, call) for call in calls):
        return []
    return [b for b in facts.calls_to("*.backward") if b.function == site.function]


def _in(site, call) -> bool:
    return any(call.node is below for below in ast.walk(site.node))


def _acts(site) -> bool:
    """Plays rather than learns: steps an environment, or chooses actions."""
    return any(
        getattr(call.func, "attr", "") == "step" and call.args
        for call in patterns.calls_below(site.node)
    )


def _fills_tensor(facts: Facts, site) -> bool:
    """`target[i][action] = value` where target is a tensor."""
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and getattr(patterns.seen(facts, site, patterns.root_of(node)), "kind", "") == "Tensor"
        for node in ast.walk(site.node)
    )


def _fix(facts: Facts, site, calls: list) -> str:
    source = facts.source(site.file)
    head = source.text(site.node).splitlines()[0]
    model = patterns.name_of(networks.network(calls[0])) if calls else "model"
    given = patterns.root_of(calls[0].node.args[0]) if calls else None
    states = (patterns.name_of(given) if given is not None else "") or "next_states"
    return telling.diff(
        f"{head}\n    ... {model}({states}[i]) ...",
        f"with torch.no_grad():\n    best = {model}({states}).amax(dim=1)",
        "target = reward + gamma * best * (1 - done)",
        "value = pred.gather(1, action.unsqueeze(1)).squeeze(1)",
    )


def proof(finding: Finding) -> Proof:
    """The whole training step, as the loop makes it necessary."""
    learn = "loss = ((pred - target) ** 2).mean()\noptimizer.zero_grad()\nloss.backward()\noptimizer.step()"
    return Proof(
        networks.setup(finding.sizes)
        + "dones = (alive == 0).tolist()\n"
        + "optimizer = torch.optim.Adam(model.parameters())",
        "pred = model(states)\ntarget = pred.clone()\nfor i in range(batch):\n"
        "    value = rewards[i]\n    if not dones[i]:\n"
        "        value = rewards[i] + 0.9 * torch.max(model(next_states[i]))\n"
        f"    target[i][actions[i].item()] = value\n{learn}",
        "with torch.no_grad():\n"
        "    target = rewards + 0.9 * alive * model(next_states).amax(dim=1)\n"
        f"pred = model(states).gather(1, actions.unsqueeze(1)).squeeze(1)\n{learn}",
    )
