"""What is drawn from a replay."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qlearn.errors import UserError, missing_extra


class Batch(NamedTuple):
    """Transitions as arrays, a row each; with several batches, a batch each before that.

    Every array is the reader's own, and speaks DLPack.
    """

    observations: Any
    actions: Any
    rewards: Any  # of n steps: discounted and summed
    next_observations: Any  # after the last of those steps
    discounts: Any  # of what follows: 0 where nothing does
    terminated: Any  # whether the last of those steps ended the episode,
    truncated: Any  # or it was cut off there
    slots: Any  # where they lie, for `prioritize`
    weights: Any  # importance weights

    def torch(self) -> Batch:
        """The same as tensors, which share the arrays' memory."""
        try:
            import torch
        except ImportError:
            raise missing_extra("torch", "torch") from None
        try:
            return Batch(*map(torch.from_numpy, self))
        except (TypeError, ValueError):
            kind = np.asarray(self.observations).dtype
            raise UserError(f"torch has no tensors of {kind}; keep another dtype") from None
