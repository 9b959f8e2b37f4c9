"""What a GPU would replay as graphs, run on the processor: the readable numbers, and nothing read."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.algorithms import registry
from qlearn.algorithms.pqn.config import PqnConfig
from qlearn.envs.registry import find
from qlearn.runs.run import load
from qlearn.runs.training import train

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from qlearn.algorithms.dqn.graphed import GraphedDqn  # noqa: E402
from qlearn.algorithms.dqn.readable import TorchDqn  # noqa: E402
from qlearn.algorithms.network.graphs import Replayed  # noqa: E402
from qlearn.algorithms.pqn.graphed import GraphedPqn, torch_learner  # noqa: E402
from qlearn.algorithms.pqn.readable import TorchPqn  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

PQN = {"envs": 8, "rollout": 8, "epochs": 2, "minibatch": 32, "hidden": "16", "steps": 10_000,
       "threads": 1}  # fmt: skip
GAMES = {
    "cartpole": ("cartpole", {"max_steps": 13}, {}),  # the pole falls, and time runs out
    "grid": ("grid", {"max_steps": 9}, {}),  # states, one input each
    "conv": ("snake", {"observation": "board", "size": 4, "max_steps": 9, "distance_to_border": 1},
             {"conv": "4x3x1", "scale_inputs": True}),
    "radam": ("cartpole", {"max_steps": 13}, {"optimiser": "radam", "average": 0.0, "clip": 0.0}),
    "cut": ("cartpole", {"max_steps": 7}, {"cut": True, "margin": 0.02, "epsilon": 0.4}),
    "discount": ("cartpole", {"max_steps": 7}, {"discount": "0.5->0.9@600"}),
    "python": ("gym:CartPole-v1", {"native": False, "run": "serial"}, {}),
}  # fmt: skip


def twins(game, seed=3, **more):
    env, options, settings = GAMES[game]
    environment = find(env, options)
    config = registry.configure("pqn", {**PQN, **settings, **more}, environment, "torch")
    return tuple(kind(environment, config, seed) for kind in (TorchPqn, GraphedPqn))


def check(found, expected, rtol=1e-4, atol=1e-5):
    assert set(found) == set(expected)
    for name in expected:
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(found[name], expected[name], rtol, atol, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("game", GAMES)
def test_the_numbers_of_the_readable_one(game):
    readable, static = twins(game)
    ends = np.zeros(2, int)
    for steps in (64, 192, 640):
        np.testing.assert_allclose(static.advance(steps), readable.advance(steps))
        check(static.get_state(), readable.get_state())
        figures = readable.figures()
        for name, value in static.figures().items():
            assert value == pytest.approx(figures[name], rel=1e-3, abs=1e-5), name
        ends += readable.rollout.terminated.sum(), readable.rollout.truncated.sum()
        if game != "python":  # from common numbers again: rounding must not add up to a choice
            static.set_state(readable.get_state())
    assert ends[0] > 0
    assert ends[1] > 0 or game == "python"
    assert readable.updates == static.updates > 0


def test_a_checkpoint_goes_on_to_the_same_bits():
    _, first = twins("conv")
    _, second = twins("conv", seed=9)
    first.advance(256)
    second.set_state(first.get_state())
    first.advance(512)
    second.advance(512)
    ours, theirs = first.get_state(), second.get_state()
    for name in ours:
        np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)


# Reading a number waits for the device, and what depends on one cannot be replayed.
WAITING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero",
           "unique", "bincount", "repeat_interleave", "index by a mask", "to a device")  # fmt: skip


class Watched(TorchDispatchMode):
    """Every operator that is called by its name."""

    def __init__(self):
        super().__init__()
        self.called = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function.__name__.partition(".")[0]
        if name.startswith("index") and isinstance(args[1], list | tuple):
            masks = [part for part in args[1] if part is not None and part.dtype == torch.bool]
            name = "index by a mask" if masks else name
        if name == "_to_copy" and kwargs.get("device") is not None:
            name = "to a device"
        self.called.append(name)
        return function(*args, **kwargs)


def graphs_of(learner):
    """What is replayed, by its name; pieces that run between two graphs are not among them."""
    return {
        name: value for name, value in vars(learner).items() if isinstance(value, Replayed)
    }  # fmt: skip


def places(learner):
    """Where the tensors lie that a graph would know by their addresses."""
    found = {name: part for name, part in vars(learner).items() if isinstance(part, torch.Tensor)}
    found |= {f"there.{k}": part for k, part in enumerate(learner.there)}
    games = vars(learner.games)
    found |= {f"games.{name}": p for name, p in games.items() if isinstance(p, torch.Tensor)}
    for module in ("network", "average"):
        for name, part in getattr(learner, module).state_dict().items():
            found[f"{module}.{name}"] = part
    for k, kept in enumerate(learner.optimiser.state.values()):
        found |= {f"{k}.{name}": p for name, p in kept.items() if isinstance(p, torch.Tensor)}
    return {name: part.data_ptr() for name, part in found.items()}


@pytest.mark.parametrize("game", ["cartpole", "grid", "conv"])
def test_nothing_is_read_and_nothing_moves_inside_a_graph(game):
    _, learner = twins(game)
    before = places(learner)
    learner.advance(64)
    functions = {name: graph.function for name, graph in graphs_of(learner).items()}
    assert set(functions) == {
        "step",
        "begin",
        "bootstrap",
        "targets",
        "mix",
        "learn_rows",
        "measure",
    }
    learner.begin()
    for name, function in functions.items():
        with Watched() as watched:
            function()
        assert not {*watched.called} & {*WAITING}, name
        assert watched.called or name == "mix"
        once = watched.called
        if name == "bootstrap":
            continue
        if name == "step":
            learner.begin()
        with Watched() as watched:
            function()
        assert watched.called == once, name  # the same operations at every call
    learner.advance(256)
    state = learner.get_state()
    learner.set_state(state)
    learner.advance(320)
    assert places(learner) == before
    assert len(before) > 40


def test_waiting_is_noticed():
    waiting = (
        lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.sum()), lambda x: x.to("meta"),
        lambda x: x.masked_select(x > 0), lambda x: x.nonzero(), lambda x: x.mul_(x.sum().item()),
    )  # fmt: skip
    for wait in waiting:
        with Watched() as watched:
            wait(torch.ones(3))
        assert {*watched.called} & {*WAITING}
    with Watched() as watched:
        torch.ones(3)[torch.zeros(2, dtype=torch.int64)].mul_(2.0)
    assert not {*watched.called} & {*WAITING}


def test_on_the_processor_the_readable_one_learns():
    environment = find("cartpole")
    config = PqnConfig(envs=4, rollout=8, minibatch=32, threads=1)
    assert type(torch_learner(environment, config, 0)) is TorchPqn


def test_elsewhere_than_on_a_gpu_a_replay_is_the_call():
    calls = []
    replayed = Replayed(lambda: calls.append(1), "cpu")
    for _ in range(7):
        replayed()
    assert len(calls) == 7
    assert replayed.graph is None


DQN = {"envs": 4, "start": 20, "every": "8", "batch": 16, "replay": 500, "hidden": "16",
       "steps": 10_000, "threads": 1}  # fmt: skip
VARIANTS = {
    "defaults": {},
    "prioritized": {"prioritized": True, "dueling": True},
    "hard target": {"tau": 1.0, "target_every": 7},
    "sgd": {"optimiser": "SGD"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_dqn_computes_the_numbers_of_the_readable_one(variant):
    environment = find("cartpole")
    config = registry.configure("dqn", {**DQN, **VARIANTS[variant]}, environment, "torch")
    readable, static = (kind(environment, config, 1) for kind in (TorchDqn, GraphedDqn))
    before = {name: part.data_ptr() for name, part in static.drawn_there.items()}
    for steps in (40, 160):
        np.testing.assert_array_equal(static.advance(steps), readable.advance(steps))
        check(static.get_state(), readable.get_state())
    assert readable.updates == static.updates > 50
    assert {name: part.data_ptr() for name, part in static.drawn_there.items()} == before
    for graph in graphs_of(static).values():
        with Watched() as watched:
            graph.function()
        assert watched.called
        assert not {*watched.called} & {*WAITING}


TURNED = {"epsilon": 0.5, "lr": 0.01, "discount": 0.5}
SIZED = {"pqn": {"minibatch": 16, "epochs": 1}, "dqn": {"batch": 24, "tau": 0.5, "updates": 1.0}}


@pytest.mark.parametrize("algo", SIZED)
def test_knobs_turned_reach_what_is_captured(algo):
    changes = {**TURNED, **SIZED[algo]}
    if algo == "pqn":
        readable, static = twins("cartpole")
    else:
        config = registry.configure("dqn", DQN, find("cartpole"), "torch")
        readable, static = (kind(find("cartpole"), config, 1) for kind in (TorchDqn, GraphedDqn))
    graphs = graphs_of(static).values()
    for one in (readable, static):
        one.advance(128)
    static.set_state(readable.get_state())
    for graph in graphs:
        graph.calls, graph.graph = 3, "captured before"
    for one in (readable, static):
        one.retune(changes)
    stale = [name for name, graph in graphs_of(static).items() if graph.graph]
    assert not {"targets", "learn_rows", "learn_there", "follow_there"} & {*stale}
    np.testing.assert_allclose(static.advance(192), readable.advance(192))
    check(static.get_state(), readable.get_state())
    assert static.updates == readable.updates


@needs_gpu
@pytest.mark.parametrize("settings", [{}, {"prioritized": True}, {"optimiser": "SGD"}])
def test_a_gpu_replays_dqn(settings):
    config = registry.configure(
        "dqn", {**DQN, **settings, "device": "cuda"}, find("cartpole"), "torch"
    )
    learner = GraphedDqn(find("cartpole"), config, 0)
    learner.advance(400)
    state = learner.get_state()
    assert learner.updates > 100
    assert np.isfinite(state["params"]).all()
    learner.set_state(state)
    learner.advance(800)


@needs_gpu
@pytest.mark.parametrize("settings", [{}, {"conv": "8x3x1"}, {"precision": "bf16"}])
def test_a_gpu_replays_and_learns(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path))
    run = train(
        "snake", algo="pqn", engine="torch", device="cuda", envs=256, rollout=16, minibatch=1024,
        hidden="64", epochs=2, steps=200_000, eval_episodes=20, **{"env.size": 5, "env.observation": "board"}, **settings,
    )  # fmt: skip
    assert run.report["device"] == "cuda"
    assert load(run.path).evaluate(20).report() == run.evaluate(20).report()
    learner = run.learner()
    learner.advance(learner.env_steps + 10 * 4096)
    assert all(graph.graph is not None for graph in graphs_of(learner).values())


@needs_gpu
@pytest.mark.parametrize("game", GAMES)
def test_a_gpu_computes_the_numbers_of_the_processor(game):
    """Chance aside: the learning of one rollout from a common state."""
    readable, _ = twins(game)
    _, there = twins(game, device="cuda")
    readable.advance(64)
    there.set_state({**there.get_state(), **readable.get_state()})
    there.send()
    for _ in range(6):
        readable.lambda_returns()
        for name, part in zip(readable.rollout._fields, readable.rollout, strict=True):
            getattr(there.there, name).copy_(torch.from_numpy(part))
        there.targets()
        np.testing.assert_allclose(
            there.there.targets.cpu().numpy(), readable.rollout.targets, rtol=1e-4, atol=1e-5
        )
        rows = torch.arange(readable.config.minibatch)
        flat = [
            torch.from_numpy(p.reshape(-1))
            for p in (readable.rollout.actions, readable.rollout.targets, readable.rollout.valid)
        ]
        inputs = torch.from_numpy(readable.rollout.inputs[:-1].reshape(len(readable.order), -1))
        readable.update(inputs[rows], *(part[rows] for part in flat))
        there.rows_there.copy_(rows)
        there.learn_rows()
    for name, part in readable.network.state_dict().items():
        found = there.network.state_dict()[name].cpu().numpy()
        np.testing.assert_allclose(found, part.numpy(), rtol=1e-3, atol=1e-4)
