"""The classic `QTrainer(model, lr, gamma).train_step(...)`, without its loop over the samples."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from qlearn.errors import UserError
from qlearn.nets.module import nn, torch


class QTrainer:
    """One step of deep Q-learning a call, on a sample or on a batch, for any module of PyTorch.

    A trainer that is often copied fills its target in sample by sample and detaches nothing, so
    that the gradient flows through the target too: Q(s, a) is moved towards r + gamma max Q(s'),
    and that towards Q(s, a), with gamma's weight ("residual gradient", Baird, 1995). By default
    this one makes the same steps, in one pass. `detach_target=True` is Q-learning as it is meant:
    the target is a number.

    `optimizer` is one of the model's parameters, or a class of torch.optim (then `lr` counts);
    by default Adam.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        gamma: float,
        *,
        detach_target: bool = False,
        optimizer: Any = None,
    ) -> None:
        self.model, self.lr, self.gamma = model, lr, gamma
        self.detach_target = detach_target
        if optimizer is None or isinstance(optimizer, type):
            optimizer = (optimizer or torch.optim.Adam)(model.parameters(), lr=lr)
        self.optimizer = optimizer

    def train_step(
        self, state: Any, action: Any, reward: Any, next_state: Any, done: Any
    ) -> torch.Tensor:
        """Learns from a sample (a state of one dimension) or from a batch; gives the loss.

        Lists, tuples, lists of arrays, arrays and tensors will do. An action is a one-hot row or an
        index. The loss is the mean over all outputs of the network, as the classic trainer has it.
        """
        if not self.detach_target:
            _note_once()
        samples = self._samples(state, action, reward, next_state, done)
        loss = self.loss(*samples)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def loss(
        self,
        states: torch.Tensor,
        actions: torch.Tensor,
        rewards: torch.Tensor,
        next_states: torch.Tensor,
        dones: torch.Tensor,
    ) -> torch.Tensor:
        """Of a batch of tensors; actions are one-hot rows or indices."""
        values = self.model(states)
        chosen = values.gather(1, _indices(actions, values)).squeeze(1)
        targets = rewards
        live = (~dones).nonzero().squeeze(1)  # nothing is asked of what follows an end, be it nan
        with torch.set_grad_enabled(not self.detach_target):
            if len(live) == len(dones):
                targets = torch.add(rewards, self._best(next_states), alpha=self.gamma)
            elif len(live):
                best = self._best(next_states[live])
                targets = rewards.index_add(0, live, best, alpha=self.gamma)
        return (targets - chosen).square().sum() / values.numel()

    def _best(self, states: torch.Tensor) -> torch.Tensor:
        return self.model(states).amax(1)

    def _samples(self, *given: Any) -> tuple[torch.Tensor, ...]:
        """Tensors of a batch: states, actions, rewards, next states, dones."""
        device = next(self.model.parameters()).device
        kinds = (torch.float, torch.long, torch.float, torch.float, torch.bool)
        batch = [
            _tensor(name, values).to(device, kind)
            for name, values, kind in zip(NAMES, given, kinds, strict=True)
        ]
        if batch[0].dim() == 1:
            batch = [tensor.unsqueeze(0) for tensor in batch]
        states, actions, rewards, next_states, dones = batch
        rewards, dones = rewards.reshape(-1), dones.reshape(-1)
        batch = [states, actions, rewards, next_states, dones]
        sizes = [tensor.shape[0] if tensor.dim() else 0 for tensor in batch]
        if min(sizes) != max(sizes) or not sizes[0]:
            said = ", ".join(f"{size} of {name}" for name, size in zip(NAMES, sizes, strict=True))
            raise UserError(f"a batch has as many samples of each, and at least one; here {said}")
        return tuple(batch)


NAMES = ("state", "action", "reward", "next_state", "done")


def _tensor(name: str, values: Any) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach()
    try:
        if isinstance(values, list | tuple) and values and isinstance(values[0], torch.Tensor):
            return torch.stack([value.detach() for value in values])
        return torch.from_numpy(np.asarray(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{name} is no numbers of one shape: {error}") from None


def _indices(actions: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The column (batch, 1) of the actions' indices: where one-hot, as the classic trainer does."""
    outputs = values.shape[-1]
    if actions.dim() == 2 and actions.shape[1] == outputs:
        return actions.argmax(1, keepdim=True)
    if actions.dim() > 2 or (actions.dim() == 2 and actions.shape[1] != 1):
        raise UserError(
            f"an action is an index or a one-hot row of {outputs}; here they are"
            f" {tuple(actions.shape)}"
        )
    low, high = int(actions.min()), int(actions.max())
    if low < 0 or high >= outputs:
        raise UserError(f"actions {low} .. {high}, and the model has {outputs} outputs")
    return actions.reshape(-1, 1)


def _note_once() -> None:
    """Said once in a process, before the first step that follows the classic trainer."""
    global _noted
    if _noted or os.environ.get("QLEARN_QUIET"):
        return
    _noted = True
    print(
        "QTrainer follows the classic trainer, whose gradient flows through its target;"
        " detach_target=True is Q-learning",
        file=sys.stderr,
    )


_noted = False
