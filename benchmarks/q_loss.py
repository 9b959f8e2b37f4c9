"""The loss of Q-learning on one thread: ours beside the eager form, at 4-64-2 and a batch of 32.

    python benchmarks/q_loss.py

A call builds the graph, so that `.backward()` can follow; the fused form's has made the gradient
too. Contenders take turns, forwards, then backwards. Before anything is timed, all must agree on
the loss and on the gradient. What a graph keeps for its gradient is counted, not timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch look

import numpy as np
import torch
from torch import nn

from _report import parser, record, times
from qlearn.compare.measure import alternate
from qlearn.losses import FusedQLoss, q_loss
from qlearn.nets.layout import Architecture

INPUTS, HIDDEN, ACTIONS, BATCH, BATCHES = 4, 64, 2, 32, 8
DISCOUNT = 0.99
CALLS = 500


class Own(nn.Module):
    """The same network as a class of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, ACTIONS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear2(nn.functional.relu(self.linear1(x)))


def sequential() -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, ACTIONS))


def batch(*lead: int) -> list[torch.Tensor]:
    """Observations, actions, rewards, next observations, terminated."""
    chance = torch.Generator().manual_seed(0)
    return [
        torch.randn(*lead, INPUTS, generator=chance),
        torch.randint(ACTIONS, lead, generator=chance),
        torch.randn(*lead, generator=chance),
        torch.randn(*lead, INPUTS, generator=chance),
        torch.rand(*lead, generator=chance) < 0.1,
    ]


def eager(net: nn.Module, data: list[torch.Tensor], target_net: Any = None) -> torch.Tensor:
    """The loss as people write it; with a target network, double."""
    observations, actions, rewards, next_observations, terminated = data
    chosen = net(observations).gather(1, actions.unsqueeze(1)).squeeze(1)
    with torch.no_grad():
        if target_net is None:
            following = net(next_observations).max(1)[0]
        else:
            choices = net(next_observations).argmax(1, keepdim=True)
            following = target_net(next_observations).gather(1, choices).squeeze(1)
        target = rewards + DISCOUNT * (1 - terminated.float()) * following
    return nn.functional.mse_loss(chosen, target)


def microseconds(call: Callable[[], Any]) -> list[float]:
    call()
    begun = perf_counter()
    for _ in range(CALLS):
        call()
    return [(perf_counter() - begun) / CALLS * 1e6]


def kept_bytes(call: Callable[[], torch.Tensor]) -> int:
    """What the graph keeps for its gradient, each stretch of memory once."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _graph = call()
    return sum(kept.values())


def gradient(net: nn.Module, call: Callable[[], torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
    net.zero_grad()
    loss = call()
    loss.backward()
    return loss.item(), [parameter.grad.clone() for parameter in net.parameters()]  # type: ignore


def check(net: nn.Module, theirs: Callable, ours: Callable, fused: Callable) -> None:
    """The same loss, the same gradient."""
    expected, right = gradient(net, theirs)
    losses = {"q_loss": gradient(net, ours)}
    net.zero_grad()
    losses["FusedQLoss"] = fused(), [p.grad for p in net.parameters()]  # type: ignore[misc]
    for name, (loss, found) in losses.items():
        far = [float((a - b).norm() / b.norm()) for a, b in zip(found, right, strict=True)]
        if abs(loss - expected) > 1e-6 or max(far) > 1e-5:
            raise SystemExit(f"{name}: {loss} for {expected}, gradients {max(far):.1e} apart")


def measure(double: bool, repeats: int) -> dict[str, Any]:
    torch.manual_seed(0)
    net, own = sequential(), Own()
    target, own_target = (sequential(), Own()) if double else (None, None)
    data, several = batch(BATCH), batch(BATCHES, BATCH)
    arrays = [tensor.numpy() for tensor in data]
    how: dict[str, Any] = {"discount": DISCOUNT, "target_net": target, "double": double}
    fused = FusedQLoss(net, **how)
    flat = FusedQLoss(
        Architecture(INPUTS, (HIDDEN,), ACTIONS, layer_norm=False),
        discount=DISCOUNT, double=double, target_net=np.zeros(450) if double else None,
    )  # fmt: skip
    calls: Mapping[str, Callable[[], Any]] = {
        "eager": partial(eager, net, data, target),
        "eager, a class of one's own": partial(eager, own, data, own_target),
        "q_loss": partial(q_loss, net, *data, **how),
        "q_loss, a class of one's own": partial(
            q_loss, own, *data, **{**how, "target_net": own_target}
        ),
        f"q_loss, {BATCHES} batches in one pass": partial(q_loss, net, *several, **how),
        "FusedQLoss of a module, arrays": partial(fused, *arrays),
        "FusedQLoss of a module, tensors": partial(fused, *data),
        "FusedQLoss of flat parameters": partial(flat, *arrays),
    }
    check(net, calls["eager"], calls["q_loss"], calls["FusedQLoss of a module, arrays"])
    turns = alternate({name: partial(microseconds, call) for name, call in calls.items()}, repeats)
    name = "double" if double else "single"
    rows = times(
        f"Q-loss, {name}, {INPUTS}-{HIDDEN}-{ACTIONS}, batch {BATCH}", turns, "eager", "us"
    )
    one, many = (turns[key] for key in ("q_loss", f"q_loss, {BATCHES} batches in one pass"))
    pair = times(f"{BATCHES} batches beside one, {name}", {"one": one, "all": many}, "one", "us")
    kept = {key: kept_bytes(calls[key]) for key in ("eager", "q_loss")}
    print(f"\nkept for the gradient: {kept['q_loss']:,} bytes, eager {kept['eager']:,}")
    return {name: rows, f"{name}_batches": pair, f"{name}_kept_bytes": kept}


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(repeats=15)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    tables = measure(False, chosen.repeats) | measure(True, chosen.repeats)
    record("q_loss", tables, chosen.record)


if __name__ == "__main__":
    main()
