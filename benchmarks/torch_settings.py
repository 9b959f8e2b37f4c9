"""The torch engine's settings on the processor, each against the engine as it is by default.

    python benchmarks/torch_settings.py

Snake's board on one thread: updates of 1,024 rows, and forwards of 256 as acting has them, of the
perceptron 300-256-256-3 and of the convolutions 32x3x1,64x3x1 with 256. Contenders take turns;
each differs from the default in one thing. Wall time: where other programs use the cores, two
threads wait for one another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch

from _report import parser, record, times
from qlearn.algorithms import registry
from qlearn.algorithms.network.books import ERROR, LOSS, NORM
from qlearn.algorithms.pqn.readable import TorchPqn
from qlearn.compare.measure import alternate
from qlearn.envs.registry import find

NETWORKS = {
    "300-256-256-3": {"hidden": "256x256"},
    "32x3x1,64x3x1 256": {"conv": "32x3x1,64x3x1", "hidden": "256"},
}
COPIES, ROWS = 256, 1024
CALLS = {"300-256-256-3": 10, "32x3x1,64x3x1 256": 1}
DEFAULT = "as it is"


def learner(**settings: Any) -> TorchPqn:
    environment = find("snake", {"observation": "board"})
    settings = {"envs": COPIES, "rollout": 32, "minibatch": ROWS, "threads": 1, **settings}
    config = registry.configure("pqn", settings, environment, "torch")
    return TorchPqn(environment, config, 0)


def channels_last(one: TorchPqn) -> None:
    one.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def default_adam(one: TorchPqn) -> None:
    one.optimiser = torch.optim.Adam(one.network.parameters(), lr=1e-4)


def average_one_by_one(one: TorchPqn) -> None:
    def follow(slow: torch.nn.Module, share: float) -> None:
        with torch.no_grad():
            for old, new in zip(slow.parameters(), one.network.parameters(), strict=True):
                old.mul_(1.0 - share).add_(new, alpha=share)

    one.follow = follow  # type: ignore[assignment, method-assign]


def zeroed_gradients(one: TorchPqn) -> None:
    one.optimiser.zero_grad = lambda set_to_none: one.network.zero_grad(set_to_none=False)


def figures_read(one: TorchPqn) -> None:
    def note(loss: torch.Tensor, errors: torch.Tensor, norm: torch.Tensor) -> None:
        one.sums[[LOSS, ERROR, NORM]] += loss.item(), errors.abs().sum().item(), norm.item()

    one.note_update = note  # type: ignore[method-assign]


CHANGES: dict[str, tuple[dict[str, Any], Callable[[TorchPqn], None] | None]] = {
    DEFAULT: ({}, None),
    "bf16": ({"precision": "bf16"}, None),
    "compiled": ({"compile": True}, None),
    "two threads": ({"threads": 2}, None),
    "channels last": ({}, channels_last),
    "torch's default Adam": ({}, default_adam),
    "average tensor by tensor": ({}, average_one_by_one),
    "gradients zeroed, not None": ({}, zeroed_gradients),
    "figures read at every update": ({}, figures_read),
}


def seconds_of(one: TorchPqn, calls: int, call: Callable[[], Any]) -> list[float]:
    torch.set_num_threads(one.threads)
    begun = perf_counter()
    for _ in range(calls):
        call()
    return [(perf_counter() - begun) / calls * 1e3]


def updates(network: str, repeats: int) -> list[dict[str, Any]]:
    chance = torch.Generator().manual_seed(0)
    data = (
        (torch.rand(ROWS, 300, generator=chance) < 0.03).float(),
        torch.randint(3, (ROWS,), generator=chance),
        torch.randn(ROWS, generator=chance),
        torch.ones(ROWS, dtype=torch.bool),
    )

    def update(one: TorchPqn) -> None:
        one.update(*data)
        one.follow(one.average, 0.01)

    contenders = {}
    for name, (settings, change) in CHANGES.items():
        if name == "channels last" and "x" not in network:
            continue
        one = learner(**NETWORKS[network], **settings)
        if change is not None:
            change(one)
        update(one)  # the first is another one
        contenders[name] = partial(seconds_of, one, CALLS[network], partial(update, one))
    turns = alternate(contenders, repeats)
    return times(f"an update of {ROWS:,} rows, {network}", turns, DEFAULT, "ms")


def forwards(network: str, repeats: int) -> list[dict[str, Any]]:
    one = learner(**NETWORKS[network])
    rows = torch.rand(COPIES, 300, generator=torch.Generator().manual_seed(0))

    def forward(context: Callable[[], Any]) -> None:
        with context():
            one.values(one.network, rows)

    contexts = {
        "inference_mode": torch.inference_mode,
        "no_grad": torch.no_grad,
        "with a graph": torch.enable_grad,
    }
    contenders = {
        name: partial(seconds_of, one, 5 * CALLS[network], partial(forward, context))
        for name, context in contexts.items()
    }
    turns = alternate(contenders, repeats)
    return times(f"a forward of {COPIES} rows, {network}", turns, "inference_mode", "ms")


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(repeats=9)
    chosen = options.parse_args()
    tables = {}
    for network in NETWORKS:
        tables[f"update {network}"] = updates(network, chosen.repeats)
        tables[f"forward {network}"] = forwards(network, chosen.repeats)
    record("torch_settings", tables, chosen.record)


if __name__ == "__main__":
    main()
