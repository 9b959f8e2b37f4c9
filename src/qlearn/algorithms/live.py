"""What of a learner's settings may change while it learns, and changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

from qlearn.envs.spec import coerce
from qlearn.errors import UserError, closest
from qlearn.schedules import Schedule

SCHEDULE, NUMBER, WHOLE, STEPS = "schedule", "number", "whole", "steps"


class Knob(NamedTuple):
    """A setting and its limits; those of schedules and of steps the configuration's check knows."""

    kind: str  # a number or a schedule's text, a number, a whole number, steps or a word
    low: float
    high: float


EPSILON = LR = Knob(SCHEDULE, 0.0, 1.0)
DISCOUNT = RESTLESS = Knob(NUMBER, 0.0, 1.0)


class Live:
    """A learner made of a configuration, and of a plan: the numbers of it that its loops read."""

    knobs: Mapping[str, Knob] = {}
    environment: Any
    config: Any
    plan: Any

    def planned(self, config: Any) -> Any:
        """The plan of a configuration; a `UserError` where it cannot be."""
        raise NotImplementedError

    def take(self, config: Any, plan: Any) -> None:
        """Goes on with these; whatever else was made of the old ones is made again."""
        self.config, self.plan = config, plan

    def live(self) -> dict[str, dict[str, Any]]:
        """Every knob: its value now, its kind and its limits."""
        return {key: {"value": self._value(key), **self._knob(key)._asdict()} for key in self.knobs}

    def _value(self, key: str) -> Any:
        """What was set, or what stands in its place."""
        value = getattr(self.config, key)
        if value is None:
            value = getattr(self.plan, key)
        return value.start if isinstance(value, Schedule) else value

    def _knob(self, key: str) -> Knob:
        """What a run was begun with is within the limits."""
        knob, value = self.knobs[key], self._value(key)
        return knob if isinstance(value, str) else knob._replace(high=max(knob.high, value))

    def retune(self, changes: Mapping[str, Any]) -> None:
        """Changes settings, all or none, from the next step on."""
        coerced = {key: self._coerced(key, value) for key, value in changes.items()}
        config = replace(self.config, **coerced)
        self.take(config, self.planned(config))

    def _coerced(self, key: str, value: Any) -> Any:
        if key not in self.knobs:
            known = {field.name for field in fields(self.config)}
            if key not in known:
                raise UserError(f"there is no setting '{key}'{closest(key, self.knobs)}")
            raise UserError(f"{key} cannot change while it learns{closest('', self.knobs)}")
        kind, low, high = self._knob(key)
        if kind == STEPS:
            return str(value)
        if kind == SCHEDULE:
            return value  # read, and refused, where the plan is made
        number = coerce(value, 0 if kind == WHOLE else 0.0, key)
        if not low <= number <= high:
            raise UserError(f"{key} must be between {low:g} and {high:g}, not {number:g}")
        return number
