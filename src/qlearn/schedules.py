"""Values that change while training: constant, linear, exponential, stepwise, decaying to a floor,
discounts whose horizon grows.

Time is counted in environment steps, in episodes, or in both: a share of the budget has passed
when that share of the steps or of the episodes has, whichever comes first.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from qlearn.errors import UserError, closest

CONSTANT, LINEAR, EXPONENTIAL, STEPWISE, VISITS, DECAY, HORIZON = 0, 1, 2, 3, 4, 5, 6
KINDS = {
    "constant": CONSTANT,
    "linear": LINEAR,
    "exponential": EXPONENTIAL,
    "step": STEPWISE,
    "visits": VISITS,
    "decay": DECAY,
    "horizon": HORIZON,
}
EPISODES = ("ep", "episodes", "episode")
STEPS = ("step", "steps")


class Schedule(NamedTuple):
    """Plain numbers, so that compiled loops take it as it is."""

    kind: int
    start: float
    end: float
    steps: float  # how long the way from start to end is; for DECAY, between two factors
    episodes: float  # the same counted in episodes; infinite where these do not count
    shape: float  # STEPWISE: how many stairs; VISITS: the power; DECAY: the factor


def value_at(schedule, steps, episodes):
    """The value after so many steps and episodes (for VISITS, updates of this very entry)."""
    if schedule.kind == CONSTANT:
        return schedule.start
    if schedule.kind == VISITS:
        return max(schedule.end, schedule.start / (1.0 + steps) ** schedule.shape)
    t = max(steps / schedule.steps, episodes / schedule.episodes)
    if schedule.kind == DECAY:
        return max(schedule.end, schedule.start * schedule.shape**t)
    share = min(1.0, t)
    if schedule.kind == LINEAR:
        return schedule.start + (schedule.end - schedule.start) * share
    if schedule.kind == EXPONENTIAL:
        return schedule.start * (schedule.end / schedule.start) ** share
    if schedule.kind == HORIZON:
        near = 1.0 - schedule.start
        return 1.0 - near * ((1.0 - schedule.end) / near) ** share
    stair = int(share * schedule.shape) / schedule.shape
    return schedule.start + (schedule.end - schedule.start) * stair


def constant(value: float) -> Schedule:
    return Schedule(CONSTANT, float(value), float(value), inf, inf, 1.0)


def parse(text: object, budget: int, name: str, episodes: int = 0) -> Schedule:
    """A schedule from what a person writes, for a budget of steps and, if not 0, of episodes.

    `0.1`; `1->0.05` falls linearly over the whole budget; `1->0.05@0.3` over 30 % of it;
    `1->0.05@20000` over 20,000 steps, `1->0.05@2000ep` over 2,000 episodes;
    `exponential:1->0.05@0.5`; `step:1->0.1@1x4` in 4 stairs; `decay:1->0.05@0.995/ep` is
    multiplied by 0.995 each episode (`/step`: each step) and never falls below 0.05;
    `horizon:0.99->0.9999@0.8` is a discount whose horizon, 1 / (1 - discount), grows by the same
    factor in the same time, from 100 steps to 10,000;
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
    if kind == "visits":
        floor = _number(end, name) if arrow else 0.0
        return Schedule(VISITS, _number(start, name), floor, inf, inf, _power(span, name))
    if kind == "decay":
        return _decay(_number(start, name), _number(end, name) if arrow else 0.0, span, name)
    if not arrow:
        if colon and kind != "constant":
            raise UserError(f"{name}: '{words}' needs a start and an end, such as {kind}:1->0.05")
        return constant(_number(start, name))
    first, last = _number(start, name), _number(end, name)
    if kind == "exponential" and (first <= 0.0 or last <= 0.0):
        raise UserError(f"{name}: an exponential schedule needs both ends above 0")
    if kind == "horizon" and max(first, last) >= 1.0:
        raise UserError(f"{name}: a horizon needs both ends below 1, such as horizon:0.99->0.999")
    span, _, stairs = span.partition("x")
    length = _length(span, budget, episodes, name)
    return Schedule(KINDS[kind], first, last, *length, _stairs(stairs, name))


def bounds(schedule: Schedule) -> tuple[float, float]:
    """The lowest and highest value that the schedule takes."""
    return min(schedule.start, schedule.end), max(schedule.start, schedule.end)


def counts_episodes(schedule: Schedule) -> bool:
    """Whether episodes move it, beside steps or instead of them."""
    return schedule.episodes < inf


def _length(span: str, budget: int, episodes: int, name: str) -> tuple[float, float]:
    """(steps, episodes) of the whole way; without a unit, up to 1 is a share of the budget."""
    number, unit = unit_of(span)
    length = _number(number, name) if number else 1.0
    if length <= 0.0:
        raise UserError(f"{name}: a schedule cannot be {length:g} long")
    if unit in EPISODES:
        return inf, length
    if unit or length > 1.0:
        return length, inf
    return length * budget, length * episodes if episodes else inf


def _decay(start: float, floor: float, span: str, name: str) -> Schedule:
    factor, _, unit = span.partition("/")
    unit = unit.strip()
    if unit not in (*EPISODES, *STEPS):
        raise UserError(
            f"{name}: a decay says its factor and how often, such as decay:1->0.05@0.995/ep"
            " (each episode) or @0.9999/step"
        )
    shape = _number(factor, name)
    if not 0.0 < shape <= 1.0:
        raise UserError(
            f"{name}: the factor of a decay must be above 0 and at most 1, not {shape:g}"
        )
    if start < floor:
        raise UserError(f"{name}: a decay falls, and {start:g} is below its floor {floor:g}")
    each = (inf, 1.0) if unit in EPISODES else (1.0, inf)
    return Schedule(DECAY, start, floor, *each, shape)


def unit_of(span: str) -> tuple[str, str]:
    """`2000ep` as (`2000`, `ep`)."""
    span = span.strip()
    for unit in (*STEPS, *EPISODES):  # "step" ends with "ep"
        if span.endswith(unit):
            return span[: -len(unit)].strip(), unit
    return span, ""


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
            f"{name}: '{text}' is no number and no schedule such as 1->0.05@0.3{_cut_off(text)}"
        ) from None
    return number


def _cut_off(text: object) -> str:
    """What `1->0.05` becomes where nobody keeps the shell from reading the `>`."""
    return " (in a shell, in quotes: '1->0.05@0.3')" if str(text).endswith("-") else ""
