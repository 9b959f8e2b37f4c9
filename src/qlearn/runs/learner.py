"""What a training asks of a learner, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from qlearn.algorithms.evaluation import Evaluation


class Learner(Protocol):
    """Made of (environment, config, seed); compiled when it is made, or adding to compile_seconds.

    `config` has `steps` and `episodes`, the budgets (0 episodes: only steps end it). It may have
    `threads` (for --threads), `device`, `init` (the text of --init), and `until_every` (steps
    between the evaluations of --until). A learner may also have

    - `threads` and `device`, where it runs; 1 and "cpu" are believed otherwise,
    - `settling`: whether it is still finding out how it learns fastest,
    - `stages() -> {name: (seconds, calls)}`, which only grow,
    - `policy_state()` and `set_policy(state)`: what playing needs of the state, where that is less,
    - `state_views()`: the state without a copy, for who writes it down at once,
    - `check()`: raises a `Diverged` where what was learned is no number; asked before it is kept,
    - `anew`: why its games began anew when its state was set; "" where they went on,
    - `suspect()`: the likeliest cause, in words, of errors that grow without limit,
    - `live()` and `retune({key: value})`: what may change while it learns, and changing it,
    - `advance(steps, episodes=0)`: it then stops after that many episodes in all, too.
    """

    environment: Any
    config: Any
    notes: tuple[str, ...]
    compile_seconds: float

    @property
    def env_steps(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def episodes(self) -> int: ...
    @property
    def finished(self) -> bool: ...

    def advance(self, steps: int) -> np.ndarray:
        """Learns until `steps` steps are done in all; the returns of the episodes that ended."""
        ...

    def evaluate(self, episodes: int, seed: int, most_steps: int) -> Evaluation:
        """Greedy episodes on games of their own: nothing that is learned from is touched."""
        ...

    def policy(self) -> Callable[[np.ndarray], int]: ...
    def figures(self) -> Mapping[str, Any]:
        """What goes into metrics.jsonl beside the returns, such as epsilon, lr, loss."""
        ...

    def get_state(self) -> dict[str, np.ndarray]: ...
    def set_state(self, state: dict[str, np.ndarray]) -> None: ...


def resumed(config: Any) -> Any:
    """The settings of a learner that gets its state from a checkpoint.

    Where it once began from, perhaps a file that is gone by now, is not looked at.
    """
    return replace(config, init="") if getattr(config, "init", "") else config
