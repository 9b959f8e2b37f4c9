"""A clip: one greedy game, frame by frame, as a file that a page, a film or a test reads alike.

    {"format": 1, "env": "snake", "seed": 0, "game": 3, "return": 31.0, "env_steps": 500000,
     "steps": 412, "every": 1, "cut_off": false, "fps": 12, "width": 608, "height": 412,
     "actions": ["straight", "right", "left"], "ground": [shapes that all frames share],
     "frames": [{"scene": {"width", "height", "shapes"}, "step", "reward", "action", "q"}, ...]}

A frame's action and Q are those that are chosen in what it shows; its reward came on the way
there, since the frame before. The last frame has neither action nor Q.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qlearn.errors import UserError
from qlearn.runs.run import MOST_STEPS
from qlearn.watching.games import Game, game_of
from qlearn.watching.scenes import Artist, artist_of

FORMAT = 1
MOST_FRAMES = 2000
MOST_PAINTED = 600  # of games that come as pictures
CHOICE = 20  # games among which the best or the worst is looked for
STEPS_A_SECOND = {"cartpole": 50.0, "snake": 12.0}  # as fast as one would play it
SHOWS_SCORE = ("cartpole", "snake")  # the steps are the score, or the artist draws it
BOARD_STEPS, PICTURE_STEPS = 3.0, 30.0
MOST_STATES = 4096  # whose values a network is asked for, to shade a board


class Clip:
    """The content as above, and how it is written and read."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def gzipped(self) -> bytes:
        """The same clip is the same bytes: no date inside. Frames come last."""
        text = json.dumps(self.content, separators=(",", ":"))
        return gzip.compress(text.encode(), 4, mtime=0)

    @classmethod
    def read(cls, path: Path) -> Clip:
        try:
            content = json.loads(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"{path} is no clip: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(f"{path} is no clip that this version reads")
        return cls(content)


HEADING = 4096  # bytes, more than enough


def heading(path: Path) -> dict[str, Any]:
    """A clip without its ground and its frames, read from the file's beginning alone."""
    try:
        with gzip.open(path) as file:
            begun = file.read(HEADING).decode(errors="replace")
        return json.loads(begun[: begun.index(',"ground":')] + "}")
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} is no clip: {error}") from None


class Moment(NamedTuple):
    """What is kept of a step until the game is over and can be drawn."""

    step: int
    state: dict[str, Any]
    reward: float
    score: float
    q: list[float] | None
    action: int | None


def play(
    run_or_learner: Any,
    seed: int = 0,
    best: bool = False,
    most_steps: int = MOST_STEPS,
    *,
    choose: str | None = None,
    seconds: float | None = None,
) -> Clip:
    """One greedy game: the first of those that `evaluate(seed=seed)` plays.

    `best` takes a run's best network. `choose` "best" or "worst" takes that one of 20 games.
    After so many `seconds` the game is cut off, as after `most_steps`.
    """
    learner = run_or_learner
    if hasattr(run_or_learner, "learner"):
        learner = run_or_learner.learner(best)
    values = values_of(learner)
    index = 0 if choose is None else chosen_game(learner, seed, most_steps, choose)
    game = game_of(learner.environment)
    try:
        artist = artist_for(learner, game.size)
        return recorded(learner, game, artist, values, seed, index, most_steps, seconds)
    finally:
        game.close()


def recorded(
    learner: Any,
    game: Game,
    artist: Artist,
    values: Callable[[np.ndarray], np.ndarray],
    seed: int,
    index: int = 0,
    most_steps: int = MOST_STEPS,
    seconds: float | None = None,
    every: int = 1,
) -> Clip:
    """The clip of game `index` of a seed, a frame `every` so many steps, or fewer."""
    most = MOST_FRAMES if game.size is None else MOST_PAINTED
    moments, every, cut_off = _played(game, values, seed, index, most_steps, most, seconds, every)
    environment, last = learner.environment, moments[-1]
    known = [value for moment in moments for value in moment.q or ()]
    span = (min(known), max(known)) if known else None
    content = {
        "format": FORMAT,
        "env": environment.name,
        "seed": seed,
        "game": index,
        "return": last.score,
        "env_steps": int(learner.env_steps),
        "steps": last.step,
        "every": every,
        "cut_off": cut_off,
        "fps": steps_a_second(environment, game.size) / every,
        "width": artist.width,
        "height": artist.height,
        "actions": list(environment.action_names),
        "ground": artist.ground(),
        "frames": [
            {
                "scene": {
                    "width": artist.width,
                    "height": artist.height,
                    "shapes": artist.moving(
                        moment.state,
                        moment.q,
                        moment.action,
                        _caption(moment, environment, cut_off),
                        span,
                    ),
                },
                "step": moment.step,
                "reward": moment.reward,
                "action": moment.action,
                "q": None if moment.q is None else [float(f"{value:.6g}") for value in moment.q],
            }
            for moment in moments
        ],
    }
    return Clip(content)


