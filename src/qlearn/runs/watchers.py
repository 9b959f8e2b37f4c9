"""Who looks on while a run is trained: a view in the terminal, an event file. They change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from qlearn.runs.folder import RunFolder
from qlearn.runs.learner import Learner
from qlearn.runs.stages import Stages


class Watched(Protocol):
    """What there is to see of a training in progress."""

    folder: RunFolder
    learner: Learner
    stages: Stages

    @property
    def env_steps(self) -> int: ...
    @property
    def train_seconds(self) -> float: ...
    @property
    def steps_per_second(self) -> float: ...
    @property
    def share(self) -> float: ...
    @property
    def best_mean(self) -> float: ...


class Watcher:
    """Overrides what it wants to see; rows are those of metrics.jsonl."""

    name = "watcher"

    def begins(self, training: Watched) -> None:
        pass

    def wants(self, now: float) -> bool:
        """Whether it would look now; asked at every chunk border, so it must be quick."""
        return False

    def looks(self, training: Watched) -> None:
        pass

    def logged(self, training: Watched, row: dict[str, Any]) -> None:
        pass

    def judged(self, training: Watched, row: dict[str, Any]) -> None:
        pass

    def ends(self, training: Watched) -> None:
        pass


class Watchers:
    """All of them. One that fails is told of and left out: the training goes on."""

    def __init__(self, watchers: Sequence[Watcher], say: Callable[[str], None]) -> None:
        self._watchers, self._say = list(watchers), say

    def wants(self, now: float) -> bool:
        return any(watcher.wants(now) for watcher in self._watchers)

    def tell(self, what: str, *arguments: Any) -> None:
        for watcher in list(self._watchers):
            try:
                getattr(watcher, what)(*arguments)
            except Exception as error:
                self._watchers.remove(watcher)
                self._say(f"{watcher.name} has stopped ({error}); the training goes on")
