"""Compiled play: bounds checked first, then the real thing held to the interpreter's games."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs.batch import NumbaBatch
from qlearn.envs.checks.playing import SEED, Game
from qlearn.envs.checks.problem import (
    ERROR,
    WARNING,
    Found,
    Problem,
    distinct,
    from_error,
    in_function,
)
from qlearn.envs.checks.watching import Watchdog, silence
from qlearn.envs.loop import advance, begin
from qlearn.envs.plain import PlainGame
from qlearn.envs.spec import Environment
from qlearn.errors import UserError
from qlearn.kernels.build import build
from qlearn.kernels.text import plain
from qlearn.rng import integers

COPIES = 64
STEPS = 4096  # of each copy, bounds checked
SECONDS = 2.0
LARGEST_COPY = 1 << 20  # bytes
TWIN_COPIES, TWIN_STEPS = 8, 200

# How far compiled and plain play may lie apart after one step from the same state: mathematical
# functions may differ in the last bit, observations and rewards are float32.
STATE_TOLERANCE = 1e-9
SEEN_TOLERANCE = 1e-5


def problems(environment: Environment, files: Collection[str]) -> list[Problem]:
    """Compiles, then plays; nothing that writes outside its arrays gets as far as the last."""
    step = plain(environment.functions["step"])
    file, line = step.__code__.co_filename, step.__code__.co_firstlineno
    try:
        batch = NumbaBatch(environment, TWIN_COPIES, SEED)
    except UserError as error:
        return [from_error(error, file, line)]
    except Exception as error:
        return [Problem(file, line, f"cannot be compiled: {type(error).__name__}: {error}")]
    with silence():
        found = list(patrolled(environment, files))
        if not any(problem.severity == ERROR for problem in found):
            found.extend(distinct(list(differences(environment, batch))))
    return found


def patrol(
    copies, players, observations, finals, at, first, steps, n_actions, max_steps, world
):  # fmt: skip
    """Random steps first .. first + steps - 1 of every copy; `at` says where we are.

    Gives 1 where a reward or an observation is not finite, and stops there.
    """
    for i in range(copies.shape[0]):
        if first == 0:
            at[0] = i
            at[1] = -1
            begin(copies[i], observations[i], world)
        for t in range(first, first + steps):
            at[0] = i
            at[1] = t
            action = integers(players[i], n_actions)
            reward, _, _ = advance(copies[i], action, observations[i], finals[i], max_steps, world)
            if not abs(float(reward)) < 1e300:
                return 1
            for k in range(observations.shape[1]):
                if not abs(float(observations[i, k])) < 1e300:
                    return 1
    return 0


def patrolled(environment: Environment, files: Collection[str]) -> Iterator[Problem]:
    """Many random steps, compiled with every index checked."""
    kernels = build(
        environment.name, [patrol], environment.bind, "checked", environment.definitions
    )
    world = environment.world(kernels.module.World)
    size = environment.copy_dtype.itemsize
    if size > LARGEST_COPY:
        yield in_function(
            plain(environment.functions["reset"]),
            f"the state takes {size / 1e6:.3g} MB, and thousands of copies run at once; what all"
            " share belongs in `world`",
            WARNING,
        )
    count = max(1, min(COPIES, COPIES * LARGEST_COPY // size))
    copies = np.zeros(count, environment.copy_dtype)
    copies["rng"] = random_streams.streams(SEED, count)
    players = random_streams.streams(SEED, count, random_streams.PLAYER)
    shape, dtype = (count, *environment.observation_shape), environment.observation_dtype
    at = np.zeros(2, np.int64)
    fixed: tuple[Any, ...] = (copies, players, np.zeros(shape, dtype), np.zeros(shape, dtype), at)
    rest = (environment.actions, environment.max_steps, world)
    try:
        kernels.prepare("patrol", *fixed, 0, 0, *rest)
    except UserError as refused:
        yield from_error(refused, next(iter(files)))
        return
    done, steps, ends = 0, 16, time.monotonic() + SECONDS
    while done < STEPS and time.monotonic() < ends:
        raised: Exception | None = None
        try:
            stopped = kernels.entries["patrol"](*fixed, done, steps, *rest)
        except Exception as error:
            stopped, raised = 1, error
        if stopped:
            yield replayed(environment, files, int(at[0]), int(at[1]), raised)
            return
        done += steps
        steps *= 2
    if environment.max_steps == 0 and copies["episodes"].sum() == 0:
        yield in_function(
            plain(environment.functions["step"]),
            f"no episode ended in {done * count:,} random steps, and there is no `max_steps`; give"
            " one, so that an episode that leads nowhere is cut off",
            WARNING,
        )


def replayed(
    environment: Environment,
    files: Collection[str],
    index: int,
    step: int,
    error: BaseException | None,
) -> Problem:
    """What the interpreter says where compiled play stopped."""
    with Watchdog() as watchdog, silence():
        try:
            Game(environment, files, watchdog, index).play(step + 1)
        except Found as stop:
            return stop.problem
    what = f"raises {type(error).__name__}: {error}" if error else "gives NaN or an infinite number"
    return in_function(
        plain(environment.functions["step"]),
        f"step {what} when compiled (copy {index}, step {step} of seed {SEED}), not in plain"
        " Python; whole numbers too large for int64 are the usual cause",
    )


def differences(environment: Environment, batch: NumbaBatch) -> Iterator[Problem]:
    """Steps that compiled and plain play take differently from the same state."""
    step = plain(environment.functions["step"])
    players = [
        random_streams.stream(SEED, index, random_streams.PLAYER) for index in range(batch.envs)
    ]
    games = [PlainGame(environment, SEED, index) for index in range(batch.envs)]
    batch.reset()
    for index, game in enumerate(games):
        game.reset()
        yield from _compared(environment, game, batch, index, "reset", step)
    ends = time.monotonic() + SECONDS
    for _ in range(TWIN_STEPS):
        actions = [integers(player, environment.actions) for player in players]
        for index, game in enumerate(games):
            # From the same state at each step, so that no last bit grows into another game.
            game.copy.from_record(batch.copies[index])
            game.observation[:] = batch.observations[index]
        try:
            paid = [game.step(action) for game, action in zip(games, actions, strict=True)]
        except Exception as error:
            yield in_function(
                step,
                f"{type(error).__name__}: {error}, in plain Python alone; compiled, the step goes"
                " on with a number that is cut to its field",
            )
            return
        batch.step(actions)
        for index, game in enumerate(games):
            what = f"action {actions[index]}"
            apart = list(_compared(environment, game, batch, index, what, step))
            if apart:
                yield from apart
                return
            compiled = (
                float(batch.rewards[index]),
                bool(batch.terminated[index]),
                bool(batch.truncated[index]),
            )
            if compiled[1:] != paid[index][1:] or _apart(
                compiled[0], paid[index][0], SEEN_TOLERANCE
            ):
                yield in_function(
                    step,
                    f"step gives {_pair(compiled)} when compiled and {_pair(paid[index])} in plain"
                    f" Python ({what}){_about_float32(environment)}",
                )
                return
        if time.monotonic() > ends:
            return


def _compared(
    environment: Environment, game: PlainGame, batch: NumbaBatch, index: int, what: str, step: Any
) -> Iterator[Problem]:
    for name, value in game.copy.state.as_dict().items():
        compiled = batch.copies[index]["state"][name]
        if _apart(compiled, value, STATE_TOLERANCE):
            single = environment.state[name].base == np.float32
            advice = (
                "; a float32 is rounded at other places, and a float64 is as fast" if single else ""
            )
            yield in_function(
                step,
                f"state.{name} becomes {_short(compiled)} when compiled and {_short(value)} in plain"
                f" Python ({what}){advice or _about_float32(environment)}",
                WARNING if single and not _apart(compiled, value, SEEN_TOLERANCE) else ERROR,
            )
            return
    if _apart(batch.observations[index], game.observation, SEEN_TOLERANCE):
        yield in_function(
            plain(environment.functions["observe"]),
            f"observe gives {_short(batch.observations[index])} when compiled and"
            f" {_short(game.observation)} in plain Python ({what}){_about_float32(environment)}",
        )


def _apart(compiled: Any, other: Any, tolerance: float) -> bool:
    one, two = np.asarray(compiled, np.float64), np.asarray(other, np.float64)
    return not np.allclose(one, two, rtol=tolerance, atol=tolerance, equal_nan=True)


def _pair(result: tuple[float, bool, bool]) -> str:
    reward, terminated, _ = result
    return f"reward {reward:.6g}, terminated {terminated}"


def _short(value: Any) -> str:
    text = np.array2string(np.asarray(value), precision=8, threshold=8, edgeitems=3)
    return text.replace("\n", "")


def _about_float32(environment: Environment) -> str:
    single = [name for name in environment.state.names or () if environment.state[name] == "f4"]
    return f"; state.{single[0]} is float32, and a float64 is as fast" if single else ""
