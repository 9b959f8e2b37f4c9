"""What `qlearn calibrate` has measured on this machine, and what it says of other networks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from qlearn.auto import machine
from qlearn.auto.work import Work
from qlearn.kernels import cache as kernels
from qlearn.kernels.cache import folder

# What makes a network fast or slow; edited, it is measured anew.
PACKAGE = Path(__file__).parent.parent
SOURCES = ("nets/*.py", "kernels/simd*.py", "algorithms/network/*.py", "algorithms/[pd]qn/*.py")


@dataclass(frozen=True)
class Place:
    """Where a network learns. 0 threads: the learner tries for itself how many are fastest."""

    engine: str
    device: str = "cpu"
    threads: int = 1

    def __str__(self) -> str:
        if self.device == "cuda":
            return f"{self.engine} on the GPU"
        if self.threads == 0:
            return f"{self.engine} on the CPU"
        return f"{self.engine} on {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class Rate:
    """One measurement: a workload in one place."""

    algo: str
    workload: str
    convolutions: bool
    engine: str
    device: str
    threads: int
    calls: float  # of the network an environment step
    products: float  # multiply-adds an environment step
    steps_per_second: float

    @property
    def place(self) -> Place:
        return Place(self.engine, self.device, self.threads)


class Best(NamedTuple):
    place: Place
    steps_per_second: float


@dataclass(frozen=True)
class Calibration:
    rates: tuple[Rate, ...] = ()
    measured: str = ""  # the day

    def best(self, algo: str, place: Place, work: Work) -> Best | None:
        """Steps a second to be expected there, on the fastest number of threads where that is open."""
        found = {
            threads: self._expected(algo, Place(place.engine, place.device, threads), work)
            for threads in self._threads_of(algo, place)
        }
        if not found:
            return None
        threads = max(found, key=found.__getitem__)
        return Best(Place(place.engine, place.device, threads), found[threads])

    def _threads_of(self, algo: str, place: Place) -> list[int]:
        known = {
            rate.threads
            for rate in self.rates
            if (rate.algo, rate.engine, rate.device) == (algo, place.engine, place.device)
        }
        return sorted(known if place.threads == 0 else known & {place.threads})

    def _expected(self, algo: str, place: Place, work: Work) -> float:
        """A call's time by the arithmetic in it, between the two measured calls beside it."""
        known = [rate for rate in self.rates if (rate.algo, rate.place) == (algo, place)]
        alike = [rate for rate in known if rate.convolutions == work.convolutions] or known
        calls = [
            (math.log(rate.products / rate.calls), -math.log(rate.steps_per_second * rate.calls))
            for rate in alike
        ]
        seconds = math.exp(between(sorted(calls), math.log(work.products / work.calls)))
        return 1.0 / (seconds * work.calls)


def between(points: Sequence[tuple[float, float]], x: float) -> float:
    """On the line through the points; beyond them on with its slope.

    Time grows at most as the arithmetic does, and does not fall: slopes are from 0 to 1.
    """
    if len(points) == 1:
        (known, y), steep = points[0], x > points[0][0]
        return y + steep * (x - known)
    pairs = list(pairwise(points))
    (left, low), (right, high) = next((p for p in pairs if x <= p[1][0]), pairs[-1])
    slope = (high - low) / (right - left) if right > left else 0.0
    if left <= x <= right:
        return low + slope * (x - left)
    slope = min(max(slope, 0.0), 1.0)
    return low + slope * (x - left) if x < left else high + slope * (x - right)


# ------------------------------------------------------------------------------------- on disk


def path() -> Path:
    """One file a machine: the cache folder may be shared by several."""
    found = machine.here()
    name = kernels.key(found.processor, str(found.cores), found.gpu)
    return folder() / f"calibration-{name}.json"


@cache
def key() -> str:
    """Everything else that the figures depend on."""
    text = hashlib.sha256()
    for source in sources():
        text.update(source.read_bytes())
    versions = (machine.version_of(package) for package in ("numba", "torch"))
    return kernels.key(*versions, text.hexdigest())


def sources() -> Iterator[Path]:
    for pattern in SOURCES:
        yield from sorted(PACKAGE.glob(pattern))


def load() -> Calibration | None:
    """What was measured here; nothing where it never was, or where the file is damaged."""
    try:
        content = json.loads(path().read_text(encoding="utf-8"))
        if content["key"] != key():
            return None
        rates = tuple(_rate(row) for row in content["rates"])
        return Calibration(rates, str(content["measured"])) if rates else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rate(row: dict[str, Any]) -> Rate:
    rate = Rate(**row)
    for amount in (rate.calls, rate.products, rate.steps_per_second):
        if not 0.0 < amount < math.inf:
            raise ValueError
    return rate


def content_of(rates: Sequence[Rate]) -> dict[str, Any]:
    found = machine.here()
    return {
        "key": key(),
        "machine": asdict(found),
        "measured": date.today().isoformat(),
        "rates": [asdict(rate) for rate in rates],
    }
