"""Environments in processes of their own, which cost more to ask than to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qlearn.profiling import patterns, telling
from qlearn.profiling.facts import Facts
from qlearn.profiling.findings import Finding
from qlearn.profiling.proof import Proof

RULE = "async-slower"
WHY = (
    "Every step sends an action to another process and waits for its answer, about a tenth of a "
    "millisecond for each environment. An environment that steps in less than that is faster in one "
    "process."
)
WORTH_A_PROCESS = 5e-4  # seconds for a step of one environment
ASYNC = (
    "gymnasium.vector.AsyncVectorEnv", "gym.vector.AsyncVectorEnv",
    "stable_baselines3.common.vec_env.SubprocVecEnv",
)  # fmt: skip


def find(facts: Facts) -> Iterator[Finding]:
    for made, count in _made(facts):
        source = facts.source(made.file)
        statement = source.statement(made.node)
        names = {patterns.name_of(t) for t in getattr(statement, "targets", [])} - {""}
        steps = [
            s
            for s in facts.calls_to("*.step")
            if s.loops
            and s.node.args
            and (not names or patterns.name_of(s.node.func.value) in names)
        ]
        if not steps:
            continue
        seconds, calls = telling.total(steps)
        if calls and seconds / (calls * count) > WORTH_A_PROCESS:
            continue
        yield telling.finding(
            facts,
            RULE,
            WHY,
            made,
            f"{count} processes; {steps[0].text} waits "
            + telling.amount(facts, seconds, calls)
            + (f", {1e6 * seconds / calls / count:.0f} µs an environment" if calls else ""),
            _fix(made),
            seconds=seconds,
            parts=steps,
            sizes={"env": _env_id(facts.tree(made.file)), "count": count},
        )


def _made(facts: Facts) -> Iterator[tuple]:
    for site in facts.calls_to(*ASYNC):
        yield site, max(_count(facts, site, site.node.args[0]) if site.node.args else 1, 1)
    for site in facts.calls_to("gymnasium.make_vec", "gym.make_vec"):
        given = {k.arg: k.value for k in site.node.keywords}
        mode = given.get("vectorization_mode")
        if isinstance(mode, ast.Constant) and str(mode.value).lower() == "async":
            count = given.get("num_envs")
            yield site, getattr(count, "value", None) or 4


def _count(facts: Facts, site, made: ast.AST) -> int:
    if isinstance(made, ast.ListComp):
        return patterns.length_of(facts, site, made.generators[0].iter)
    times = getattr(made, "right", None)  # [make] * 8
    if isinstance(times, ast.Constant) and isinstance(times.value, int):
        return times.value
    return patterns.length_of(facts, site, made)


def _env_id(tree: ast.AST) -> str:
    for call in patterns.calls_below(tree):
        made = patterns.name_of(call.func).rsplit(".", 1)[-1] in ("make", "make_vec")
        if made and call.args and isinstance(call.args[0], ast.Constant):
            return str(call.args[0].value)
    return "CartPole-v1"


def _fix(site) -> str:
    text = site.text
    after = text.replace("AsyncVectorEnv", "SyncVectorEnv").replace("SubprocVecEnv", "DummyVecEnv")
    return telling.diff(text, after.replace('"async"', '"sync"').replace("'async'", "'sync'"))


def proof(finding: Finding) -> Proof:
    name, count = finding.sizes["env"], finding.sizes["count"]
    made = f"gym.make_vec({name!r}, num_envs={count}, vectorization_mode="
    return Proof(
        f"import gymnasium as gym\napart = {made}'async')\ntogether = {made}'sync')\n"
        "apart.reset(seed=0)\ntogether.reset(seed=0)\nactions = together.action_space.sample()",
        "apart.step(actions)",
        "together.step(actions)",
    )
