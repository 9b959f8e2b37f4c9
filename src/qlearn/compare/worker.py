"""One contender in a process of its own, so that its memory is its own; asked line by line.

Reads JSON objects from standard input ({"seed": 3}), answers each with one line: what a whole
training took and what it learned. Compiling and importing happen before the first answer.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from qlearn.algorithms import registry
from qlearn.auto.choice import choose
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs.training import peak_memory_mb

MOST_JUDGED_STATES = 50_000
EVALUATION_SEED = 1_000_000_007


class Contender:
    """An environment, an algorithm, an engine; trained anew for every seed."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.environment = find(job["env"], job["env_options"])
        choice = choose(self.environment, job["algo"], job["engine"], job["settings"])
        self.algo, self.engine, self.config = choice.algo, choice.engine, choice.config
        self._optimum: Any = None
        self._peak: float | None = None

    def train(self, seed: int) -> dict[str, Any]:
        learner = registry.make_learner(self.algo, self.engine, self.environment, self.config, seed)
        begun = time.perf_counter()
        while not learner.finished:
            learner.advance(self.config.steps)
        seconds = time.perf_counter() - begun
        if self._peak is None:  # judging, below, may need more than training does
            self._peak = peak_memory_mb()
        evaluation = learner.evaluate(100, EVALUATION_SEED, 10_000)
        return {
            "seconds": seconds,
            "env_steps": learner.env_steps,
            "updates": learner.updates,
            "episodes": learner.episodes,
            "compile_seconds": learner.compile_seconds,
            "peak_memory_mb": self._peak,
            "engine": learner.engine,
            "metric": evaluation.mean,
            **self._verdict(learner),
        }

    def _verdict(self, learner: Any) -> dict[str, Any]:
        """How far from the exact optimum, where there is one to compare with."""
        from qlearn.algorithms.table import exact
        from qlearn.envs.model import model_of

        unknown = {"policy_optimal": None, "max_error_to_optimum": None}
        if self.algo != "table" or not self.environment.compiled:
            return unknown
        model = model_of(self.environment)
        if model is None or model.states > MOST_JUDGED_STATES:
            return unknown
        discount = learner.plan.discount
        if self._optimum is None:
            self._optimum = exact.solve(model, discount)
        verdict = exact.judge(model, discount, learner.values(), self._optimum)
        return {
            "policy_optimal": verdict.policy_optimal,
            "max_error_to_optimum": verdict.max_error_to_optimum,
        }


def answer(text: Any, out: Any) -> None:
    out.write(json.dumps(text) + "\n")
    out.flush()


def main() -> int:
    out, sys.stdout = sys.stdout, sys.stderr  # what an environment prints is no answer
    try:
        contender = Contender(json.loads(sys.stdin.readline()))
        answer({"ready": True}, out)
        for line in sys.stdin:
            answer(contender.train(json.loads(line)["seed"]), out)
    except UserError as error:
        answer({"error": str(error)}, out)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
