"""One training in a process of its own, so that its memory is its own.

Reads a JSON object from standard input (a job and its seed) and answers with another: what the
training took and what it learned, and what was done `aside`. A `warm` one has trained a little
before: what happens once a process would be most of a short training. Without a seed, all names and settings are looked at, no more.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

from qlearn.algorithms import registry
from qlearn.auto.choice import choose
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.memory import peak_memory_mb

MOST_JUDGED_STATES = 50_000
EVALUATION_SEED = 1_000_000_007
WARM_UP_SEED, WARM_UP_STEPS = 1_000_000_009, 1_000


class Clock:
    """Seconds and processor seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        seconds, cpu_seconds = self._begun
        return {
            "seconds": time.perf_counter() - seconds,
            "cpu_seconds": time.process_time() - cpu_seconds,
        }


def work(job: dict[str, Any]) -> dict[str, Any]:
    environment = find(job["env"], job["env_options"])
    choice = choose(environment, job["algo"], job["engine"], job["settings"])
    if job["seed"] is None:
        return {"engine": choice.engine}

    def learner_of(seed: int) -> Any:
        return registry.make_learner(choice.algo, choice.engine, environment, choice.config, seed)

    aside = Clock()
    if job["warm"]:
        learner_of(WARM_UP_SEED).advance(WARM_UP_STEPS)
    warming = aside.read()
    learner = learner_of(job["seed"])
    clock = Clock()
    while not learner.finished:
        learner.advance(choice.config.steps)
    training, peak = clock.read(), peak_memory_mb()
    aside = Clock()
    evaluation = learner.evaluate(100, EVALUATION_SEED, 10_000)
    verdict = _verdict(choice.algo, environment, learner)
    judging = aside.read()
    return {
        "training": training,
        "aside": {key: warming[key] + judging[key] for key in warming},
        "env_steps": learner.env_steps,
        "updates": learner.updates,
        "compile_seconds": learner.compile_seconds,
        "peak_memory_mb": peak,
        "engine": learner.engine,
        "metric": evaluation.mean,
        **verdict,
    }


def _verdict(algo: str, environment: Any, learner: Any) -> dict[str, Any]:
    """How far from the exact optimum, where there is one to compare with."""
    from qlearn.algorithms.table import exact
    from qlearn.envs.model import model_of

    unknown = {"policy_optimal": None, "max_error_to_optimum": None}
    if algo != "table" or not environment.compiled:
        return unknown
    model = model_of(environment)
    if model is None or model.states > MOST_JUDGED_STATES:
        return unknown
    discount = learner.plan.discount
    optimum = exact.solve(model, discount)
    verdict = exact.judge(model, discount, learner.values(), optimum)
    return {
        "policy_optimal": verdict.policy_optimal,
        "max_error_to_optimum": verdict.max_error_to_optimum,
    }


def main() -> int:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what an environment prints is no answer
            answer, code = work(json.load(sys.stdin)), 0
    except UserError as error:
        answer, code = {"error": str(error)}, 2
    except KeyboardInterrupt:
        return 130
    print(json.dumps(answer))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
