"""Games played by the interpreter, every call and every value looked at."""

from __future__ import annotations

import linecache
import time
from collections.abc import Callable, Collection, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs.checks.problem import WARNING, Found, Problem, in_function, innermost
from qlearn.envs.checks.watching import (
    Stuck,
    Watchdog,
    WatchedState,
    restore,
    silence,
    snapshot,
    traced,
)
from qlearn.envs.checks.words import raised_in_words, worded, wrong_number, wrong_result
from qlearn.envs.plain import PlainGame
from qlearn.envs.spec import Environment
from qlearn.kernels.bind import bound
from qlearn.kernels.text import plain_or_none
from qlearn.rng import integers

SEED = 0
UNSET = np.iinfo(np.int64).min
WATCHED_OBSERVES = 20  # how often `observe` is watched for changing the state


class Game:
    """Copy `index` of seed `SEED`, played at random. `Found` is raised at the first mistake."""

    def __init__(
        self, environment: Environment, files: Collection[str], watchdog: Watchdog, index: int = 0
    ) -> None:
        self.environment, self.files, self.watchdog = environment, files, watchdog
        self.index = index
        self.functions: dict[str, FunctionType] = {
            name: plain
            for name, function in [*environment.functions.items(), ("reward", environment.reward)]
            if (plain := plain_or_none(bound(function, {}))) is not None
        }
        self.state = WatchedState(environment.state)
        self.rng = random_streams.stream(SEED, index)
        self.player = random_streams.stream(SEED, index, random_streams.PLAYER)
        self.world = PlainGame(environment, SEED).world
        shape, dtype = environment.observation_shape, environment.observation_dtype
        self.obs: np.ndarray = np.zeros(shape, dtype)
        self.before: np.ndarray = np.zeros(shape, dtype)
        self.action: int | None = None
        self.elapsed = self.observes = self.episodes = 0
        self.warnings: list[Problem] = []

    def play(self, steps: int, seconds: float = np.inf) -> list[tuple[Any, ...]]:
        """What was seen and paid, step by step."""
        ends = time.monotonic() + seconds
        record: list[tuple[Any, ...]] = []
        with np.errstate(all="ignore"):
            self.begin()
            record.append((self.obs.tobytes(),))
            for _ in range(steps):
                record.append(self.advance())
                if time.monotonic() > ends:
                    break
        self.warnings.extend(self._fractions_cut())
        return record

    def begin(self) -> None:
        self.action, self.elapsed = None, 0
        self._call("reset", self.state, self.rng)
        self._observe()

    def advance(self) -> tuple[Any, ...]:
        """One random step; the next episode begins where one ends."""
        self.action = integers(self.player, self.environment.actions)
        saved = snapshot(self.state), list(self.rng)
        result = self._call("step", self.state, self.action, self.rng)
        reward, terminated = self._looked_at_result(result, saved)
        self.elapsed += 1
        self.before[:] = self.obs
        self._observe()
        if "reward" in self.functions:
            reward = self._own_reward(reward, terminated)
        cut = self.elapsed == self.environment.max_steps or self._given_up()
        seen = self.obs.tobytes()
        if terminated or cut:
            self._score()
            self.episodes += 1
            self.begin()
        return self.action, float(reward), bool(terminated), bool(cut), seen, self.obs.tobytes()

    # The environment's functions, each with what it gives looked at.

    def _call(self, name: str, *arguments: Any) -> Any:
        function = self.functions[name]
        if len(arguments) < function.__code__.co_argcount:
            arguments = (*arguments, self.world)
        self.watchdog.since = time.monotonic()
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise Found(self._raised(name, error)) from None
        finally:
            self.watchdog.since = None

    def _looked_at_result(self, result: Any, saved: tuple) -> tuple[Any, Any]:
        wrong = wrong_result(result)
        if wrong:
            raise Found(self._at_return(wrong, saved))
        return result

    def _observe(self) -> None:
        obs, watched = self.obs, self.observes < WATCHED_OBSERVES
        self.observes += 1
        saved = snapshot(self.state) if watched else {}
        obs.fill(UNSET if self.environment.discrete else np.nan)
        result = self._call("observe", self.state, obs)
        if watched and (changed := _changed(saved, snapshot(self.state))):
            message = (
                f"observe changes state.{changed[0]}; it may be called any number of times, so"
                " change the state in step"
            )
            self._warn(in_function(self.functions["observe"], message))
        bad = obs == UNSET if self.environment.discrete else ~np.isfinite(obs)
        if bad.any():
            self._blame_observation(int(np.argmax(bad)), int(bad.sum()), result)
        low, high = self._limits()
        outside = (obs < low) | (obs > high)
        if outside.any():
            k = int(np.argmax(outside))
            message = (
                f"observe sets obs[{k}] to {obs[k]}, outside {low:g} .. {high:g}{self._when()}"
            )
            raise Found(self._at_cause(message, lambda: bool(obs[k] < low or obs[k] > high)))

    def _limits(self) -> tuple[float, float]:
        states = self.environment.observation
        if isinstance(states, int):
            return 0, states - 1
        # Compared as the observation is stored: 0.1 as float32 is above 0.1.
        return float(np.float32(self.environment.low)), float(np.float32(self.environment.high))

    def _blame_observation(self, k: int, missing: int, result: Any) -> None:
        """Tells a number that was never set from one that was set to NaN or infinity."""
        size, obs = self.obs.size, self.obs
        obs.fill(0)
        self._call("observe", self.state, obs)
        if self.environment.discrete or np.isfinite(obs[k]):
            message = f"observe sets {size - missing} of {size} numbers; obs[{k}] is left unset"
            if result is not None:
                message = f"observe gives something back, and must fill obs instead: obs[{k}] = ..."
            raise Found(in_function(self.functions["observe"], message))
        message = f"observe sets obs[{k}] to {worded(obs[k])}{self._when()}"
        raise Found(self._at_cause(message, lambda: not np.isfinite(obs[k])))

    def _own_reward(self, reward: Any, terminated: Any) -> Any:
        seen = self.before.copy(), self.obs.copy()
        own = self._call("reward", self.before, self.action, self.obs, reward, terminated)
        function = self.functions["reward"]
        wrong = wrong_number(own)
        if wrong:
            message = f"{function.__name__} gives a reward that is {wrong}{self._when()}"
            raise Found(in_function(function, message))
        if not all(map(np.array_equal, seen, (self.before, self.obs))):
            message = f"{function.__name__} changes what it is shown; it may only read it"
            raise Found(in_function(function, message))
        return own

    def _given_up(self) -> bool:
        if "truncated" not in self.functions:
            return False
        cut = self._call("truncated", self.state)
        if not isinstance(cut, bool | np.bool_ | int):
            message = f"truncated must give True or False, not {worded(cut)}"
            raise Found(in_function(self.functions["truncated"], message))
        return bool(cut)

    def _score(self) -> None:
        if "score" in self.functions:
            wrong = wrong_number(self._call("score", self.state))
            if wrong:
                message = f"score gives {wrong}{self._when()}"
                raise Found(in_function(self.functions["score"], message))

    # Words and places.

    def _when(self) -> str:
        if self.action is None:
            return f" (at the start of an episode, seed {SEED})"
        return f" (action {self.action}, step {self.elapsed + 1} of an episode, seed {SEED})"

    def _raised(self, name: str, error: BaseException) -> Problem:
        function = self.functions[name]
        frame = innermost(error, self.files)
        if frame is None:
            return in_function(function, f"{name} {raised_in_words(error, '')}{self._when()}")
        part = linecache.getline(frame.filename, frame.lineno or 0)
        if frame.colno is not None and frame.end_lineno == frame.lineno:
            part = part.encode()[frame.colno : frame.end_colno].decode(errors="replace")
        message = f"{frame.name} {raised_in_words(error, part.strip())}{self._when()}"
        return Problem(frame.filename, frame.lineno or 0, message)

    def _at_return(self, message: str, saved: tuple) -> Problem:
        """At the `return` that was reached: the step is played again, line by line."""
        values, self.rng[:] = saved[0], saved[1]
        restore(self.state, values)
        step = self.functions["step"]
        with traced({step.__code__.co_filename}, lambda: False, step) as place:
            self._call("step", self.state, self.action, self.rng)
        file, line = place or in_place(step)
        return Problem(file, line, f"step {message}{self._when()}")

    def _at_cause(self, message: str, broken: Callable[[], bool]) -> Problem:
        """At the line of `observe`, or of a helper, after which the observation is broken."""
        observe = self.functions["observe"]
        self.obs.fill(0)
        with traced(self.files, broken, observe) as place:
            self._call("observe", self.state, self.obs)
        file, line = place or in_place(observe)
        return Problem(file, line, message)

    def _warn(self, problem: Problem) -> None:
        self.warnings.append(Problem(problem.file, problem.line, problem.message, WARNING))

    def _fractions_cut(self) -> Iterator[Problem]:
        for (name, file, line), (kind, value) in self.state._cut.items():
            message = (
                f"state.{name} is {kind} and loses the fraction of {value:.6g}; declare it float64,"
                " or write int(...)"
            )
            yield Problem(file, line, message, WARNING)


