"""Clips while a run is trained: after a greedy evaluation, as often as costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlearn.errors import UserError
from qlearn.runs.driver import EVALUATION_SEED
from qlearn.runs.files import write_bytes
from qlearn.runs.watchers import Watched, Watcher
from qlearn.watching.clip import Clip, artist_for, heading, recorded, values_of
from qlearn.watching.games import Game, game_of

SHARE = 0.01  # of the training's time
EVERY = 5.0  # seconds between two clips, at least
LEAST, MOST = 0.05, 2.0  # seconds to have before a game is begun; with MOST, it may be cut off
SPARSE = 4  # of games that come as pictures, which cost most, each so many-th step
END = 3.0  # seconds for the last game: nothing is trained meanwhile
KEPT = 20  # of the newest; the best is kept beside them


class Recorder(Watcher):
    """Writes `clips/ENV_STEPS.json.gz`: the first game of the evaluation that was just made.

    It plays on a game of its own with what the learner gives for playing, and draws no number
    from any stream of the training, so a run with clips is the run without.
    """

    name = "the recorder of games"

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self.say = say
        self.game: Game | None = None
        self._as_new()

    def _as_new(self) -> None:
        self.returns: dict[int, float] = {}  # by steps
        self.spent, self.last, self.enough = 0.0, 0.0, LEAST
        self.judged_at = self.whole_at = -1
        self.failed = False

    def begins(self, training: Watched) -> None:
        """Opens a game before the clock runs; forgets what was recorded after the checkpoint, and
        of another run, where one recorder goes through several seeds."""
        self._as_new()
        self.game = game_of(training.learner.environment)
        self.folder = training.folder.path / "clips"
        for path in self.folder.glob("*.json.gz"):
            try:
                found = heading(path)
                steps, score = int(found["env_steps"]), float(found["return"])
            except (UserError, KeyError, TypeError, ValueError):
                continue
            if steps > training.env_steps:
                path.unlink(missing_ok=True)
            else:
                self.returns[steps] = score

    def judged(self, training: Watched, row: dict[str, Any]) -> None:
        self.judged_at = training.env_steps
        left = SHARE * training.train_seconds - self.spent
        if left < self.enough or (self.last and time.perf_counter() - self.last < EVERY):
            return
        begun = time.perf_counter()
        try:
            clip = self._play(training, left / 4)  # drawing and writing take the rest
            if clip["cut_off"] and self.enough < MOST:
                self.enough = 2 * left  # half a game is worth less than a later whole one
            else:
                self._write(training, clip)
        finally:
            self.last = time.perf_counter()
            self.spent += self.last - begun

    def ends(self, training: Watched) -> None:
        if self.game is None:
            return
        try:
            if self.judged_at >= 0 and self.whole_at != training.env_steps:
                self._write(training, self._play(training, END))
        finally:
            self.game.close()
            self.game = None

    def _play(self, training: Watched, seconds: float) -> Clip:
        learner: Any = training.learner
        assert self.game is not None
        artist = artist_for(learner, self.game.size)
        every = 1 if self.game.size is None else SPARSE
        values = values_of(learner)
        return recorded(
            learner, self.game, artist, values, EVALUATION_SEED, seconds=seconds, every=every
        )

    def _write(self, training: Watched, clip: Clip) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
            write_bytes(self.path_of(training.env_steps), clip.gzipped())
        except (OSError, UserError) as error:
            if not self.failed:
                self.say(f"no clip could be written ({error}); the training goes on")
            self.failed = True
            return
        self.failed = False
        self.returns[training.env_steps] = clip["return"]
        self.whole_at = -1 if clip["cut_off"] else training.env_steps
        self._tidy()

    def path_of(self, steps: int) -> Path:
        return self.folder / f"{steps}.json.gz"

    def _tidy(self) -> None:
        """Keeps the newest, and the best of all, the newer where two are as good."""
        best = max(self.returns, key=lambda steps: (self.returns[steps], steps))
        for steps in sorted(self.returns)[:-KEPT]:
            if steps != best:
                self.path_of(steps).unlink(missing_ok=True)
                del self.returns[steps]
