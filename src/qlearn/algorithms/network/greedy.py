"""A network's greedy policy: played in step on many games, without exploration or learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn import rng as random_streams
from qlearn.algorithms.evaluation import Evaluation, from_copies
from qlearn.algorithms.network import seeing
from qlearn.envs import loop
from qlearn.kernels.build import build
from qlearn.nets import mlp
from qlearn.nets.layout import OUT, OUTPUTS, Architecture

TOGETHER = 128  # games played in step


def best_action(net, i):
    """The best action of row i, ties to the lowest, its value, and how far the next is behind."""
    head = net.layers[len(net.layers) - 1]
    actions = head[OUTPUTS]
    at = head[OUT] + i * actions
    best = 0
    highest = net.work[at]
    second = highest if actions == 1 else np.float32(-np.inf)
    for a in range(1, actions):
        value = net.work[at + a]
        if value > highest:
            second = highest
            best, highest = a, value
        elif value > second:
            second = value
    return best, highest, highest - second


def play(net, scale, inputs, copies, seen, finals, order, cut, sums, most_steps, max_steps, world):
    """One greedy episode of every copy, cut off after `most_steps`."""
    mlp.compose(net)
    width = scale.shape[1]
    playing = copies.shape[0]
    for i in range(playing):
        order[i] = i
        loop.begin(copies[i], seen[i], world)
    for _ in range(most_steps):
        for row in range(playing):
            seeing.encode(seen[order[row]], inputs, row * width, scale)
        mlp.forward(net, inputs, 0, 0, playing)
        left = 0
        for row in range(playing):
            i = order[row]
            loop.measure(copies[i].state, sums, world)
            loop.advance(copies[i], best_action(net, row)[0], seen[i], finals[i], max_steps, world)
            if copies[i].episodes == 0:
                order[left] = i
                left += 1
        playing = left
        if playing == 0:
            break
    for row in range(playing):
        cut[order[row]] = True


def choose(net, scale, inputs, seen, actions, rows):
    """The greedy actions for what `rows` copies show."""
    mlp.compose(net)
    width = scale.shape[1]
    for i in range(rows):
        seeing.encode(seen[i], inputs, i * width, scale)
    mlp.forward(net, inputs, 0, 0, rows)
    for i in range(rows):
        actions[i] = best_action(net, i)[0]


def bindings(environment: Any) -> dict[Any, Callable]:
    """The loop's placeholders, and how this environment is seen."""
    meaning = dict(environment.bind) if environment.compiled else {}
    if environment.discrete:
        meaning[seeing.encode] = seeing.encode_state
    return meaning


class Player:
    """Plays a network's greedy policy on one environment."""

    def __init__(self, environment: Any, architecture: Architecture) -> None:
        self.environment, self.architecture = environment, architecture
        self.net = mlp.net_of(architecture, TOGETHER, np.zeros(architecture.parameters, np.float32))
        self.inputs = np.zeros(TOGETHER * architecture.inputs, np.float32)
        self.kernels = build(
            f"greedy play on {environment.name}",
            [play, choose] if environment.compiled else [choose],
            bindings(environment),
            lines=environment.definitions if environment.compiled else (),
        )
        if environment.compiled:
            self.world = environment.world(self.kernels.module.World)
            scale = seeing.first_scale(environment)
            nothing = np.zeros(0, np.bool_), np.zeros(0)
            self.kernels.prepare(
                "play", *self._arguments(scale, self._copies(0, 0, 0), 0, *nothing)
            )
        else:
            rows = np.zeros((1, *environment.observation_shape), environment.observation_dtype)
            scale = seeing.first_scale(environment)
            self.kernels.prepare(
                "choose", self.net, scale, self.inputs, rows, np.zeros(1, np.int64), 0
            )
        self.compile_seconds = self.kernels.compile_seconds

    def evaluate(
        self, params: np.ndarray, scale: np.ndarray, episodes: int, seed: int, most_steps: int
    ) -> Evaluation:
        """`episodes` greedy episodes on games of their own; endless ones are cut off, counted."""
        self.take(params)
        if not self.environment.compiled:
            return self._evaluate_foreign(scale, episodes, seed, most_steps)
        played, cuts = [], []
        sums = np.zeros(len(self.environment.measures))
        for first in range(0, episodes, TOGETHER):
            copies = self._copies(min(TOGETHER, episodes - first), seed, first)
            cut = np.zeros(len(copies), np.bool_)
            self.kernels.play(*self._arguments(scale, copies, most_steps, cut, sums))
            played.append(copies)
            cuts.append(cut)
        return from_copies(self.environment, np.concatenate(played), np.concatenate(cuts), sums)

    def take(self, params: np.ndarray) -> None:
        """The parameters to play with."""
        self.net.params[: len(params)] = params

    def _copies(self, episodes: int, seed: int, first: int) -> np.ndarray:
        copies = np.zeros(episodes, self.environment.copy_dtype)
        copies["rng"] = random_streams.streams(seed, episodes, random_streams.EVALUATION, first)
        return copies

    def _arguments(
        self,
        scale: np.ndarray,
        copies: np.ndarray,
        most_steps: int,
        cut: np.ndarray,
        sums: np.ndarray,
    ) -> tuple:
        environment, n = self.environment, len(copies)
        seen = np.zeros((n, *environment.observation_shape), environment.observation_dtype)
        return (
            self.net, scale, self.inputs, copies, seen, seen.copy(), np.zeros(n, np.int64),
            cut, sums, most_steps, environment.max_steps, self.world,
        )  # fmt: skip

    def _evaluate_foreign(
        self, scale: np.ndarray, episodes: int, seed: int, most_steps: int
    ) -> Evaluation:
        from qlearn.algorithms.foreign import play_out

        def chosen(observations: np.ndarray) -> np.ndarray:
            return self.actions(observations, scale)

        return play_out(self.environment, chosen, episodes, seed, most_steps)

    def actions(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The greedy action for each row of observations, by the parameters set last."""
        actions = np.zeros(len(observations), np.int64)
        rows = np.ascontiguousarray(observations, self.environment.observation_dtype)
        for low in range(0, len(rows), TOGETHER):
            part = rows[low : low + TOGETHER]
            self.kernels.choose(
                self.net, scale, self.inputs, part, actions[low : low + TOGETHER], len(part)
            )
        return actions

    def values(self, observation: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The value of every action for one observation, by the parameters set last."""
        self.actions(np.asarray(observation)[None], scale)
        at = self.net.layers[len(self.net.layers) - 1][OUT]
        return self.net.work[at : at + self.environment.actions].copy()