def in_place(function: FunctionType) -> tuple[str, int]:
    return function.__code__.co_filename, function.__code__.co_firstlineno


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    # NaN is equal to itself here: a field that stays NaN has not changed.
    return [
        name
        for name, value in before.items()
        if not np.array_equal(value, after[name], equal_nan=True)
    ]


def left_over(environment: Environment, files: Collection[str], watchdog: Watchdog) -> list[str]:
    """Fields that `reset` leaves as it finds them, and that a game changes."""
    games = [Game(environment, files, watchdog) for _ in range(2)]
    for game, fill in zip(games, (0, 1), strict=True):
        blank = snapshot(game.state)
        for name, value in blank.items():
            blank[name] = np.full_like(value, fill) if isinstance(value, np.ndarray) else fill
        restore(game.state, blank)
        game._call("reset", game.state, game.rng)
    one, other = (snapshot(game.state) for game in games)
    left = [name for name in one if np.all(np.equal(one[name], 0) & np.equal(other[name], 1))]
    if not left:
        return []
    game, moved = Game(environment, files, watchdog), set()
    game.begin()
    before = snapshot(game.state)
    for _ in range(50):
        game.advance()
        moved.update(_changed(before, snapshot(game.state)))
    return [name for name in left if name in moved]


def problems(
    environment: Environment,
    files: Collection[str],
    games: int,
    steps: int,
    seconds: float,
    twice: bool = False,
) -> list[Problem]:
    """Plays `games` copies at random, the first of them twice where asked for."""
    found: list[Problem] = []
    ends = time.monotonic() + seconds
    records: dict[int, list] = {}
    try:
        with silence(), Watchdog() as watchdog:
            for index in range(games):
                game = Game(environment, files, watchdog, index)
                try:
                    records[index] = game.play(steps, max(0.01, ends - time.monotonic()))
                except Found as stop:
                    found.append(stop.problem)
                found.extend(game.warnings)
                if watchdog.bitten or time.monotonic() > ends:
                    break
            if twice and records and all(problem.severity == WARNING for problem in found):
                found.extend(_second_looks(environment, files, watchdog, records))
    except Stuck as error:  # it came just when the call did come back
        step = _plain(environment.functions["step"])
        found.append(in_function(step, f"step {raised_in_words(error, '')}"))
    return found


