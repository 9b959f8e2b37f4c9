"""The readable DQN with its network on a GPU: acting, and each update, replayed as CUDA graphs.

Games and replay stay on the processor. A batch is copied to tensors that stay where they are, and
its errors come back only where priorities ask for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qlearn.algorithms.dqn.config import DqnConfig
from qlearn.algorithms.dqn.fused import Plan
from qlearn.algorithms.dqn.readable import TorchDqn
from qlearn.algorithms.network.books import UPDATES
from qlearn.algorithms.network.graphs import Replayed
from qlearn.nets.module import torch
from qlearn.replay.buffer import Batch


class GraphedDqn(TorchDqn):
    """One batch and one step of the copies in tensors of their own."""

    def __init__(self, environment: Any, config: DqnConfig, seed: int) -> None:
        super().__init__(environment, config, seed)
        width = self.scale.shape[1]
        self.make_room(config.batch)
        self.inputs, self.values_there = (
            self.there(config.envs, width),
            self.there(config.envs, environment.actions),
        )
        self.updated = self.there()
        self.act_there = Replayed(self.judge_now, self.device)
        # Some optimisers keep numbers in Python: a graph would repeat the first of them for ever.
        capturable = all(group.get("capturable") for group in self.optimiser.param_groups)
        device = self.device if capturable else "cpu"
        self.learn_there = Replayed(self.learn_batch, device)
        self.follow_there = Replayed(self.move_target, device)

    def there(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    def make_room(self, rows: int) -> None:
        """For a batch, and its errors."""
        width = self.scale.shape[1]
        self.drawn_there = {
            "observations": self.there(rows, width),
            "following": self.there(rows, width),
            "actions": self.there(rows, dtype=torch.int64),
            "rewards": self.there(rows),
            "discounts": self.there(rows),
            "weights": self.there(rows),
        }
        self.errors = self.there(rows)

    def take(self, config: DqnConfig, plan: Plan) -> None:
        if config.batch != self.rows:
            self.make_room(config.batch)
        super().take(config, plan)
        self.learn_there.forget()
        self.follow_there.forget()

    def advance(self, steps: int) -> np.ndarray:
        self.updated.fill_(self.updates)
        return super().advance(steps)

    @torch.no_grad()
    def judge_now(self) -> None:
        self.values_there.copy_(self.values(self.network, self.inputs))

    def values_of(self, seen: np.ndarray) -> np.ndarray:
        self.inputs.copy_(torch.from_numpy(self.encode(seen)))
        self.act_there()
        return self.values_there.cpu().numpy()

    def update(self, drawn: Batch) -> np.ndarray:
        arrays = {
            "observations": self.encode(drawn.observations),
            "following": self.encode(drawn.next_observations),
            "actions": drawn.actions,
            "rewards": drawn.rewards,
            "discounts": drawn.discounts,
            "weights": drawn.weights,
        }
        for name, array in arrays.items():
            self.drawn_there[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))
        self.learn_there()
        self.counts[UPDATES] += 1
        if self.updates % self.config.target_every == 0:
            self.follow_there()
        return self.errors.cpu().numpy() if self.config.prioritized else np.zeros(0)

    def learn_batch(self) -> None:
        self.errors.copy_(self.step_on(**self.drawn_there))
        with torch.no_grad():
            self.updated += 1.0
            young = 10.0 / (self.updated + 10.0)
            self.follow(self.average, young.clamp(min=1.0 - self.config.average))

    def move_target(self) -> None:
        self.follow(self.target, self.config.tau)


def torch_learner(environment: Any, config: DqnConfig, seed: int) -> TorchDqn:
    """The readable one on the processor; its twin on a GPU."""
    return (TorchDqn if config.device == "cpu" else GraphedDqn)(environment, config, seed)
