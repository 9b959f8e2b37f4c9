"""Which network a learner of the torch engine has: a perceptron, convolutions, or the user's own."""

from __future__ import annotations

from typing import Any

from torch import nn

from qlearn import rng as random_streams
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.fused import initial_parameters, perceptron_of
from qlearn.algorithms.network.own import module_of
from qlearn.algorithms.network.weights import PARAMS, read_named
from qlearn.errors import UserError
from qlearn.nets.layout import Architecture
from qlearn.nets.module import Convolutional, Network, found_by, put_flat, unpack


def input_shape(environment: Any, config: Any) -> tuple[int, ...]:
    """What the network takes of each copy: a picture where it is one and the network looks at it."""
    picture = seeing.picture_of(environment) if config.conv or config.network else None
    return tuple(picture[:3]) if picture else (seeing.inputs_of(environment),)


def network_of(
    environment: Any, config: Any, seed: int, dueling: bool = False
) -> tuple[nn.Module, Architecture | None]:
    """The untrained network, and its architecture where it is a perceptron."""
    if not (config.conv or config.network):
        architecture = perceptron_of(environment, config, dueling)
        perceptron = Network(architecture)
        flat = initial_parameters(architecture, config.init, seed)
        put_flat(architecture, flat, perceptron.parameters())
        return perceptron, architecture
    drawn = random_streams.seed_in(str(config.init))
    file = "" if drawn is not None else str(config.init)
    seed = seed if drawn is None else drawn
    network: nn.Module
    if config.network:
        if dueling:
            raise UserError("dueling is a head of ours; a network of your own has its own head")
        shape = input_shape(environment, config)
        network = module_of(config.network, shape, environment.actions, seed)
    else:
        network = _convolutional(environment, config, seed, dueling)
    if file:
        _begin_from(file, network)
    return network, None


def _seen(environment: Any) -> str:
    """How it is seen, where there are several ways."""
    if "observation" not in getattr(environment, "choices", ()):
        return ""
    others = [
        way
        for way in environment.choices["observation"]
        if way != environment.options["observation"]
    ]
    return f" with env.observation={environment.options['observation']} (there are {', '.join(others)})"


def _convolutional(environment: Any, config: Any, seed: int, dueling: bool) -> Convolutional:
    picture = seeing.picture_of(environment)
    if picture is None:
        raise UserError(
            f"conv needs pictures, and {environment.name} shows none{_seen(environment)}; an"
            " environment says it with `planes = (channels, rows, columns)`"
        )
    head = Architecture(
        found_by(picture[:3], config.convolutions), config.widths, environment.actions,
        config.activation, config.layer_norm, dueling,
    )  # fmt: skip
    network = Convolutional(picture[:3], config.convolutions, head)
    network.initialise(seed)
    return network


def _begin_from(file: str, network: nn.Module) -> None:
    state = network.state_dict()
    wanted = {
        f"{PARAMS}.{key}": (str(part.dtype).removeprefix("torch."), tuple(part.shape))
        for key, part in state.items()
    }
    unpack(None, PARAMS, read_named(file, wanted), state)
