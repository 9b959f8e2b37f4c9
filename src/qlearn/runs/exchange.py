"""Networks from elsewhere as runs, and what a run has learned as files for others."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qlearn.algorithms import registry
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.greedy import TOGETHER
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.nets import mlp
from qlearn.nets.layout import OUT, Architecture
from qlearn.runs.config import RunConfig
from qlearn.runs.driver import Training
from qlearn.runs.files import writable, write_bytes
from qlearn.runs.folder import RunFolder, with_view
from qlearn.runs.run import Run

if TYPE_CHECKING:
    from qlearn.runs.pth import DenseNetwork

ALGO, ENGINE = "dqn", "fused"
TABLE = "q"  # the name of a table's entries in a CSV file


# ------------------------------------------------------------------------------------- import


def import_run(
    file: str | Path,
    env: str,
    options: dict[str, Any] | None = None,
    *,
    activation: str = "relu",
    network: str | None = None,
    out: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Run:
    """A run of DQN that has learned nothing but what a file's weights know.

    It takes what the environment shows as it is, and rewards too, as the classic trainer does.
    Options that are not given are chosen by what the weights fit. `network` is the name of one in
    a file of several.
    """
    started, say = time.perf_counter(), say or (lambda _: None)
    environment = find(env, options or {})
    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    from qlearn.runs.pth import read_network

    read = read_network(path, network)
    if read.note:
        say(read.note)
    environment, options = _fitting(read, environment, env, options or {}, say)
    architecture = read.architecture(activation)
    settings = {
        "hidden": "x".join(map(str, architecture.hidden)),
        "activation": activation,
        "layer_norm": architecture.layer_norm,
        "dueling": False,
        "scale_inputs": False,
        "reward_scale": 1.0,
        "steps": 1,  # the least budget; none of it is used
    }
    config = registry.configure(ALGO, settings, environment, ENGINE)
    learner = registry.make_learner(ALGO, ENGINE, environment, config, 0)
    _give(learner, read.flat(architecture))
    record = {
        "env": environment.target or env,
        "env_name": environment.name,
        "env_options": with_view(environment, options),
        "algo": ALGO,
        "engine": ENGINE,
        "device": "cpu",
        "threads": 1,
        "seed": 0,
        "init": None,
        "until": None,
        "log": [],
        "config": asdict(config),
        "run_config": asdict(RunConfig()),
        "imported": str(path),
    }
    folder = RunFolder.create(Path(out) if out else None, f"{_slug(path.stem)}-imported", record)
    learner.config = replace(config, steps=0)  # a training of no steps: judged and saved as any
    return Training(folder, learner, started).run()


def _fitting(
    network: DenseNetwork,
    environment: Any,
    env: str,
    options: dict[str, Any],
    say: Callable[[str], None],
) -> tuple[Any, dict[str, Any]]:
    """The environment and its options under which the network fits; what was asked for stays."""
    wrong = _misfit(network, environment)
    if not wrong:
        return environment, options
    for change in _changes(environment, options):
        changed = find(env, options | change)
        if _misfit(network, changed):
            continue
        words = " ".join(f"env.{key}={value}" for key, value in change.items())
        if change.keys() & options:
            wrong += f"; --set {words} would"
            break
        say(f"{network.file.name} ({network}) fits {environment.name} with {words}")
        return changed, options | change
    raise UserError(f"{network.file} ({network}) does not fit: {wrong}")


def _misfit(network: DenseNetwork, environment: Any) -> str:
    return network.misfit(environment.name, seeing.inputs_of(environment), environment.actions)


def _changes(environment: Any, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Every other choice of words that the environment leaves: first those that nobody made."""
    choices = getattr(environment, "choices", {})
    changes = [
        {
            key: word
            for key, word in zip(choices, words, strict=True)
            if word != environment.options[key]
        }
        for words in product(*choices.values())
    ]
    return sorted(changes, key=lambda change: (len(change.keys() & options), len(change)))


def _give(learner: Any, params: np.ndarray) -> None:
    """The same parameters wherever the learner has some."""
    state = learner.get_state()
    learner.set_state(state | dict.fromkeys(("params", "average", "target"), params))


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name).strip("-").lower() or "network"


# ------------------------------------------------------------------------------------- export


def export_csv(run: Run, file: str | Path, best: bool = False) -> dict[str, Any]:
    """Every number of a table or a network, `name,index...,value`, so that it reads back as it was.

    A perceptron's tensors are named as `qlearn.nets.layout` has them, those of other networks as
    their module does, and `scale` is what is taken from each input (row 0), and what it is then
    multiplied by (row 1).
    """
    path, learner = _target(file), run.learner(best)
    arrays = _arrays_of(learner)
    write_bytes(path, "".join(_lines(arrays)).encode())
    found = _read_csv(path, arrays)
    if _perceptron(learner):
        observations = _observations(learner)
        values = (
            _values(learner, _flat(part), part.get("scale", learner.scale), observations)
            for part in (arrays, found)
        )
    else:
        values = (_flat(part) for part in (arrays, found))
    return {"file": str(path), "max_difference": _difference(*values)}


