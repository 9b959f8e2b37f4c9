"""The settings that every algorithm with a network has."""

from __future__ import annotations

from dataclasses import dataclass

from qlearn.errors import UserError, closest
from qlearn.nets.layout import Convolution, convolutions_of, widths_of

DEVICES = ("cpu", "cuda")
MOST_THREADS = 4096
MOST_ROWS = 2**31 - 1  # of copies, of a batch: more have no index, nor memory
PRECISIONS = ("float32", "tf32", "bf16")


@dataclass(frozen=True)
class NetworkConfig:
    lr: float | str = "1e-3->1e-5"
    """Learning rate: a number or a schedule such as 1e-3->0."""
    epsilon: float | str = "1->0.05@0.3"
    """Chance of a random action: a number or a schedule."""
    explorers: float = 0.25
    """Share that never settles, so that failures are not forgotten after success."""
    restless: float = 0.3
    """The least epsilon of those."""
    reward_scale: float = 0.1
    """Rewards are multiplied by this before they are learned; scores are not."""
    hidden: str = "64x64"
    """Widths of the hidden layers."""
    activation: str = "relu"
    """relu, selu or tanh."""
    layer_norm: bool = True
    """LayerNorm after each hidden layer's sums; without it PQN did not learn CartPole."""
    conv: str = ""
    """Convolutions before the hidden layers, channels x kernel x stride: 32x3x1,64x3x1 (torch)."""
    network: str = ""
    """Your own network instead, FILE.py:Name, a torch.nn.Module or what makes one (torch)."""
    scale_inputs: bool = True
    """Centre each input and divide it by its spread so far."""
    envs: int = 32
    """Copies of the environment."""
    optimiser: str = "adam"
    """adam or radam; with DQN's torch engine any of torch.optim by its name."""
    clip: float = 10.0
    """The most that the norm of a gradient may be; 0: any."""
    average: float = 0.995
    """Weight of the past in the average of the parameters, which is what plays; 0: the newest."""
    overtime: float = 1.0
    """Training episodes last up to this many times the environment's own limit: what happens after
    it is then learned too. Only for environments that compile; evaluations keep the limit."""
    steps: int = 500_000
    """Environment steps of the whole training."""
    episodes: int = 0
    """Episodes of the whole training; 0 leaves the end to `steps`."""
    threads: int = 0
    """Threads that share the work; 0: as many as are fastest. On the fused engine the numbers learned
    are the same for any."""
    device: str = "cpu"
    """cpu or cuda, of the torch engine."""
    precision: str = "float32"
    """float32, tf32 or bf16: how the torch engine multiplies; parameters stay float32."""
    compile: bool = False
    """torch.compile of the torch engine's update."""
    init: str = ""
    """Untrained parameters: of another seed, or out of a checkpoint file."""
    until_every: int = 0
    """Steps between greedy evaluations under --until; 0: a fiftieth of the budget."""

    @property
    def widths(self) -> tuple[int, ...]:
        return widths_of(self.hidden)

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        return convolutions_of(self.conv)

    def check_network(self) -> None:
        self.at_least(1, "envs", "steps")
        self.at_least(0, "episodes", "clip", "until_every", "threads")
        self.at_most(MOST_THREADS, "threads")
        self.at_most(MOST_ROWS, "envs")
        self.shares("explorers", "restless")
        self.one_of(DEVICES, "device")
        self.one_of(PRECISIONS, "precision")
        if self.conv and self.network:
            raise UserError("conv builds a network, and network is one: leave one of them out")
        if not 0.0 <= self.average < 1.0:
            raise UserError(f"average must be at least 0 and below 1, not {self.average:g}")
        if not 1.0 <= self.overtime < 1e6:
            raise UserError(f"overtime must be at least 1, not {self.overtime:g}")
        if not 0.0 < self.reward_scale < 1e6:
            raise UserError(
                f"reward_scale must be above 0 and below a million, not {self.reward_scale:g}"
            )

    def at_least(self, least: int, *names: str) -> None:
        for name in names:
            if not least <= getattr(self, name) < float("inf"):
                raise UserError(f"{name} must be at least {least}, not {getattr(self, name):g}")

    def at_most(self, most: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value > most:
                raise UserError(f"{name} must be at most {most:,}, not {str(value)[:24]}")

    def one_of(self, known: tuple[str, ...], name: str) -> None:
        if getattr(self, name) not in known:
            word = str(getattr(self, name))
            raise UserError(f"there is no {name} '{word}'{closest(word, known)}")

    def shares(self, *names: str) -> None:
        for name in names:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"{name} must be between 0 and 1, not {getattr(self, name):g}")
