"""How much arithmetic a network has to do for an environment step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from qlearn.algorithms.network.seeing import inputs_of

FORWARD, BACKWARD = 1, 2  # multiply-adds of a weight: once forwards, twice back


class Work(NamedTuple):
    """Of acting and of learning, for one environment step."""

    row: int  # multiply-adds of one row, forwards
    calls: float  # of the network
    products: float  # multiply-adds
    convolutions: bool = False

    @property
    def per_call(self) -> float:
        return self.products / self.calls


def work_of(environment: Any, algo: str, config: Any) -> Work | None:
    """Nothing for a network of the user's own, which may do anything, and for impossible ones."""
    if config.network:
        return None
    row = products_of_a_row(environment, config)
    try:
        calls, rows = {"pqn": _of_pqn, "dqn": _of_dqn}[algo](config)
    except ZeroDivisionError:
        return None
    return Work(row, calls, row * rows, bool(config.conv)) if min(row, calls, rows) > 0 else None


def _of_pqn(config: Any) -> tuple[float, float]:
    """Every transition is acted on once, and learned `epochs` times."""
    calls = 1 / config.envs + config.epochs / config.minibatch
    return calls, FORWARD + config.epochs * (FORWARD + BACKWARD)


def _of_dqn(config: Any) -> tuple[float, float]:
    """Beside the network that learns, its target judges; of double DQN itself once more."""
    calls = 1 / config.envs + config.updates
    learned = (FORWARD + BACKWARD) + FORWARD + FORWARD * config.double
    return calls, FORWARD + config.updates * config.batch * learned


def products_of_a_row(environment: Any, config: Any) -> int:
    inputs, products = inputs_of(environment), 0
    if config.conv and environment.planes is not None:
        channels, rows, columns = environment.planes[:3]
        for layer in config.convolutions:
            rows, columns = layer.side(rows), layer.side(columns)
            products += rows * columns * layer.kernel**2 * channels * layer.channels
            channels = layer.channels
        inputs = channels * rows * columns
    widths = (inputs, *config.widths, environment.actions)
    return products + sum(before * after for before, after in pairwise(widths))
