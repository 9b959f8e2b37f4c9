"""`calibrate`: how fast this machine learns, measured with real learners on workloads of all sizes.

Every engine, device and number of threads in turn on each workload; what `auto` then chooses by
(see auto/choice.py) is kept beside the compiled kernels, for this machine and these versions.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from qlearn.algorithms import registry
from qlearn.auto import calibration, choice, machine
from qlearn.auto.calibration import Place, Rate
from qlearn.auto.work import work_of
from qlearn.compare.measure import alternate
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs.files import write_json

SECONDS, REPEATS, WARMUP = 60.0, 3, 1
SEED = 0


class Workload(NamedTuple):
    name: str
    algo: str
    env: str
    settings: dict[str, Any]


FEW = {"envs": 32, "rollout": 4, "minibatch": 128, "epochs": 1}  # a turn is whole rollouts
REPLAY = {"start": 100, "replay": 20_000}
BOARD = {"env.observation": "board"}
WORKLOADS = (
    Workload("CartPole 64x64", "pqn", "cartpole", {}),
    Workload("Snake features 256", "pqn", "snake", {"env.observation": "features"}),
    Workload("Snake board 256x256", "pqn", "snake", BOARD),
    Workload("Snake board 256x256, minibatch 128", "pqn", "snake", {**BOARD, **FEW}),
    Workload("Snake board 1024x1024", "pqn", "snake", {**BOARD, "hidden": "1024x1024", **FEW}),
    Workload(
        "Snake board 8x3x1", "pqn", "snake", {**BOARD, "conv": "8x3x1", "hidden": "64", **FEW}
    ),
    Workload(
        "Snake board 32x3x1,64x3x1", "pqn", "snake", {**BOARD, "conv": "32x3x1,64x3x1", **FEW}
    ),
    Workload("CartPole 64x64", "dqn", "cartpole", REPLAY),
    Workload("Snake board 256x256", "dqn", "snake", {**BOARD, **REPLAY}),
    Workload(
        "Snake board 8x3x1", "dqn", "snake", {**BOARD, "conv": "8x3x1", "hidden": "64", **REPLAY}
    ),
)


def calibrate(
    again: bool = False, seconds: float = SECONDS, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The JSON object of `qlearn calibrate`; measured once, in about so many seconds."""
    if not seconds > 0.0:
        raise UserError(f"seconds must be above 0, not {seconds:g}")
    if again or calibration.load() is None:
        rates = measure(WORKLOADS, seconds, say or (lambda _: None))
        write_json(calibration.path(), calibration.content_of(rates))
    return report()


def report() -> dict[str, Any]:
    known = calibration.load()
    assert known is not None
    content = calibration.content_of(known.rates)
    return {
        "file": str(calibration.path()),
        "measured": known.measured,
        "machine": content["machine"],
        "rates": content["rates"],
    }


def measure(
    workloads: Sequence[Workload], seconds: float, say: Callable[[str], None]
) -> list[Rate]:
    turns = sum(len(places(workload)) for workload in workloads) * (REPEATS + WARMUP)
    rates: list[Rate] = []
    with _threads_of_torch_kept():
        for workload in workloads:
            rates += _in_turn(workload, seconds / turns)
            say(_said(workload, rates))
    return rates


def places(workload: Workload) -> list[Place]:
    """Everywhere that this network can learn on this machine."""
    here, found = machine.here(), []
    threads = choice.numbers_of_threads(here.cores)
    if "conv" not in workload.settings:
        found += [Place("fused", "cpu", number) for number in threads]
    if here.torch:
        found += [Place("torch", "cpu", number) for number in threads]
        if here.gpu and here.cuda and machine.cuda_works():
            found.append(Place("torch", "cuda"))
    return found


def _in_turn(workload: Workload, seconds: float) -> Iterator[Rate]:
    options = {key[4:]: value for key, value in workload.settings.items() if key[:4] == "env."}
    settings = {key: value for key, value in workload.settings.items() if key[:4] != "env."}
    environment = find(workload.env, options)
    learners = {}
    for place in places(workload):
        learner = _learner(environment, workload.algo, place, settings)
        learners[replace(place, threads=learner.threads)] = learner  # it may take fewer
    measured = alternate(
        {
            str(place): partial(_steps_per_second, learner, seconds)
            for place, learner in learners.items()
        },
        REPEATS,
        WARMUP,
    )
    for place, learner in learners.items():
        work = work_of(environment, workload.algo, learner.config)
        assert work is not None
        yield Rate(
            workload.algo, workload.name, work.convolutions, place.engine, place.device,
            place.threads, work.calls, work.products, statistics.median(measured[str(place)]),
        )  # fmt: skip


def _learner(environment: Any, algo: str, place: Place, settings: dict[str, Any]) -> Any:
    own = {**settings, "device": place.device, "threads": place.threads, "steps": 2**62}
    config = registry.configure(algo, own, environment, place.engine)
    return registry.make_learner(algo, place.engine, environment, config, SEED)


def _steps_per_second(learner: Any, seconds: float) -> float:
    learner.advance(getattr(learner.config, "start", 0))  # before that nothing is learned
    before, begun, took = learner.env_steps, time.perf_counter(), 0.0
    while took < seconds:
        learner.advance(learner.env_steps + 1)
        took = time.perf_counter() - begun
    return (learner.env_steps - before) / took


@contextmanager
def _threads_of_torch_kept() -> Iterator[None]:
    """For who calibrates from a program that uses torch itself."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    yield
    if torch:
        torch.set_num_threads(threads)


def _said(workload: Workload, rates: Sequence[Rate]) -> str:
    own = [rate for rate in rates if (rate.algo, rate.workload) == (workload.algo, workload.name)]
    parts = ", ".join(f"{rate.place} {choice.rounded(rate.steps_per_second)}" for rate in own)
    return f"{workload.name} by {workload.algo}: {parts} steps/s"
