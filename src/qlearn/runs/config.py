"""The settings of the run itself, beside the algorithm's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qlearn.envs.spec import coerce
from qlearn.errors import UserError
from qlearn.schedules import EPISODES, unit_of

MOST_KEPT = 1000


@dataclass(frozen=True)
class RunConfig:
    eval_every: int | str = 0
    """Steps (5000) or episodes (10ep) between greedy evaluations; 0: at the end, and often with
    --until."""
    eval_episodes: int = 100
    """Episodes of the evaluation at the end."""
    eval_max_steps: int = 10_000
    """Where a greedy episode that never ends is cut off."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints; unless it is set, more where they would take 2 % of the time."""
    keep: int = 1
    """How many checkpoints stay beside the last one; the one before it, until that is verified."""

    def check(self) -> None:
        lowest = {"eval_episodes": 1, "eval_max_steps": 1, "checkpoint_seconds": 0}
        for key, least in lowest.items():
            if getattr(self, key) < least:
                raise UserError(f"{key} must be at least {least}, not {getattr(self, key):g}")
        if not 0 <= self.keep <= MOST_KEPT:
            raise UserError(f"keep must be from 0 to {MOST_KEPT:,}, not {self.keep:,}")
        every(self.eval_every)


def take_from(settings: dict[str, Any]) -> RunConfig:
    """The run's own settings, taken out of all that were given."""
    found: dict[str, Any] = {}
    for key, default in asdict(RunConfig()).items():
        if key in settings:
            value = settings.pop(key)
            counts_episodes = key == "eval_every" and every(value)[1]
            found[key] = str(value) if counts_episodes else coerce(value, default, key)
    config = RunConfig(**found)
    config.check()
    return config


def every(text: int | str) -> tuple[int, int]:
    """(steps, episodes) between two evaluations: 5000, or 10ep; 0 where they do not count."""
    number, unit = unit_of(str(text))
    try:
        amount = int(coerce(number, 0, "eval_every"))
    except UserError:
        raise UserError(
            f"eval_every is a number of steps, or of episodes such as 10ep, not {text!r}"
        ) from None
    if amount < 0:
        raise UserError(f"eval_every must be at least 0, not {amount}")
    return (0, amount) if unit in EPISODES else (amount, 0)
