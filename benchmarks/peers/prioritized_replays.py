"""Prioritized replays of others, answered line by line to benchmarks/replay.py.

Reads {"who": "cpprb"} from standard input, answers with seconds per sample and update, or with why
it cannot be measured. Each holds what benchmarks/replay.py says, and is told errors as fast as it
takes them: NumPy's to cpprb, tensors to torchrl.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

SIZE, BATCH, WIDTH = 1_000_000, 64, 4
ALPHA, BETA = 0.6, 0.4
CHUNK = 100_000  # transitions added at a time
ROUNDS = 2000


def transitions() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    return {
        "observation": chance.normal(size=(CHUNK, WIDTH)).astype(np.float32),
        "action": chance.integers(0, 2, CHUNK).astype(np.int32),
        "reward": chance.normal(size=CHUNK).astype(np.float32),
        "following": chance.normal(size=(CHUNK, WIDTH)).astype(np.float32),
        "done": chance.random(CHUNK) < 0.01,
    }


def errors() -> list[np.ndarray]:
    """Of a hundred batches, so that priorities go on changing."""
    chance = np.random.default_rng(1)
    return [np.abs(chance.normal(size=BATCH)).astype(np.float32) for _ in range(100)]


def cpprb_round() -> Callable[[np.ndarray], None]:
    import cpprb

    frame = {"shape": WIDTH, "dtype": np.float32}
    replay = cpprb.PrioritizedReplayBuffer(
        SIZE,
        {
            "observation": frame,
            "action": {"dtype": np.int32},
            "reward": {"dtype": np.float32},
            "following": frame,
            "done": {"dtype": np.bool_},
        },
        alpha=ALPHA,
    )
    for _ in range(SIZE // CHUNK):
        replay.add(**transitions())

    def round_(sizes: np.ndarray) -> None:
        drawn = replay.sample(BATCH, beta=BETA)
        replay.update_priorities(drawn["indexes"], sizes)

    return round_


def torchrl_round() -> Callable[[Any], None]:
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyTensorStorage, ReplayBuffer
    from torchrl.data.replay_buffers.samplers import PrioritizedSampler

    torch.set_num_threads(1)
    replay = ReplayBuffer(
        storage=LazyTensorStorage(SIZE),
        sampler=PrioritizedSampler(SIZE, alpha=ALPHA, beta=BETA),
        batch_size=BATCH,
    )
    for _ in range(SIZE // CHUNK):
        tensors = {name: torch.from_numpy(array) for name, array in transitions().items()}
        replay.extend(TensorDict(tensors, batch_size=[CHUNK]))

    def round_(sizes: Any) -> None:
        _, info = replay.sample(return_info=True)
        replay.update_priority(info["index"], sizes)

    return round_


@cache
def contender(who: str) -> tuple[Callable[[Any], None], list[Any]]:
    if who == "cpprb":
        return cpprb_round(), errors()
    import torch

    return torchrl_round(), [torch.from_numpy(array) for array in errors()]


def seconds(who: str) -> float:
    round_, sizes = contender(who)
    begun = time.perf_counter()
    for k in range(ROUNDS):
        round_(sizes[k % len(sizes)])
    return (time.perf_counter() - begun) / ROUNDS


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        who = json.loads(line)["who"]
        try:
            answer: dict[str, Any] = {"seconds": seconds(who)}
        except (ImportError, RuntimeError) as error:  # torchrl's tree is made for one torch alone
            answer = {"missing": str(error).splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