def export_torch(run: Run, file: str | Path, best: bool = False) -> dict[str, Any]:
    """A state dict for an nn.Sequential of Linear, LayerNorm where there is one, activation, ...

    The scaling of inputs is part of its first Linear, a dueling head is the Linear that it comes
    to: it takes what the environment shows (of states, one-hot rows). Other networks than
    perceptrons are written as their module has them, and take inputs that are scaled already.
    """
    path, learner = _target(file), run.learner(best)
    if not hasattr(learner, "architecture"):
        raise UserError(f"{run.path.name} learned a table, no network; --csv FILE writes it")
    from qlearn.nets.module import Network, put_flat, torch

    if not _perceptron(learner):
        return _export_module(learner, path)
    architecture, flat = _plain(learner)
    layers = Network(architecture).layers
    put_flat(architecture, flat, layers.parameters())
    written = io.BytesIO()
    torch.save(layers.state_dict(), written)
    write_bytes(path, written.getvalue())
    observations = _observations(learner)
    found = Network(architecture).layers
    found.load_state_dict(torch.load(path, weights_only=True))
    inputs = torch.from_numpy(_inputs(learner, observations))
    with torch.no_grad():
        theirs = found(inputs).numpy()
    ours = _values(learner, learner.parameters, learner.scale, observations)
    return {"file": str(path), "max_difference": _difference(ours, theirs)}


def _export_module(learner: Any, path: Path) -> dict[str, Any]:
    from qlearn.nets.module import torch

    module, observations = learner.average, _observations(learner)
    written = io.BytesIO()
    torch.save({name: part.cpu() for name, part in module.state_dict().items()}, written)
    write_bytes(path, written.getvalue())
    found = copy.deepcopy(module)
    found.load_state_dict(torch.load(path, weights_only=True))
    ours, theirs = (learner.judge(each, observations, learner.scale) for each in (module, found))
    return {"file": str(path), "max_difference": _difference(ours, theirs)}


def _perceptron(learner: Any) -> bool:
    """Whether it learns one, whose numbers lie flat; tables and other networks have names."""
    return getattr(learner, "architecture", None) is not None


def _target(file: str | Path) -> Path:
    path = Path(file).expanduser().absolute()
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    return writable(path)


def _arrays_of(learner: Any) -> dict[str, np.ndarray]:
    """What plays, by names, in a fixed order."""
    if not hasattr(learner, "architecture"):
        return {TABLE: learner.values()}
    if _perceptron(learner):
        arrays = learner.architecture.views(learner.parameters)
    else:
        arrays = learner.named_parameters()
    return arrays if learner.environment.discrete else {**arrays, "scale": learner.scale}


def _lines(arrays: dict[str, np.ndarray]) -> Iterator[str]:
    for name, array in arrays.items():
        for index in np.ndindex(array.shape):
            # NumPy's own text of a number is the shortest that only this number has.
            yield f"{name},{','.join(map(str, index))},{array[index]!s}\n"


def _read_csv(path: Path, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    missing = {name: np.nan if array.dtype.kind == "f" else -1 for name, array in like.items()}
    found = {name: np.full_like(array, missing[name]) for name, array in like.items()}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, *index, value = line.rstrip("\n").split(",")
            place = tuple(int(number) for number in index if number)
            found[name][place] = found[name].dtype.type(value)
    return found


def _flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([a.ravel() for name, a in arrays.items() if name != "scale"])


def _observations(learner: Any) -> np.ndarray:
    """Random ones, spread as far as those that were seen."""
    environment, generator = learner.environment, np.random.default_rng(0)
    shape = (TOGETHER, *environment.observation_shape)
    if environment.discrete:
        numbers = generator.integers(0, environment.observation, shape)
    else:
        numbers = generator.standard_normal(shape) / learner.scale[1] + learner.scale[0]
        if np.dtype(environment.observation_dtype).kind != "f":
            numbers = numbers.round().clip(0, 127)
    return numbers.astype(environment.observation_dtype)


def _inputs(learner: Any, observations: np.ndarray) -> np.ndarray:
    """What an exported network takes for them."""
    if learner.environment.discrete:
        return np.eye(learner.scale.shape[1], dtype=np.float32)[observations[:, 0].astype(np.int64)]
    return observations.astype(np.float32)


def _values(
    learner: Any, params: np.ndarray, scale: np.ndarray, observations: np.ndarray
) -> np.ndarray:
    """The action values that the run's own policy would choose by."""
    player = learner.player
    player.take(params)
    player.actions(observations, scale)
    rows, actions = len(observations), learner.environment.actions
    at = player.net.layers[-1][OUT]
    return player.net.work[at : at + rows * actions].reshape(rows, actions).copy()


def _plain(learner: Any) -> tuple[Architecture, np.ndarray]:
    """The policy's network without what an ordinary one lacks: dueling composed, scaling folded."""
    architecture, params = learner.architecture, learner.parameters
    if architecture.dueling:
        room = architecture.room - architecture.parameters
        composed = mlp.net_of(architecture, 1, params).params[architecture.parameters :]
        architecture = replace(architecture, dueling=False)
        params = np.concatenate([params[: architecture.parameters - room], composed])
    flat = params.astype(np.float32)
    if not learner.environment.discrete:
        middle, factor = learner.scale.astype(np.float64)
        weight, bias = list(architecture.views(flat).values())[:2]
        weight = weight.T if architecture.hidden else weight  # (outputs, inputs)
        scaled = weight * factor
        bias -= (scaled @ middle).astype(np.float32)
        weight[...] = scaled
    return architecture, flat


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.max(np.abs(ours - theirs), initial=0.0))
