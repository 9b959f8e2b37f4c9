"""Playing environments that step from Python, such as Gymnasium's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qlearn.algorithms.evaluation import Evaluation, from_episodes

EVALUATED_TOGETHER = 32


def play_out(
    environment: Any,
    policy: Callable[[np.ndarray], np.ndarray],
    episodes: int,
    seed: int,
    most_steps: int,
) -> Evaluation:
    """`episodes` episodes by a policy of whole batches; endless ones are cut off, counted."""
    scores: list[float] = []
    lengths: list[int] = []
    cut_off = 0
    together = min(episodes, EVALUATED_TOGETHER)
    # Each copy plays its share: the first to end, whoever plays them, would be the short ones.
    left = np.full(together, episodes // together)
    left[: episodes % together] += 1
    with environment.batch(together, seed) as batch:
        observations = batch.reset()[0]
        elapsed = np.zeros(together, np.int64)
        while left.any():
            _, _, terminated, truncated, info = batch.step(policy(observations))
            elapsed += info["valid"]
            ended = terminated | truncated
            for k in np.flatnonzero(ended & (left > 0)):
                scores.append(float(batch.last_score[k]))
                lengths.append(int(batch.last_length[k]))
                left[k] -= 1
            elapsed[ended] = 0
            for k in np.flatnonzero((elapsed >= most_steps) & (left > 0)):
                cut_off += int(left[k])  # one that never ends would never begin the others
                scores += [float(batch.score_so_far[k])] * int(left[k])
                lengths += [int(elapsed[k])] * int(left[k])
                left[k] = 0
    return from_episodes(scores, lengths, cut_off)
