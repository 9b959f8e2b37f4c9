"""What the learners of the torch engine share: networks, games, and what checkpoints hold of them."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qlearn.algorithms.network import precision, seeing
from qlearn.algorithms.network.books import ERROR, LEARNED, LOSS, NORM, Books
from qlearn.algorithms.network.fused import put_named
from qlearn.algorithms.network.greedy import Player
from qlearn.algorithms.network.networks import input_shape, network_of
from qlearn.algorithms.network.torch_player import TorchPlayer
from qlearn.envs.registry import batch
from qlearn.errors import UserError
from qlearn.memory import refuse_beyond
from qlearn.nets.layout import Architecture
from qlearn.nets.module import as_picture, nn, packed, torch, unpack

PLAYS = ("params", "average")  # of what is shaped like the network, what a policy needs


class TorchLearner(Books):
    """A network and its average as PyTorch modules, and a batch of games beside them."""

    engine = "torch"
    network: nn.Module
    average: nn.Module  # of the parameters: what plays
    architecture: Architecture | None  # of a perceptron; its checkpoints fit the fused engine
    batch: Any

    def begin_networks(self, seed: int, dueling: bool = False) -> None:
        """The network, untrained, its average, and who plays it."""
        config, environment = self.config, self.environment
        self.device, self.threads = config.device, config.threads or 1
        check_device(self.device)
        torch.set_num_threads(self.threads)
        self.shape = input_shape(environment, config)
        # What convolutions look at has one scale a channel: every place is the same to them.
        self.picture = seeing.picture_of(environment) if len(self.shape) > 1 else None
        self.network, self.architecture = network_of(environment, config, seed, dueling)
        self.network.to(self.device).eval()
        self.average = copy.deepcopy(self.network)
        self.scale = seeing.first_scale(environment)  # middle, and one over the spread
        drawn = self.rows * 2 * 4 * self.scale.shape[1]  # what was seen, and what came after it
        refuse_beyond(f"batches of {self.rows:,} rows take", drawn, "a smaller batch fits")
        self.player: Any
        if self.architecture is not None:
            self.player = Player(environment, self.architecture)
        else:
            self.player = TorchPlayer(environment, self.judge)
        self.learned = torch.zeros(4, dtype=torch.float64, device=self.device)  # since settled
        # What a user's network draws while it learns, such as dropout's masks, is the seed's own.
        self.drawn = torch.Generator().manual_seed(seed).get_state().numpy().copy()

    def compile_values(self, rows: int) -> None:
        """How it computes values while it learns; compiled now, where that is asked for."""
        self.learning_values, self.compile_seconds = self.values, 0.0
        if not self.config.compile:
            return
        begun = time.perf_counter()
        self.learning_values = precision.compiled(self.values, self.device)
        before, drawn = copy.deepcopy(self.network.state_dict()), self.drawn.copy()
        with self.at_work(), self.learning():
            inputs = torch.zeros(rows, self.scale.shape[1], device=self.device)
            self.learning_values(self.network, inputs).sum().backward()
        self.network.load_state_dict(before)
        self.drawn[:] = drawn
        self.network.zero_grad(set_to_none=True)
        self.compile_seconds = time.perf_counter() - begun

    def begin_games(self, seed: int) -> None:
        """Every copy's first episode; training may go on beyond the time limit."""
        played = self.environment
        if played.compiled:
            played = replace(played.practised, max_steps=self.plan.max_steps)
        self.batch = self.make_batch(played, seed)
        self.notes: tuple[str, ...] = (
            *getattr(self.batch, "notes", ()),
            *precision.notes(self.device, self.config.precision),
        )
        self.batch.reset()

    def make_batch(self, played: Any, seed: int) -> Any:
        return batch(played, self.config.envs, seed)

    # ----------------------------------------------------------------- values

    def encode(self, observations: np.ndarray) -> np.ndarray:
        """What the network takes: numbers centred and divided by their spread, states one-hot."""
        return seeing.encoded(self.environment, observations, self.scale)

    def shaped(self, inputs: torch.Tensor) -> torch.Tensor:
        """Rows of numbers as the network takes them: as they are, or as pictures."""
        if self.picture is None:
            return inputs
        return as_picture(inputs, self.picture)

    def values(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """The value of every action for each row."""
        with precision.autocast(self.device, self.config.precision):
            return network(self.shaped(inputs)).float()

    def without_gradient(self) -> Any:
        """Values only. What a user's own network keeps of a forward may be learned from later."""
        return torch.no_grad() if self.config.network else torch.inference_mode()

    def judge(self, network: nn.Module, seen: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The same for what an environment shows, in NumPy's hands."""
        torch.set_num_threads(self.threads)
        inputs = seeing.encoded(self.environment, seen, scale).astype(np.float32, copy=False)
        with self.without_gradient():
            return self.values(network, torch.from_numpy(inputs).to(self.device)).cpu().numpy()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """PyTorch as this learner wants it."""
        torch.set_num_threads(self.threads)
        precision.set_products(self.device, self.config.precision)
        if not self.config.network:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(torch.from_numpy(self.drawn))
            yield
            self.drawn[:] = torch.get_rng_state().numpy()

    @contextlib.contextmanager
    def learning(self) -> Iterator[None]:
        """The network as it learns: a user's own may have layers that only then draw or count."""
        self.network.train(bool(self.config.network))
        yield
        self.network.eval()

    @torch.no_grad()
    def follow(self, slow: nn.Module, share: float | torch.Tensor) -> None:
        """Moves a network this share of the way to the learning one, running statistics too."""
        old_ones: list[torch.Tensor] = list(slow.parameters())
        new_ones: list[torch.Tensor] = list(self.network.parameters())
        if isinstance(share, torch.Tensor):  # lerp would read it, and a graph reads nothing
            way = torch._foreach_sub(new_ones, old_ones)
            torch._foreach_mul_(way, share)
            torch._foreach_add_(old_ones, way)
        else:
            torch._foreach_lerp_(old_ones, new_ones, share)
        for old, new in zip(slow.buffers(), self.network.buffers(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    def average_share(self) -> float:
        """How far the average follows: a young one quickly, or it would remember the untrained."""
        return 1.0 - min(self.config.average, self.updates / (self.updates + 10.0))

    @torch.no_grad()
    def note_update(self, loss: torch.Tensor, errors: torch.Tensor, norm: torch.Tensor) -> None:
        """An update's figures stay tensors: reading one would wait until it is computed."""
        one = torch.ones_like(loss)
        self.learned += torch.stack((loss * len(errors), errors.abs().sum(), norm, one))

    def settle_figures(self) -> None:
        self.sums[[LOSS, ERROR, NORM, LEARNED]] += self.learned.cpu().numpy()
        self.learned.zero_()

    def check_network(self, returns: np.ndarray) -> None:
        with torch.no_grad():
            sums = [float(part.sum()) for part in self.network.parameters()]
        self.check_numbers(np.array(sums), returns)

    # ------------------------------------------------------------- checkpoints

    @property
    def parameters(self) -> Any:
        if self.architecture is None:
            return self.average
        return packed(self.architecture, "", self.average.state_dict())[""]

    def named_parameters(self) -> dict[str, np.ndarray]:
        """What plays, by its module's own names."""
        return {name: part.cpu().numpy() for name, part in self.average.state_dict().items()}

    def _networks(self) -> dict[str, Mapping[str, torch.Tensor]]:
        """Everything shaped like the network: by name, its tensors by theirs."""
        raise NotImplementedError

    def _arrays(self) -> dict[str, np.ndarray]:
        """Everything else but the games, as the fused engine names it."""
        raise NotImplementedError

    def moments(self, optimiser: Any, key: str) -> dict[str, torch.Tensor]:
        return {name: optimiser.state[part][key] for name, part in self.network.named_parameters()}

    def networks_state(self, *only: str) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for name, tensors in self._networks().items():
            if not only or name in only:
                found |= packed(self.architecture, name, tensors)
        return found

    def put_networks(self, state: dict[str, np.ndarray], *only: str) -> None:
        for name, tensors in self._networks().items():
            if not only or name in only:
                unpack(self.architecture, name, state, tensors)

    def own_arrays(self) -> dict[str, np.ndarray]:
        return self._arrays() | ({"drawn": self.drawn} if self.config.network else {})

    def policy_state(self) -> dict[str, np.ndarray]:
        """What it takes to play."""
        return self.networks_state(*PLAYS) | {"scale": self.scale.copy()}

    def set_policy(self, state: dict[str, np.ndarray]) -> None:
        put_named({"scale": self.scale}, state)
        self.put_networks(state, *PLAYS)

    @property
    def _prefix(self) -> str:
        return "" if self.environment.compiled else "batch."

    @property
    def anew(self) -> str:
        return self.batch.anew

    def games_state(self) -> dict[str, np.ndarray]:
        return {self._prefix + name: array for name, array in self.batch.get_state().items()}

    def put_games(self, state: dict[str, np.ndarray], others: Container[str]) -> None:
        """The games out of a state whose `others` are the learner's own."""
        prefix = self._prefix
        self.batch.set_state(
            {
                name.removeprefix(prefix): array
                for name, array in state.items()
                if name.startswith(prefix)
                and name not in others
                and name.partition(".")[0] not in self._networks()
            }
        )


def check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        built = "PyTorch sees no GPU here" if torch.version.cuda else "this PyTorch is without CUDA"
        raise UserError(f"--device cuda: {built}; --device cpu works")
