"""A batch of games as tensors on a device, which stay where they are while the games go on."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn.envs.registry import batch
from qlearn.nets.module import torch

NAMES = ("observations", "final_observations", "rewards", "terminated", "truncated", "valid")


class Shown:
    """What a step shows; `step` takes the actions as a tensor."""

    observations: torch.Tensor
    final_observations: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    valid: torch.Tensor
    on_device = False  # whether a step may be part of a graph

    def __init__(self, games: Any) -> None:
        self.games = games

    def step(self, actions: torch.Tensor) -> None:
        raise NotImplementedError

    def look(self) -> None:
        """Shows the games as they are, after they were set to another state."""

    def settle(self) -> None:
        """Raises what went wrong in the steps before."""


class OnHost(Shown):
    """Games that the processor steps; shown to a GPU by copies."""

    def __init__(self, games: Any, device: str) -> None:
        super().__init__(games)
        self.arrays = {name: torch.from_numpy(getattr(games, name)) for name in NAMES}
        self.copied = device != "cpu"
        for name, array in self.arrays.items():
            setattr(self, name, array.to(device))

    def step(self, actions: torch.Tensor) -> None:
        self.games.step(actions.cpu().numpy())
        self.look()

    def look(self) -> None:
        if self.copied:
            for name, array in self.arrays.items():
                getattr(self, name).copy_(array)


class OnGpu(Shown):
    """Games that the GPU steps: nothing leaves it, and a step may be part of a graph."""

    on_device = True

    def __init__(self, games: Any) -> None:
        super().__init__(games)
        for name in NAMES:
            setattr(self, name, torch.as_tensor(getattr(games.on_device, name), device="cuda"))

    def step(self, actions: torch.Tensor) -> None:
        self.games.use_stream(torch.cuda.current_stream().cuda_stream)
        self.games.step(actions, device=True)

    def settle(self) -> None:
        self.games.use_stream(0)
        self.games.host()


def games_on(environment: Any, envs: int, seed: int, device: str) -> Any:
    """The batch that plays best beside a network on that device."""
    engine = "cuda" if device == "cuda" and environment.compiled else "numba"
    return batch(environment, envs, seed, engine)


def shown(games: Any, device: str) -> Shown:
    return OnGpu(games) if hasattr(games, "on_device") else OnHost(games, device)


def running_returns(games: Any) -> np.ndarray:
    """What the episodes in progress have earned so far."""
    return games._book("shaped_return")
