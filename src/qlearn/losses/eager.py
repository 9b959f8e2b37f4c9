"""The loss of Q-learning for any PyTorch module, in few operations and no more memory than by hand.

    single   target = r + discount * max_a Q_target(s', a)
    double   target = r + discount * Q_target(s', argmax_a Q(s', a))

Only Q(s, a) is in the graph: what follows is judged before there is one. (One forward of s and s'
together would keep the activations of s', for a gradient that must not flow.)
"""

from __future__ import annotations

from typing import Any

from qlearn.errors import UserError, closest
from qlearn.nets.module import nn, torch

from torch.nn.modules.module import _has_any_global_hook  # isort: skip

LOSSES = ("mse", "huber")
REDUCTIONS = ("mean", "none")
NUMBERS = ("rewards", "terminated", "discounts", "weights")  # one for each transition


def q_loss(
    net: nn.Module,
    observations: torch.Tensor,
    actions: torch.Tensor,
    rewards: torch.Tensor,
    next_observations: torch.Tensor,
    terminated: torch.Tensor | None,
    *,
    discount: float = 0.99,
    target_net: nn.Module | None = None,
    double: bool = False,
    discounts: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
    loss: str = "mse",
    reduction: str = "mean",
    errors: bool = False,
) -> Any:
    """The loss of a batch of transitions, to call `.backward()` on; its target has no gradient.

    `actions` are indices, (batch,), and `rewards`, `terminated`, `discounts`, `weights` are of their
    shape. With one more axis in front everywhere, (k, batch), it is k batches in one pass, and k
    losses.

    `target_net` judges what follows, by default `net` itself; with `double`, `net` chooses the
    action that is judged (van Hasselt et al., 2016), which makes a difference where there are two.
    `discounts` say for each transition what counts of what follows, instead of
    discount * (1 - terminated): for n steps, discount^n, and 0 after an end. `weights` are
    importance weights. Huber's loss is half the square up to an error of 1. With `errors` it is
    (loss, errors): target - Q(s, a), outside the graph.
    """
    ends: Any = terminated if discounts is None else discounts
    given = (observations, actions, rewards, next_observations, ends, weights)
    if not (loss in LOSSES and reduction in REDUCTIONS and _fit(*given)):
        raise _misfit(*given, loss, reduction)
    shape = actions.shape
    several = len(shape) == 2
    if several:  # a view costs as much as arithmetic here: only where it must be
        observations, next_observations = (
            seen.flatten(0, 1) for seen in (observations, next_observations)
        )
        actions, rewards, ends = actions.flatten(), rewards.flatten(), ends.flatten()

    with torch.no_grad():
        if target_net is None:
            following = values_of(net, next_observations).amax(-1)
        elif double:
            choices = values_of(net, next_observations).argmax(-1, keepdim=True)
            following = values_of(target_net, next_observations).gather(-1, choices).squeeze(-1)
        else:
            following = values_of(target_net, next_observations).amax(-1)
        if following.shape != actions.shape:
            raise UserError("the network must give (batch, actions): a value for every action")
        if discounts is None:
            following.masked_fill_(ends.bool(), 0.0)
            target = torch.add(rewards, following, alpha=discount)
        else:
            target = torch.addcmul(rewards, following, ends)

    values = values_of(net, observations)
    try:
        chosen = values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    except RuntimeError:
        _explain_actions(values, actions)
        raise
    error = target - chosen
    if loss == "mse":
        losses = error.square()
    else:
        losses = nn.functional.huber_loss(chosen, target, reduction="none")
    if several:
        losses, error = losses.view(shape), error.view(shape)
    if weights is not None:
        losses = losses * weights
    if reduction == "mean":
        losses = losses.mean(-1)
    return (losses, error.detach()) if errors else losses


def values_of(net: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """`net(inputs)`; where nothing listens on the way, without 6 of its 20 microseconds."""
    if type(net) is not nn.Sequential or _has_any_global_hook() or not _bare(net):
        return net(inputs)
    for layer in net:
        if type(layer) is nn.Linear and _bare(layer):
            own: Any = layer._parameters
            inputs = nn.functional.linear(inputs, own["weight"], own["bias"])
        else:
            inputs = layer(inputs)
    return inputs


def _bare(module: nn.Module) -> bool:
    """Whether calling it does no more than its class says."""
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
    )


def _fit(observations, actions, rewards, next_observations, ends, weights) -> bool:
    """(32, 1) beside (32,) would broadcast to (32, 32): a loss, and a wrong one."""
    shape = getattr(actions, "shape", ())
    return (
        isinstance(observations, torch.Tensor)
        and isinstance(actions, torch.Tensor)
        and isinstance(rewards, torch.Tensor)
        and isinstance(ends, torch.Tensor)
        and 1 <= len(shape) <= 2
        and rewards.shape == shape == ends.shape
        and observations.shape == next_observations.shape
        and observations.shape[: len(shape)] == shape
        and (weights is None or weights.shape == shape)
    )


def _misfit(
    observations, actions, rewards, next_observations, ends, weights, loss, reduction
) -> UserError:
    if loss not in LOSSES:
        return UserError(f"unknown loss {loss!r}{closest(str(loss), LOSSES)}")
    if reduction not in REDUCTIONS:
        return UserError(f"unknown reduction {reduction!r}{closest(str(reduction), REDUCTIONS)}")
    named = {
        "observations": observations, "actions": actions, "rewards": rewards,
        "next_observations": next_observations, "terminated or discounts": ends,
    }  # fmt: skip
    if weights is not None:
        named["weights"] = weights
    for name, tensor in named.items():
        if not isinstance(tensor, torch.Tensor):
            return UserError(f"q_loss takes tensors; {name}: {type(tensor).__name__}")
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in named.items())
    return UserError(
        f"actions are (batch,) or (k, batch) indices, observations begin with that, the rest is of"
        f" that shape; here are {shapes}"
    )


def _explain_actions(values: torch.Tensor, actions: torch.Tensor) -> None:
    """Why these values cannot be chosen from by these actions; nothing where it is not that."""
    if actions.dtype != torch.int64:
        raise UserError(f"actions are indices, int64, not {actions.dtype}; .long()") from None
    low, high, outputs = int(actions.min()), int(actions.max()), values.shape[-1]
    if low < 0 or high >= outputs:
        raise UserError(f"actions {low} .. {high}, and the network has {outputs} outputs") from None
