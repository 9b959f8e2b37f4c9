"""A user's own network: a name in a run's settings, and the checked PyTorch module behind it."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

from qlearn.envs.userfile import load_object
from qlearn.errors import UserError

SESSION = "session:"  # before the names of what no file makes again
_known: dict[str, Any] = {}  # what this Python session was given, by name


def name_of(network: Any) -> str:
    """FILE.py:Name where a file makes it again, else a name that this session knows."""
    if isinstance(network, str):
        file, _, name = network.rpartition(":")
        return f"{Path(file).expanduser().absolute()}:{name}" if file.endswith(".py") else network
    name = getattr(network, "__qualname__", "")
    home = sys.modules.get(getattr(network, "__module__", None) or "")
    file = getattr(home, "__file__", None) or ""
    if file.endswith(".py") and name and getattr(home, name, None) is network:
        name = f"{Path(file).absolute()}:{name}"
    else:
        name = f"{SESSION}{name or type(network).__name__}-{len(_known) + 1}"
    _known[name] = network
    return name


def module_of(name: str, shape: tuple[int, ...], actions: int, seed: int) -> Any:
    """The network, untrained: made under the seed, or a copy of the module as it was given."""
    from qlearn.nets.module import nn, torch

    given = _given(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(given, nn.Module):
            network = copy.deepcopy(given)
        elif callable(given):
            network = _made(given, name, shape, actions)
        else:
            raise _wrong(name, f"is {type(given).__name__}, neither a torch.nn.Module nor a class")
        check(network, name, shape, actions)
    return network


def _given(name: str) -> Any:
    if name in _known:
        return _known[name]
    file, _, attribute = name.rpartition(":")
    if name.startswith(SESSION):
        raise UserError(
            f"{name.removeprefix(SESSION)} was a network of another Python session; a class in a"
            " file, network=FILE.py:Name, is found again"
        )
    if not file.endswith(".py"):
        raise UserError(f"network is FILE.py:Name or a torch.nn.Module, not '{name}'")
    return load_object(Path(file), attribute)


def _made(factory: Any, name: str, shape: tuple[int, ...], actions: int) -> Any:
    try:
        return factory(shape, actions)
    except Exception as error:
        raise _wrong(
            name, f"is called with ({shape}, {actions}), what is seen and the actions, and raised"
            f" {_said(error)}"
        ) from error  # fmt: skip


def check(network: Any, name: str, shape: tuple[int, ...], actions: int) -> None:
    """Tries it once: values of every action for each row, finite, and within a gradient's reach."""
    from qlearn.nets.module import nn, torch

    if not isinstance(network, nn.Module):
        raise _wrong(name, f"gives a {type(network).__name__}, not a torch.nn.Module")
    seen = (2, *shape)
    network.eval()
    try:
        values = network(torch.randn(seen))
    except Exception as error:
        raise _wrong(name, f"raised {_said(error)}, for an input of shape {seen}") from error
    found = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
    if found != (2, actions):
        raise _wrong(
            name, f"must give one value an action, shape (2, {actions}) for an input of {seen},"
            f" not {found}"
        )  # fmt: skip
    if not values.isfinite().all():
        raise _wrong(name, "gives values that are not finite, untrained")
    if not values.requires_grad:
        raise _wrong(
            name, "gives values that no gradient goes back from: there is nothing to learn"
        )
    kinds = {values.dtype, *(parameter.dtype for parameter in network.parameters())}
    if kinds != {torch.float32}:
        raise _wrong(name, f"must have float32 parameters and values, not {_words(kinds)}")


def _wrong(name: str, what: str) -> UserError:
    return UserError(f"network {name.removeprefix(SESSION)} {what}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _words(kinds: set) -> str:
    return " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
