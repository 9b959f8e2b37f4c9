"""What the learners of the torch engine share: their games, and checkpoints that both engines read."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import numpy as np

from qlearn.algorithms.network.books import Books
from qlearn.envs.registry import batch
from qlearn.nets.layout import Architecture
from qlearn.nets.module import flat_of, nn, put_flat, torch


class TorchLearner(Books):
    """A network and its average as PyTorch modules, and a batch of games beside them."""

    engine, device = "torch", "cpu"
    architecture: Architecture
    average: nn.Module  # of the parameters: what plays
    batch: Any

    def begin_games(self, seed: int) -> None:
        """Every copy's first episode; training may go on beyond the time limit."""
        played = self.environment
        if played.compiled:
            played = replace(played, max_steps=self.plan.max_steps)
        self.batch = batch(played, self.config.envs, seed)
        self.notes: tuple[str, ...] = getattr(self.batch, "notes", ())
        self.batch.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat_of(self.architecture, self.average.parameters())

    def _networks(self) -> dict[str, list[torch.Tensor]]:
        """Everything shaped like the network: by name, its tensors."""
        raise NotImplementedError

    def flat_networks(self) -> dict[str, np.ndarray]:
        return {name: flat_of(self.architecture, part) for name, part in self._networks().items()}

    def put_network(self, name: str, state: dict[str, np.ndarray]) -> None:
        if state[name].shape != (self.architecture.parameters,):
            raise ValueError(f"'{name}' is {state[name].shape}, not this network's")
        flat = state[name].astype(np.float32, copy=False)
        put_flat(self.architecture, flat, self._networks()[name])

    @property
    def _prefix(self) -> str:
        return "" if self.environment.compiled else "batch."

    def games_state(self) -> dict[str, np.ndarray]:
        return {self._prefix + name: array for name, array in self.batch.get_state().items()}

    def put_games(self, state: dict[str, np.ndarray], others: Container[str]) -> None:
        """The games out of a state whose `others` are the learner's own."""
        prefix = self._prefix
        self.batch.set_state(
            {
                name.removeprefix(prefix): array
                for name, array in state.items()
                if name.startswith(prefix) and name not in others
            }
        )
