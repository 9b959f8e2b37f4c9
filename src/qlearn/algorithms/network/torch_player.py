"""The greedy policy of any PyTorch network, on the games that the compiled player plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.evaluation import Evaluation, from_copies
from qlearn.algorithms.foreign import play_out
from qlearn.algorithms.network.greedy import TOGETHER
from qlearn.envs import loop
from qlearn.kernels.build import build

Judge = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]  # network, what is seen, scale: values


def begin_games(copies, seen, world):
    """The first episode of every copy."""
    for i in range(copies.shape[0]):
        loop.begin(copies[i], seen[i], world)


def step_games(copies, seen, finals, order, actions, playing, sums, max_steps, world):
    """One step of the copies that play, the first in `order`; how many play on, first again."""
    left = 0
    for row in range(playing):
        i = order[row]
        loop.measure(copies[i].state, sums, world)
        loop.advance(copies[i], actions[row], seen[i], finals[i], max_steps, world)
        if copies[i].episodes == 0:
            order[left] = i
            left += 1
    return left


class TorchPlayer:
    """Plays a network's greedy policy on one environment; `judge` gives the values of actions."""

    def __init__(self, environment: Any, judge: Judge) -> None:
        self.environment, self.judge = environment, judge
        self.network: Any = None
        self.compile_seconds = 0.0
        if environment.compiled:
            self.kernels = build(
                f"games of {environment.name}", (begin_games, step_games), environment.bind,
                lines=environment.definitions,
            )  # fmt: skip
            self.world = environment.world(self.kernels.module.World)
            games = Games(self, 1, 0, 0)
            self.kernels.prepare("begin_games", *games.beginning)
            self.kernels.prepare("step_games", *games.step_arguments(np.zeros(1, np.int64)))
            self.compile_seconds = self.kernels.compile_seconds

    def take(self, network: Any) -> None:
        """The network to play with."""
        self.network = network

    def actions(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The greedy action for each row of observations, by the network taken last."""
        rows = np.asarray(observations, self.environment.observation_dtype)
        return self.judge(self.network, rows, scale).argmax(axis=1)

    def values(self, observation: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The value of every action for one observation, by the network taken last."""
        rows = np.asarray(observation, self.environment.observation_dtype)[None]
        return self.judge(self.network, rows, scale)[0]

    def evaluate(
        self, network: Any, scale: np.ndarray, episodes: int, seed: int, most_steps: int
    ) -> Evaluation:
        """`episodes` greedy episodes on games of their own; endless ones are cut off, counted."""
        self.take(network)

        def chosen(observations: np.ndarray) -> np.ndarray:
            return self.actions(observations, scale)

        if not self.environment.compiled:
            return play_out(self.environment, chosen, episodes, seed, most_steps)
        sums = np.zeros(len(self.environment.measures))
        played = [
            Games(self, min(TOGETHER, episodes - first), seed, first, sums)
            for first in range(0, episodes, TOGETHER)
        ]
        cuts = [games.play(chosen, most_steps) for games in played]
        copies = np.concatenate([games.copies for games in played])
        return from_copies(self.environment, copies, np.concatenate(cuts), sums)


class Games:
    """One greedy episode each of some copies, played in step."""

    def __init__(
        self, player: TorchPlayer, episodes: int, seed: int, first: int, sums: Any = None
    ) -> None:
        environment, self.kernels = player.environment, player.kernels
        self.copies = np.zeros(episodes, environment.copy_dtype)
        streams = random_streams.streams(seed, episodes, random_streams.EVALUATION, first)
        self.copies["rng"] = streams
        shape = (episodes, *environment.observation_shape)
        self.seen = np.zeros(shape, environment.observation_dtype)
        self.order = np.arange(episodes)
        self.beginning = (self.copies, self.seen, player.world)
        sums = np.zeros(len(environment.measures)) if sums is None else sums
        self._fixed = (self.copies, self.seen, self.seen.copy(), self.order)
        self._rest = (sums, environment.max_steps, player.world)

    def step_arguments(self, actions: np.ndarray) -> tuple:
        return (*self._fixed, actions, len(actions), *self._rest)

    def play(self, policy: Callable[[np.ndarray], np.ndarray], most_steps: int) -> np.ndarray:
        """To the end of every copy's episode; which were cut off before."""
        self.kernels.begin_games(*self.beginning)
        playing = len(self.copies)
        for _ in range(most_steps):
            actions = policy(self.seen[self.order[:playing]])
            playing = self.kernels.step_games(*self.step_arguments(actions))
            if playing == 0:
                break
        cut = np.zeros(len(self.copies), np.bool_)
        cut[self.order[:playing]] = True
        return cut