def _second_looks(
    environment: Environment, files: Collection[str], watchdog: Watchdog, records: dict[int, list]
) -> Iterator[Problem]:
    index, first = next(iter(records.items()))
    functions = environment.functions
    try:
        second = Game(environment, files, watchdog, index).play(len(first) - 1)
        if first != second:
            step = next(
                k for k, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]
            )
            yield in_function(
                _plain(functions["step"]),
                f"the same seed played two different games (from step {step} on): something that"
                " is not in `state` changes; draw from rng only, and keep what changes in `state`",
            )
        for name in left_over(environment, files, watchdog):
            yield in_function(
                _plain(functions["reset"]),
                f"reset leaves state.{name} as the last episode left it; set it to where an"
                " episode starts",
                WARNING,
            )
    except Found as stop:
        yield stop.problem


def drawing_problems(environment: Environment) -> list[Problem]:
    """The picture of a first position, where the environment draws one."""
    draw = plain_or_none(environment.draw)
    if draw is None:
        return []
    game = PlainGame(environment, SEED)
    with silence():
        game.reset()
        try:
            picture = game.draw()
        except Exception as error:
            frame = innermost(error, {draw.__code__.co_filename})
            file, line = (frame.filename, frame.lineno or 0) if frame else in_place(draw)
            return [Problem(file, line, f"draw raised {type(error).__name__}: {error}")]
    if isinstance(picture, str):
        return []
    return [in_function(draw, f"draw must give a text, not {worded(picture)[:60]}")]


def _plain(function: Callable) -> FunctionType:
    plain = plain_or_none(function)
    assert plain is not None
    return plain
