"""Training steps a second on Snake 10x10: ours on one thread, on two, on as many as it finds best.

Beside it, in turn: our PQN in plain PyTorch; the classic trainer of examples/classic/snake.py, which
learns from eleven features; and benchmarks/peers/snake_dqn.py, which learns from the board as DQN in
PyTorch is made faster by hand. All of PQN's contenders go on from the same trained state, so that
snakes are as long as they get, with 256 copies, rollouts of 32 steps, minibatches of 1,024, two
epochs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from _report import parser, rates, record
from qlearn.algorithms import registry
from qlearn.compare.measure import alternate
from qlearn.envs.registry import find

HERE = Path(__file__).parent
sys.path += [str(HERE / "peers"), str(HERE.parent / "examples" / "classic")]

THREADS = torch.get_num_threads()  # as PyTorch has it where nobody says
ROLLOUT = 256 * 32
PQN = {
    "envs": 256, "rollout": 32, "minibatch": 1024, "epochs": 2,
    "epsilon": 0.02, "lr": 3e-4, "steps": 2**40, "explorers": 0.0, "scale_inputs": False,
}  # fmt: skip
HIDDEN = {"features": "256", "board": "256x256"}
SHAPE = {"features": "11-256-3", "board": "300-256-256-3"}
TORCH, CLASSIC, DQN = "PQN in PyTorch, 2 threads", "classic trainer", "DQN in PyTorch by hand"
Rate = Callable[[], float]
State = dict[str, np.ndarray]


def learner(observation: str, engine: str = "fused", **settings: Any) -> Any:
    environment = find("snake", {"observation": observation})
    chosen = {**PQN, "hidden": HIDDEN[observation], **settings}
    config = registry.configure("pqn", chosen, environment, engine)
    return registry.make_learner("pqn", engine, environment, config, 0)


def trained(observation: str, seconds: float) -> State:
    """What the contenders go on from: long snakes."""
    found, begun = learner(observation), perf_counter()
    while perf_counter() - begun < seconds:
        found.advance(found.env_steps + ROLLOUT)
    mean = found.evaluate(100, 0, 2000).mean
    print(f"  {observation}: {found.env_steps:,} steps, greedy mean {mean:.1f}", file=sys.stderr)
    return found.get_state()


def per_second(advance: Callable[[], int], seconds: float) -> Rate:
    """Steps a second, over at least `seconds`."""

    def measure() -> float:
        steps, begun = 0, perf_counter()
        while (took := perf_counter() - begun) < seconds:
            steps += advance()
        return steps / took

    return measure


def pqn(state: State, seconds: float, observation: str, **how: Any) -> Rate:
    found = learner(observation, **how)
    found.set_state(state)

    def advance() -> int:
        before = found.env_steps
        found.advance(before + ROLLOUT)
        return found.env_steps - before

    return per_second(advance, seconds)


def classic_trainer(seconds: float) -> Rate:
    """Whole games, once there are as many samples as it learns at the end of each."""
    snake: Any = import_module("snake")
    agent, game = snake.Agent(), snake.SnakeGame(10)

    def play() -> int:
        torch.set_num_threads(THREADS)
        snake.play_game(agent, game)
        return game.moves

    while len(agent.memory) < snake.BATCH_SIZE:
        play()
    return per_second(play, seconds)


def dqn_by_hand(seconds: float) -> Rate:
    trainer = import_module("snake_dqn").Trainer()

    def advance() -> int:
        trainer.advance(100)
        return 100

    return per_second(advance, seconds)


def contenders(observation: str, state: State, seconds: float) -> dict[str, Rate]:
    return {
        "qlearn, 1 thread": pqn(state, seconds, observation, threads=1),
        "qlearn, 2 threads": pqn(state, seconds, observation, threads=2),
        "qlearn, threads auto": pqn(state, seconds, observation),
        TORCH: pqn(state, seconds, observation, engine="torch", threads=2),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="of a turn, at least")
    options.add_argument("--trained", type=float, default=60.0, help="seconds before measuring")
    chosen = options.parse_args()
    peers = {"features": (CLASSIC, classic_trainer), "board": (DQN, dqn_by_hand)}
    tables = {}
    for observation, (peer, make) in peers.items():
        state = trained(observation, chosen.trained)
        others = contenders(observation, state, chosen.seconds)
        measured = alternate({**others, peer: make(chosen.seconds)}, chosen.repeats)
        title = f"Training on {observation}, {SHAPE[observation]}"
        tables[observation] = rates(title, measured, peer)
        del measured[peer]
        tables[f"{observation}_beside_torch"] = rates("The same beside PyTorch", measured, TORCH)
    record("snake_speed", tables, chosen.record)


if __name__ == "__main__":
    main()
