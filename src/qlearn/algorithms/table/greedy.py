"""A table's greedy policy: played, judged, without exploration and without learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.evaluation import Evaluation, from_copies
from qlearn.algorithms.foreign import play_out
from qlearn.envs import loop
from qlearn.kernels.build import build


def policy_of(values: np.ndarray) -> Callable[[np.ndarray], int]:
    """The greedy action for what is observed; ties go to the lowest."""
    best = np.argmax(values, axis=1)
    return lambda observation: int(best[int(observation[0])])


def play(copy, observation, final_observation, best, sums, most_steps, max_steps, world):
    """One greedy episode, cut off after `most_steps`; whether it was."""
    loop.begin(copy, observation, world)
    while copy.episodes == 0 and copy.elapsed < most_steps:
        loop.measure(copy.state, sums, world)
        loop.advance(
            copy, best[int(observation[0])], observation, final_observation, max_steps, world
        )
    return copy.episodes == 0


def play_all(copies, observations, finals, cut, best, sums, most_steps, max_steps, world):
    """One greedy episode of every copy."""
    for i in range(copies.shape[0]):
        cut[i] = play(
            copies[i], observations[i], finals[i], best, sums, most_steps, max_steps, world
        )


class Evaluator:
    """Plays a table's greedy policy; compiled when it is made, not when it is first asked."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.compile_seconds = 0.0
        if environment.compiled:
            self.kernels = build(
                f"greedy play on {environment.name}",
                [play_all],
                environment.bind,
                lines=environment.definitions,
            )
            self.world = environment.world(self.kernels.module.World)
            best = np.zeros(1, np.int64)
            nothing = np.zeros(0, np.bool_), np.zeros(0)
            arguments = self._arguments(self._copies(0, 0), best, 0, *nothing)
            self.kernels.prepare("play_all", *arguments)
            self.compile_seconds = self.kernels.compile_seconds

    def __call__(self, values: np.ndarray, episodes: int, seed: int, most_steps: int) -> Evaluation:
        """`episodes` greedy episodes on games of their own; endless ones are cut off, counted."""
        best = np.argmax(values, axis=1)
        if not self.environment.compiled:
            return play_out(
                self.environment,
                lambda observations: best[observations[:, 0]],
                episodes,
                seed,
                most_steps,
            )
        copies = self._copies(episodes, seed)
        cut, sums = np.zeros(episodes, np.bool_), np.zeros(len(self.environment.measures))
        self.kernels.play_all(*self._arguments(copies, best, most_steps, cut, sums))
        return from_copies(self.environment, copies, cut, sums)

    def _copies(self, episodes: int, seed: int) -> np.ndarray:
        copies = np.zeros(episodes, self.environment.copy_dtype)
        copies["rng"] = random_streams.streams(seed, episodes, random_streams.EVALUATION)
        return copies

    def _arguments(
        self,
        copies: np.ndarray,
        best: np.ndarray,
        most_steps: int,
        cut: np.ndarray,
        sums: np.ndarray,
    ) -> tuple:
        seen = np.zeros((len(copies), 1), np.int64)
        return (
            copies, seen, seen.copy(), cut, best, sums, most_steps, self.environment.max_steps,
            self.world,
        )  # fmt: skip
