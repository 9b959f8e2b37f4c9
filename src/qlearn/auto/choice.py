"""`auto`: engine, device, threads and copies, by what was measured here or else by a rule.

What the user gives by hand stays. Between the places that are left the figures of `qlearn
calibrate` decide; without them a rule: compiled code where it can, a GPU for networks that are
worth it, all cores where a call of the network has enough to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from qlearn.algorithms import registry
from qlearn.auto import calibration, machine
from qlearn.auto.calibration import Calibration, Place
from qlearn.auto.machine import Machine
from qlearn.auto.work import Work, work_of

WORTH = 1.05  # how much faster a place must be to go before an earlier one: torch is slow to import
# Multiply-adds of a row from which on a GPU has something to do: 300-256-256-3 has 143,000,
# CartPole's 4-64-64-2 has 4,480.
GPU_ROW = 100_000
GPU_ENVS, GPU_FACTOR = 1024, 8  # copies that fill a GPU, and how many times more at most
# Multiply-adds of a call, on average, from which on torch gets all cores. Learning 1,024 rows on 2
# cores of an AMD EPYC, 300-512-512-3 (1.3e9) was 1.5 to 1.9 times as fast with two threads,
# 300-256-256-3 (4e8) 1.1 times, 4-64-64-2 (1.5e7) 0.3 times.
ALL_CORES_CALL = 300_000_000
SELF_TIMED = "fused"  # the engine that tries numbers of threads while it learns, where they are 0
LEARNED_WITH = {"envs", "rollout", "minibatch"}


@dataclass(frozen=True)
class Choice:
    algo: str
    engine: str
    config: Any
    note: str = ""  # what was chosen and why, in one line; nothing where there was no choice


class ByHand(NamedTuple):
    """What the user gave himself."""

    device: str  # auto, cpu or cuda
    threads: int  # 0: open
    copies: bool  # their number, or what is learned with it


@dataclass(frozen=True)
class Candidate:
    """A place that is open, and the settings that training there would have."""

    place: Place
    config: Any
    work: Work | None


def choose(
    environment: Any,
    algo: str = "auto",
    engine: str = "auto",
    settings: Mapping[str, Any] | None = None,
) -> Choice:
    """The names and the configuration behind every `auto`."""
    settings = dict(settings or {})
    algo, named = registry.choose(environment, algo, engine, settings)
    config = registry.configure(algo, settings, environment, named)
    if not hasattr(config, "hidden"):  # tables keep the rule of their own
        return Choice(algo, named, config)
    here, given = machine.here(), _by_hand(config, settings)
    engines = [named]
    if engine == "auto" and named != "torch" and here.torch:
        engines.append("torch")
    candidates = [
        _candidate(environment, algo, place, config, given)
        for place in places(engines, given, here)
    ]
    figures = calibration.load() if environment.compiled else None
    best, note = _best(algo, candidates, figures)
    if best.place.device == "cuda" and given.device == "auto" and not machine.cuda_works():
        here = replace(here, cuda=False)
        on_cpu = [candidate for candidate in candidates if candidate.place.device == "cpu"]
        best, note = _best(algo, on_cpu, figures)
    if note and environment.compiled and not figures:
        note += "; qlearn calibrate measures what is fastest here"
    if note:
        note += _about_gpu(best, given, here) + _about_copies(config, best)
    return Choice(algo, best.place.engine, best.config, note)


def _best(
    algo: str, candidates: Sequence[Candidate], figures: Calibration | None
) -> tuple[Candidate, str]:
    return (figures and _by_figures(algo, candidates, figures)) or _by_rule(candidates)


def _by_hand(config: Any, settings: Mapping[str, Any]) -> ByHand:
    return ByHand(
        config.device if "device" in settings else "auto",
        config.threads if "threads" in settings else 0,
        not LEARNED_WITH.isdisjoint(settings),
    )


def places(engines: Sequence[str], given: ByHand, here: Machine) -> list[Place]:
    """Where a network can learn, what was given by hand kept; the first by default."""
    gpu = {"auto": bool(here.gpu and here.cuda), "cpu": False, "cuda": "torch" in engines}
    found = []
    for engine in engines:
        if given.device != "cuda" or not gpu["cuda"]:
            found += [Place(engine, "cpu", n) for n in _threads(engine, given, here)]
        if engine == "torch" and gpu[given.device]:
            found.append(Place(engine, "cuda", given.threads or 1))
    return found


def _threads(engine: str, given: ByHand, here: Machine) -> Sequence[int]:
    if given.threads or engine == SELF_TIMED:
        return (given.threads,)
    return numbers_of_threads(here.cores)


def numbers_of_threads(cores: int) -> list[int]:
    """One, half of the cores where that may be all real ones, all."""
    return sorted({1, cores // 2 if cores >= 4 else 1, cores})


def _candidate(environment: Any, algo: str, place: Place, config: Any, given: ByHand) -> Candidate:
    if place.device == "cuda" and environment.compiled and not given.copies:
        config = with_more_copies(config)
    config = replace(config, device=place.device, threads=place.threads)
    return Candidate(place, config, work_of(environment, algo, config))


def with_more_copies(config: Any) -> Any:
    """As many copies as fill a GPU; minibatches grow with them, so a rollout has as many updates."""
    factor = min(GPU_FACTOR, GPU_ENVS // max(config.envs, 1))
    if factor < 2 or not hasattr(config, "minibatch"):  # in DQN copies give work to no update
        return config
    return replace(config, envs=config.envs * factor, minibatch=config.minibatch * factor)


def _by_figures(
    algo: str, candidates: Sequence[Candidate], figures: Calibration
) -> tuple[Candidate, str] | None:
    """The fastest by what was measured here, and what the others would do."""
    expected = [
        (candidate, found)
        for candidate in candidates
        if candidate.work and (found := figures.best(algo, candidate.place, candidate.work))
    ]
    if not expected:
        return None
    best, its = expected[0]
    for candidate, found in expected[1:]:
        if found.steps_per_second > WORTH * its.steps_per_second:
            best, its = candidate, found
    others: dict[tuple[str, str], calibration.Best] = {}
    for _, found in sorted(expected, key=lambda pair: pair[1].steps_per_second):
        others[found.place.engine, found.place.device] = found
    others.pop((its.place.engine, its.place.device))
    said = [f"{its.place}: about {rounded(its.steps_per_second)} steps/s here"]
    said += [f"{other.place} {rounded(other.steps_per_second)}" for other in others.values()]
    return best, "; ".join(said)


def rounded(rate: float) -> str:
    """With the two digits that an estimate is worth."""
    return f"{float(f'{rate:.2g}'):,.0f}"


def _by_rule(candidates: Sequence[Candidate]) -> tuple[Candidate, str]:
    best = next((c for c in candidates if _worth_a_gpu(c)), candidates[0])
    if best.place.engine == "torch" and best.place.device == "cpu":
        enough = best.work is None or best.work.per_call >= ALL_CORES_CALL
        best = (max if enough else min)(
            (c for c in candidates if (c.place.engine, c.place.device) == ("torch", "cpu")),
            key=lambda candidate: candidate.place.threads,
        )
    return best, f"{best.place}, by a rule" if len(candidates) > 1 else ""


def _worth_a_gpu(candidate: Candidate) -> bool:
    work = candidate.work
    return candidate.place.device == "cuda" and work is not None and work.row >= GPU_ROW


def _about_gpu(best: Candidate, given: ByHand, here: Machine) -> str:
    """Why a GPU that is there does nothing."""
    if not here.gpu or best.place.device == "cuda" or given.device == "cpu":
        return ""
    if not here.cuda:
        return f"; the PyTorch installed here cannot use the {here.gpu}"
    if best.work is None:
        return f"; --device cuda takes the {here.gpu}"
    return f"; the network is too small for the {here.gpu} ({best.work.row:,} multiply-adds a row)"


def _about_copies(config: Any, best: Candidate) -> str:
    if best.config.envs == config.envs:
        return ""
    return f"; {best.config.envs} copies and minibatches of {best.config.minibatch} fill it"
