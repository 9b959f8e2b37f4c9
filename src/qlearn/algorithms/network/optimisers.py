"""torch.optim by name, in its quickest form."""

from __future__ import annotations

import inspect
from typing import Any

from qlearn.errors import UserError, closest
from qlearn.nets.module import torch


def make_optimiser(name: str, parameters: list[torch.Tensor]) -> Any:
    """adam and radam as the fused engine has them; any other of torch.optim as it is."""
    known = {cls.lower(): getattr(torch.optim, cls) for cls in torch.optim.__all__}
    known = {key: cls for key, cls in known.items() if isinstance(cls, type)}
    if name.lower() not in known:
        raise UserError(f"torch.optim has no optimiser '{name}'{closest(name.lower(), known)}")
    try:
        optimiser = known[name.lower()](parameters, **_how(known[name.lower()], parameters))
        _warm(optimiser, parameters)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"torch.optim's {name} does not fit a network: {error}") from None
    return optimiser


def _how(cls: Any, parameters: list[torch.Tensor]) -> dict[str, Any]:
    takes = inspect.signature(cls).parameters
    how: dict[str, Any] = {"lr": 1e-3}
    if "fused" in takes:
        how["fused"] = True
    if parameters[0].is_cuda and "capturable" in takes:  # a graph reads what it finds in tensors
        how |= {"capturable": True, "lr": torch.tensor(1e-3, device=parameters[0].device)}
    return how


def set_lr(optimiser: Any, lr: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def set_steps(optimiser: Any, steps: int) -> None:
    """How often it has stepped, where it counts that in tensors."""
    for kept in optimiser.state.values():
        if isinstance(kept.get("step"), torch.Tensor):
            kept["step"].fill_(steps)


def _warm(optimiser: Any, parameters: list[torch.Tensor]) -> None:
    """Has the optimiser make its state, so that checkpoints always have it; moves nothing."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in parameters]
    optimiser.step()
    with torch.no_grad():
        for parameter, old in zip(parameters, before, strict=True):
            parameter.copy_(old)
            for part in optimiser.state[parameter].values():
                if isinstance(part, torch.Tensor):
                    part.zero_()