def _played(
    game: Game,
    values: Callable[[np.ndarray], np.ndarray],
    seed: int,
    index: int,
    most_steps: int,
    most: int,
    seconds: float | None,
    every: int,
) -> tuple[list[Moment], int, bool]:
    """The game's moments, every k-th of a long one, and whether it was cut off."""
    until = float("inf") if seconds is None else time.perf_counter() + seconds
    game.reset(seed, index)
    moments: list[Moment] = []
    step, gained, ended = 0, 0.0, False
    while not ended and step < most_steps and time.perf_counter() < until:
        q = values(game.observation)
        action = int(np.argmax(q))
        if step % every == 0:
            moments.append(
                Moment(step, game.look(), gained, game.score, [float(v) for v in q], action)
            )
            gained = 0.0
        if len(moments) > most:
            moments, every = _thinned(moments), 2 * every
        reward, ended = game.step(action)
        gained += reward
        step += 1
    moments.append(Moment(step, game.look(), gained, game.score, None, None))
    return moments, every, not ended


def _thinned(moments: list[Moment]) -> list[Moment]:
    """Every other moment, with the rewards of those between."""
    return moments[:1] + [
        late._replace(reward=early.reward + late.reward)
        for early, late in zip(moments[1::2], moments[2::2], strict=False)
    ]


def _caption(moment: Moment, environment: Any, cut_off: bool) -> str:
    words = [f"step {moment.step:,}"]
    if environment.kind != "builtin" or environment.name not in SHOWS_SCORE:
        words.append(f"score {moment.score:,.6g}".replace("-", "\N{MINUS SIGN}"))
    if moment.action is None:
        words.append("cut off" if cut_off else "the end")
    return " · ".join(words)


def steps_a_second(environment: Any, size: tuple[int, int] | None) -> float:
    if environment.kind == "builtin" and environment.name in STEPS_A_SECOND:
        return STEPS_A_SECOND[environment.name]
    return PICTURE_STEPS if size is not None and not environment.compiled else BOARD_STEPS


def values_of(learner: Any) -> Callable[[np.ndarray], np.ndarray]:
    """What the learner's newest table or network thinks of every action, seen an observation."""
    if _has_network(learner):
        learner.policy()  # the player takes the newest parameters
        return lambda observation: learner.player.values(observation, learner.scale)
    table = np.array(learner.values())
    return lambda observation: table[int(observation[0])]


def artist_for(learner: Any, size: tuple[int, int] | None = None) -> Artist:
    """The artist of a learner's environment, who knows what was learned about a board."""
    environment, config = learner.environment, learner.config
    table = None
    if size is None and environment.discrete and environment.compiled:
        table = table_of(learner)
    initial = float(getattr(config, "initial", 0.0))
    return artist_of(environment, table, getattr(config, "discount", None), initial, size)


def _has_network(learner: Any) -> bool:
    """A table on the dict engine has a `player`, too: the state of its random numbers."""
    return hasattr(getattr(learner, "player", None), "values")


def table_of(learner: Any) -> np.ndarray | None:
    """The value of every state's actions (states, actions), a network asked for each."""
    if not _has_network(learner):
        return np.array(learner.values())
    states = learner.environment.observation
    if states > MOST_STATES:
        return None
    values = values_of(learner)
    return np.stack([values(np.array([state])) for state in range(states)])


def chosen_game(learner: Any, seed: int, most_steps: int, choose: str) -> int:
    """Which of the first 20 games earned most, or least."""
    if choose not in ("best", "worst"):
        raise UserError(f"of the games the best or the worst can be chosen, not {choose!r}")
    if learner.environment.compiled:
        scores = learner.evaluate(CHOICE, seed, most_steps).scores
    else:
        scores = _scores(learner, seed, most_steps)
    return int(np.argmax(scores) if choose == "best" else np.argmin(scores))


def _scores(learner: Any, seed: int, most_steps: int) -> np.ndarray:
    """The same for games that end in any order when they are played together."""
    values, game = values_of(learner), game_of(learner.environment, pictures=False)
    scores = np.zeros(CHOICE)
    try:
        for index in range(CHOICE):
            game.reset(seed, index)
            ended, step = False, 0
            while not ended and step < most_steps:
                _, ended = game.step(int(np.argmax(values(game.observation))))
                step += 1
            scores[index] = game.score
    finally:
        game.close()
    return scores
