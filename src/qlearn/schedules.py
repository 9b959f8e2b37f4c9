"""Values that change while training: constant, linear, exponential, stepwise, with a floor."""

from __future__ import annotations

from typing import NamedTuple

from qlearn.errors import UserError, closest

CONSTANT, LINEAR, EXPONENTIAL, STEPWISE, VISITS = 0, 1, 2, 3, 4
KINDS = {
    "constant": CONSTANT,
    "linear": LINEAR,
    "exponential": EXPONENTIAL,
    "step": STEPWISE,
    "visits": VISITS,
}


class Schedule(NamedTuple):
    """Plain numbers, so that compiled loops take it as it is."""

    kind: int
    start: float
    end: float
    length: float  # how long the way from start to end is, in steps; for VISITS, the power
    steps: float  # STEPWISE: how many stairs


def value_at(schedule, t):
    """The value at time t (environment steps; for VISITS, updates of this very entry)."""
    if schedule.kind == CONSTANT:
        return schedule.start
    if schedule.kind == VISITS:
        return max(schedule.end, schedule.start / (1.0 + t) ** schedule.length)
    share = min(1.0, t / schedule.length)
    if schedule.kind == LINEAR:
        return schedule.start + (schedule.end - schedule.start) * share
    if schedule.kind == EXPONENTIAL:
        return schedule.start * (schedule.end / schedule.start) ** share
    stair = int(share * schedule.steps) / schedule.steps
    return schedule.start + (schedule.end - schedule.start) * stair


def constant(value: float) -> Schedule:
    return Schedule(CONSTANT, float(value), float(value), 1.0, 1.0)


def parse(text: object, budget: int, name: str) -> Schedule:
    """A schedule from what a person writes.

    `0.1`; `1->0.05` falls linearly over the whole budget; `1->0.05@0.3` over 30 % of it;
    `1->0.05@20000` over 20,000 steps; `exponential:1->0.05@0.5`; `step:1->0.1@1x4` in 4 stairs;
    `visits:1->0.01@0.6` is 1 / visits**0.6 of each entry, never below 0.01.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return constant(_number(text, name))
    words = str(text).strip()
    kind, colon, rest = words.partition(":")
    if not colon:
        kind, rest = "linear", words
    if kind not in KINDS:
        raise UserError(f"{name}: unknown schedule '{kind}'{closest(kind, KINDS)}")
    way, _, span = rest.partition("@")
    start, arrow, end = way.partition("->")
    if not arrow:
        if colon and kind != "constant" and kind != "visits":
            raise UserError(f"{name}: '{words}' needs a start and an end, such as {kind}:1->0.05")
        value = _number(start, name)
        if kind != "visits":
            return constant(value)
        return Schedule(VISITS, value, 0.0, _power(span, name), 1.0)
    if kind == "visits":
        return Schedule(VISITS, _number(start, name), _number(end, name), _power(span, name), 1.0)
    span, _, stairs = span.partition("x")
    length = _number(span, name) if span else 1.0
    if length <= 0.0:
        raise UserError(f"{name}: a schedule cannot be {length:g} long")
    if length <= 1.0:
        length *= budget
    first, last = _number(start, name), _number(end, name)
    if kind == "exponential" and (first <= 0.0 or last <= 0.0):
        raise UserError(f"{name}: an exponential schedule needs both ends above 0")
    return Schedule(KINDS[kind], first, last, length, _stairs(stairs, name))


def bounds(schedule: Schedule) -> tuple[float, float]:
    """The lowest and highest value that the schedule takes."""
    return min(schedule.start, schedule.end), max(schedule.start, schedule.end)


def _power(text: str, name: str) -> float:
    power = _number(text, name) if text else 1.0
    if power <= 0.0:
        raise UserError(f"{name}: the power of the visits must be above 0, not {power:g}")
    return power


def _stairs(text: str, name: str) -> float:
    stairs = _number(text, name) if text else 10.0
    if stairs < 1.0 or stairs != int(stairs):
        raise UserError(f"{name}: stairs are counted in whole numbers from 1 on, not {stairs:g}")
    return stairs


def _number(text: object, name: str) -> float:
    try:
        number = float(text)  # type: ignore[arg-type]
        if number != number or number in (float("inf"), -float("inf")):
            raise ValueError
    except (TypeError, ValueError):
        raise UserError(
            f"{name}: '{text}' is no number and no schedule such as 1->0.05@0.3"
        ) from None
    return number
