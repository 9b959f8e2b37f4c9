"""Whether games that were written down go on in another environment: tried, not believed.

Two batches beside the training's own play a little: the same from the same seed, and, once one has
got the other's games in the middle, the same again, across the ends of episodes.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from qlearn.envs.gym.state import Unsaveable
from qlearn.errors import UserError

LEAST, MOST, SECONDS = 8, 64, 0.25  # steps of each stretch, and for about how long all may take
SEEDS = 1, 2


def why_not(make: Callable[[], Any]) -> str:
    """Why games cannot go on in another batch; nothing where they can."""
    try:
        with (
            contextlib.redirect_stdout(sys.stderr),
            _chance_as_it_was(),
            make() as one,
            make() as other,
        ):
            _try(one, other)
    except (Unsaveable, ValueError) as error:
        return str(error)
    except UserError as error:  # perhaps there can only be one
        return f"a second one beside it fails: {error}"
    return ""


def _try(one: Any, other: Any) -> None:
    chooser, end = np.random.default_rng(0), time.perf_counter() + SECONDS

    def play(*batches: Any, most: int = MOST) -> bool:
        """Whether all play alike, by the same actions."""
        for k in range(most):
            if k >= LEAST and time.perf_counter() > end:
                break
            actions = chooser.integers(one.environment.actions, size=one.envs)
            for batch in batches:
                batch.step(actions)
            if not _alike([_shown(batch) for batch in batches]):
                return False
        return True

    for batch in (one, other):
        batch.reset(SEEDS[0])
    if not play(one, other):
        raise Unsaveable("it does not play the same from the same seed")
    if not _alike([one.games(), other.games()]):
        raise Unsaveable("it remembers what is another each time")
    other.reset(SEEDS[1])
    play(other, most=LEAST)
    other.put_games(one.games())
    same = play(one, other)
    for batch in (one, other):
        batch.reset()
    if not (same and play(one, other) and _alike([one.games(), other.games()])):
        raise Unsaveable("it plays on otherwise in a second one")


def _shown(batch: Any) -> dict[str, np.ndarray]:
    """All that a learner gets of a step."""
    ended = batch.terminated | batch.truncated
    names = ("observations", "rewards", "terminated", "truncated", "valid")
    shown = {name: getattr(batch, name) for name in names}
    return {**shown, "final_observations": batch.final_observations[ended]}


def _alike(found: Sequence[dict[str, np.ndarray]]) -> bool:
    bits = [{name: array.tobytes() for name, array in each.items()} for each in found]
    return all(each == bits[0] for each in bits)


@contextlib.contextmanager
def _chance_as_it_was() -> Iterator[None]:
    """What environments draw from streams that all share is as if nothing had been tried."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
