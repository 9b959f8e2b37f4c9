"""Convolutions and users' own networks: built right, checked in words, saved whole, played alike."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from qlearn.algorithms import registry
from qlearn.algorithms.network import seeing
from qlearn.algorithms.network.networks import network_of
from qlearn.algorithms.network.torch_player import TorchPlayer
from qlearn.cli.main import main
from qlearn.envs.registry import find
from qlearn.envs.spec import Planes
from qlearn.errors import UserError
from qlearn.nets.layout import Convolution, convolutions_of
from qlearn.runs.exchange import export_csv, export_torch
from qlearn.runs.run import load
from qlearn.runs.training import train

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from qlearn.nets.module import as_picture  # noqa: E402

PICTURE = {"env.size": 5, "env.observation": "board"}
BOARD = {"observation": "board", "size": 5, "max_steps": 30}
CONV = {"conv": "4x3x1,6x3x1", "hidden": "16"}
SMALL = {
    "pqn": {"envs": 4, "rollout": 8, "epochs": 1, "minibatch": 16, "steps": 96, "threads": 1},
    "dqn": {
        "envs": 4, "start": 20, "every": "8", "batch": 8, "replay": 500, "steps": 96, "threads": 1,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


def learner(algo="pqn", env="snake", options=BOARD, seed=0, **settings):
    environment = find(env, options)
    config = registry.configure(algo, {**SMALL[algo], **settings}, environment, "torch")
    return registry.make_learner(algo, "torch", environment, config, seed)


def assert_same(found, expected, but=()):
    assert set(found) == set(expected)
    for name in set(found) - set(but):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


class Own(nn.Module):
    """Batches are normalised, units dropped: it counts and draws while it learns."""

    def __init__(self, shape, actions):
        super().__init__()
        inputs = int(np.prod(shape))
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(12, actions)
        self.shape = tuple(shape)

    def forward(self, seen):
        assert seen.shape[1:] == self.shape
        return self.head(self.layers(seen))


FILE = """
from torch import nn

def Net(shape, actions):
    return nn.Sequential(nn.Flatten(), nn.Linear(75, 8), nn.Tanh(), nn.Linear(8, actions))
"""


# ------------------------------------------------------------------------------- pictures


def test_settings_of_convolutions():
    assert convolutions_of("") == ()
    assert convolutions_of("32x8x4,64x3") == (Convolution(32, 8, 4), Convolution(64, 3, 1))
    for wrong in ("32", "32x3x1x1", "axb", "32x0x1", "32x3x1,,8x3"):
        with pytest.raises(UserError, match="channels x kernel x stride"):
            convolutions_of(wrong)


def test_shapes_of_convolutions():
    network, architecture = network_of(
        find("snake", {"observation": "board"}), learner(conv="4x3,8x4x2").config, 0
    )
    assert architecture is None
    assert network.convolutions(torch.zeros(1, 3, 10, 10)).shape == (1, 8, 4, 4)
    assert network(torch.zeros(2, 3, 10, 10)).shape == (2, 3)
    for layer in (Convolution(2, kernel, stride) for kernel in (1, 2, 3, 4) for stride in (1, 2)):
        module = nn.Conv2d(1, 2, layer.kernel, layer.stride, layer.padding)
        found = module(torch.zeros(1, 1, 7, 8)).shape[2:]
        assert found == (layer.side(7), layer.side(8))
        assert found == (7, 8) or layer.stride > 1 or layer.kernel % 2 == 0
    with pytest.raises(UserError, match="kernel of 8 does not fit"):
        learner(conv="4x8x4")


def test_a_picture_is_read_in_the_order_it_lies_in():
    picture = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # channels, rows, columns
    for planes, lying in (
        (Planes(2, 3, 4), picture),
        (Planes(2, 3, 4, channels_last=True), picture.transpose(1, 2, 0)),
    ):
        row = torch.from_numpy(np.ascontiguousarray(lying).reshape(1, -1))
        np.testing.assert_array_equal(as_picture(row, planes)[0].numpy(), picture)
        places = seeing.by_channels(row[0].numpy(), planes)
        assert [set(column) for column in places.T] == [set(part.ravel()) for part in picture]


@pytest.mark.parametrize(
    ("shape", "planes"),
    [
        ((6, 5, 3), Planes(3, 6, 5, channels_last=True)),
        ((2, 6, 5), Planes(2, 6, 5)),
        ((3, 3, 3), Planes(3, 3, 3, channels_last=True)),
        ((6, 5), None),
    ],
)
def test_pictures_of_gymnasium(shape, planes):
    import gymnasium

    class Camera(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), {}

        def step(self, action):
            return self.reset()[0], 1.0, False, False, {}

    name = f"qlearn-tests/Camera{'x'.join(map(str, shape))}-v0"
    gymnasium.register(name, Camera, max_episode_steps=5)
    environment = find(f"gym:{name}", {"run": "serial"})
    assert environment.planes == planes
    if planes:
        with environment.batch(1) as games:
            seen = torch.from_numpy(games.reset()[0].copy())
        lying = np.arange(np.prod(shape)).reshape(shape)
        expected = lying.transpose(2, 0, 1) if planes.channels_last else lying
        np.testing.assert_array_equal(as_picture(seen, planes)[0].numpy(), expected)
        taught = learner("dqn", f"gym:{name}", {"run": "serial"}, conv="2x2x1", hidden="8")
        taught.advance(48)
        assert taught.updates > 0
        assert taught.evaluate(2, 0, 20).scores.tolist() == [5.0, 5.0]
        assert len(np.unique(taught.scale[0])) == planes.channels


def test_environments_say_what_is_a_picture():
    assert find("snake", {"observation": "board"}).planes == Planes(3, 10, 10)
    assert find("snake", {"observation": "flat", "size": 7}).planes == Planes(1, 7, 7)
    assert find("snake", {"observation": "features"}).planes is None
    with pytest.raises(UserError, match=r"cartpole shows none.*planes"):
        learner(env="cartpole", options={}, conv="4x3x1")


def test_one_scale_a_channel():
    one = learner(**CONV, scale_inputs=True)
    one.advance(96)
    seen = one.scale_books[0].reshape(3, -1)
    np.testing.assert_allclose(one.scale[0].reshape(3, -1), seen.mean(1, keepdims=True) + 0 * seen)
    spread = 1.0 / one.scale[1].reshape(3, -1)
    squares = one.scale_books[1].reshape(3, -1) / one.counts[4]
    whole = np.sqrt((squares + seen**2).mean(1) - seen.mean(1) ** 2)  # E x^2 - (E x)^2
    np.testing.assert_allclose(spread, whole[:, None] + 0 * spread, rtol=1e-5)


def test_perceptrons_look_at_numbers_one_by_one():
    one = learner(hidden="8", scale_inputs=True)
    one.advance(96)
    assert len(np.unique(one.scale[0])) > 3


# ----------------------------------------------------------------- learning and checkpoints


@pytest.mark.parametrize("algo", SMALL)
@pytest.mark.parametrize("settings", [CONV, {"network": Own}], ids=["conv", "own"])
def test_a_checkpoint_goes_on_to_the_same_bits(algo, settings):
    first, second = learner(algo, **settings), learner(algo, seed=1, **settings)
    first.advance(48)
    updates = first.updates
    untrained = learner(algo, **settings).get_state()
    state = first.get_state()
    changed = [name for name in state if not np.array_equal(state[name], untrained[name])]
    assert {name.partition(".")[0] for name in changed} >= {"params", "average", "first_moment"}
    second.set_state(state)
    assert_same(second.get_state(), state)
    np.testing.assert_array_equal(first.advance(96), second.advance(96))
    assert_same(second.get_state(), first.get_state())
    if "network" in settings:
        assert state["params.layers.2.num_batches_tracked"] == updates > 0
        assert not np.array_equal(
            state["average.layers.2.running_mean"], untrained["average.layers.2.running_mean"]
        )
        assert "drawn" in changed


@pytest.mark.parametrize("algo", SMALL)
def test_the_same_seed_gives_the_same_network(algo):
    for settings in (CONV, {"network": Own}):
        one, two, other = (learner(algo, seed=s, **settings).get_state() for s in (4, 4, 5))
        third = learner(algo, seed=5, init="4", **settings).get_state()
        weight = "params.head.weight" if "network" in settings else "params.convolutions.0.weight"
        assert_same(two, one)
        assert not np.array_equal(other[weight], one[weight])
        np.testing.assert_array_equal(third[weight], one[weight])


def test_making_a_network_leaves_the_users_chance_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = learner(network=Own)
    one.advance(48)
    assert torch.equal(torch.rand(3), expected)


def test_layers_that_differ_while_learning_do_not_while_playing():
    one = learner(network=Own)
    one.advance(48)
    assert not one.network.training
    seen = np.random.default_rng(0).standard_normal((5, 75)).astype(np.float32)
    values = one.judge(one.average, seen, one.scale)
    np.testing.assert_array_equal(one.judge(one.average, seen, one.scale), values)
    alone = np.concatenate([one.judge(one.average, row[None], one.scale) for row in seen])
    np.testing.assert_allclose(alone, values, rtol=1e-5, atol=1e-6)  # no row depends on another


class Keeping(Own):
    """Keeps what it computed while it played, and uses it again while it learns."""

    def forward(self, seen):
        if not hasattr(self, "kept"):
            self.kept = {}
        if len(seen) not in self.kept:
            self.kept[len(seen)] = self.head.weight.new_ones(len(seen), 1) * 2.0
        return super().forward(seen) * self.kept[len(seen)]


@pytest.mark.parametrize("algo", SMALL)
def test_what_a_network_keeps_of_playing_may_be_learned_from(algo):
    one = learner(
        algo, network=Keeping, envs=16, **{"minibatch": 16} if algo == "pqn" else {"batch": 16}
    )
    one.advance(128)
    assert one.updates > 0


def test_a_policy_alone_plays_alike():
    one, other = learner("dqn", **CONV), learner("dqn", seed=9, **CONV)
    one.advance(96)
    other.set_policy(one.policy_state())
    expected = one.evaluate(5, 0, 100)
    np.testing.assert_array_equal(other.evaluate(5, 0, 100).scores, expected.scores)


def test_other_networks_are_refused():
    one, other = learner(**CONV), learner(conv="4x3x1,5x3x1", hidden="16")
    with pytest.raises(ValueError, match=r"params\.convolutions\.3\.weight"):
        one.set_state(other.get_state())


def test_the_torch_player_plays_the_games_of_the_compiled_one():
    for env, options, most in (("cartpole", {}, 40), ("snake", BOARD, 100), ("grid", {}, 50)):
        one = learner(env=env, options=options, hidden="8")
        one.advance(96)
        player = TorchPlayer(one.environment, one.judge)
        ours = player.evaluate(one.average, one.scale, 150, 3, most)
        theirs = one.evaluate(150, 3, most)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        np.testing.assert_array_equal(ours.lengths, theirs.lengths)
        assert ours.cut_off == theirs.cut_off
        assert ours.more == pytest.approx(theirs.more)
        assert len(ours.scores) == 150


# ------------------------------------------------------------------------- whole runs


def test_a_run_with_convolutions(tmp_path):
    run = train("snake", engine="torch", **PICTURE, **SMALL["pqn"], **CONV, eval_episodes=5)
    again = load(run.path)
    assert again.evaluate(5).report() == run.evaluate(5).report()
    assert again.evaluate(5, best=True).report()["episodes"] == 5
    assert again.learner().policy()(np.zeros(75, np.float32)) in (0, 1, 2)
    for key in ("steps", "init"):
        how = {"resume": run.path, "steps": 128} if key == "steps" else {}
        if key == "init":
            init = run.path / "checkpoints" / "last.safetensors"
            how = {**SMALL["pqn"], **CONV, **PICTURE, "init": init, "engine": "torch"}
            begun = learner(**CONV, init=str(init)).get_state()
            saved = load(run.path).learner().get_state()
            name = "params.convolutions.0.weight"
            np.testing.assert_array_equal(begun[name], saved[name])
        assert train(None if "resume" in how else "snake", **how).status == "done"


def test_a_network_as_a_file_for_others(tmp_path):
    settings = {**SMALL["pqn"], **PICTURE, "eval_episodes": 2, "engine": "torch"}
    run = train("snake", network=Own, scale_inputs=True, **settings)
    for export, name in ((export_csv, "own.csv"), (export_torch, "own.pth")):
        assert export(run, tmp_path / name) == {"file": str(tmp_path / name), "max_difference": 0.0}
    module = Own((3, 5, 5), 3).eval()
    module.load_state_dict(torch.load(tmp_path / "own.pth", weights_only=True))
    saved, seen = run.learner(), np.random.default_rng(0).random((4, 75), np.float32)
    inputs = torch.from_numpy((seen - saved.scale[0]) * saved.scale[1]).view(4, 3, 5, 5)
    with torch.no_grad():
        values = module(inputs).numpy()
    np.testing.assert_allclose(values, saved.judge(saved.average, seen, saved.scale), atol=1e-6)
    lines = (tmp_path / "own.csv").read_text().splitlines()
    assert len(lines) == sum(part.numel() for part in module.state_dict().values()) + 150
    assert "layers.2.num_batches_tracked,,6" in lines


def test_a_network_out_of_a_file_is_found_by_another_process(tmp_path):
    (tmp_path / "nets.py").write_text(FILE)
    settings = SMALL["dqn"] | {**PICTURE, "eval_episodes": 5}
    run = train("snake", algo="dqn", engine="torch", network="nets.py:Net", **settings)
    record = json.loads((run.path / "run.json").read_text())
    assert record["config"]["network"] == f"{tmp_path / 'nets.py'}:Net"
    said = subprocess.run(
        [sys.executable, "-m", "qlearn", "eval", str(run.path), "--episodes", "5", "--json"],
        cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["mean"] == run.evaluate(5).report()["mean"]


def test_modules_classes_and_functions(tmp_path):
    settings = {**SMALL["pqn"], **PICTURE, "eval_episodes": 2, "engine": "torch"}
    given = Own((3, 5, 5), 3)
    before = {name: part.clone() for name, part in given.state_dict().items()}
    for network in (Own, lambda shape, actions: Own(shape, actions), given):
        run = train("snake", network=network, **settings)
        json.loads((run.path / "run.json").read_text())
        again = load(run.path)
        assert again.evaluate(2).report() == run.evaluate(2).report()
    assert all(torch.equal(part, before[name]) for name, part in given.state_dict().items())
    run.folder.update(config={**run.folder.record["config"], "network": "session:Gone-1"})
    with pytest.raises(UserError, match=r"Gone-1 was a network of another Python session"):
        load(run.path).evaluate(2)
    assert load(run.path, network=given).evaluate(2).report() == run.evaluate(2).report()


class Wrong(nn.Module):
    """Wrong in the way that it is told."""

    def __init__(self, how):
        super().__init__()
        self.how, self.layer = how, nn.Linear(75, 3)

    def forward(self, seen):
        if self.how == "raises":
            raise RuntimeError("a reason\nand more")
        values = self.layer(seen.flatten(1))
        ways = {
            "shape": lambda: values[:, :2],
            "nan": lambda: values * float("nan"),
            "detached": lambda: values.detach(),
            "tuple": lambda: (values, values),
            "double": lambda: values.double(),
        }
        return ways[self.how]()


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Wrong("raises"), r"raised RuntimeError: a reason, for an input of shape \(2, 3, 5, 5\)$"),
        (Wrong("shape"), r"shape \(2, 3\) for an input of .*not \(2, 2\)"),
        (Wrong("tuple"), "not tuple"),
        (Wrong("nan"), "not finite"),
        (Wrong("detached"), "no gradient"),
        (Wrong("double"), "float32 parameters and values, not float32 and float64"),
        (lambda shape: None, r"is called with \(\(3, 5, 5\), 3\).*TypeError"),
        (lambda shape, actions: "net", "gives a str, not a torch.nn.Module"),
        (3, "is int, neither"),
        ("nothing", "FILE.py:Name"),
        ("nothing.py:Net", "cannot read"),
    ],
)
def test_what_is_wrong_with_a_network_is_one_line(network, said):
    with pytest.raises(UserError, match=said) as raised:
        learner(network=network)
    assert "\n" not in str(raised.value)


def test_what_does_not_go_together_is_one_line():
    for settings, said in (
        ({"network": Own, "conv": "4x3x1"}, "leave one of them out"),
        ({"precision": "half"}, "no precision 'half'"),
        ({"device": "gpu"}, "no device 'gpu'"),
    ):
        with pytest.raises(UserError, match=said):
            learner(**settings)
    with pytest.raises(UserError, match="has its own head"):
        learner("dqn", network=Own, dueling=True)
    environment = find("snake", BOARD)
    for algo in SMALL:
        for settings in (CONV, {"network": Own}):
            config = registry.configure(algo, {**SMALL[algo], **settings}, environment, "fused")
            with pytest.raises(UserError, match="--engine torch"):
                registry.make_learner(algo, "fused", environment, config, 0)


# ---------------------------------------------------------------- precision and compiling


def test_bf16_rounds_products_and_keeps_float32_parameters():
    exact, rounded = learner(**CONV), learner(**CONV, precision="bf16")
    seen = np.random.default_rng(0).random((9, 75), np.float32)
    values, others = (one.judge(one.network, seen, one.scale) for one in (exact, rounded))
    assert values.dtype == others.dtype == np.float32
    assert not np.array_equal(values, others)
    np.testing.assert_allclose(others, values, atol=0.02)
    for algo in SMALL:
        one = learner(algo, precision="bf16", hidden="16")
        before = one.get_state()["params"]
        one.advance(96)
        after = one.get_state()["params"]
        assert after.dtype == np.float32
        assert not np.array_equal(after, before)
        assert np.isfinite(after).all()


def test_tf32_on_the_processor_says_that_it_changes_nothing():
    one, other = learner(hidden="8", precision="tf32"), learner(hidden="8")
    assert any("tf32" in note for note in one.notes)
    assert not other.notes
    one.advance(96)
    other.advance(96)
    assert_same(one.get_state(), other.get_state())


def test_a_compiled_network_learns_the_same(monkeypatch):
    from qlearn.algorithms.network import precision

    calls = []

    def compiled(function):
        calls.append(function)
        return function

    monkeypatch.setattr(precision.torch, "compile", compiled)
    for settings in (CONV, {"network": Own}):
        plain, one = learner(**settings), learner(**settings, compile=True)
        plain.advance(96)
        one.advance(96)
        assert_same(one.get_state(), plain.get_state())
    assert len(calls) == 2
    monkeypatch.setattr(precision.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"C\+\+ compiler"):
        learner(**CONV, compile=True)


def test_no_gpu_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for algo in SMALL:
        with pytest.raises(UserError, match=r"^--device cuda: .*; --device cpu works$"):
            learner(algo, device="cuda")


def test_what_only_pytorch_does_is_refused_elsewhere():
    environment = find("cartpole")
    for settings in ({"precision": "bf16"}, {"compile": True}):
        config = registry.configure("pqn", settings, environment, "fused")
        with pytest.raises(UserError, match="--engine torch"):
            registry.make_learner("pqn", "fused", environment, config, 0)


def test_options_of_the_command_line(tmp_path, capsys, monkeypatch):
    small = [f"{key}={value}" for key, value in SMALL["pqn"].items() if key != "steps"]
    how = [
        "train",
        "snake",
        "--engine",
        "torch",
        "--steps",
        "96",
        "--set",
        "env.size=5",
        "env.observation=board",
        *small,
    ]
    assert main([*how, "--precision", "bf16", "--out", str(tmp_path / "run"), "--json"]) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["precision"] == "bf16"
    assert main(["eval", str(tmp_path / "run"), "--episodes", "2", "--best", "--json"]) == 0
    assert main(["watch", str(tmp_path / "run"), "--max-steps", "2", "--quiet"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for wrong, said in (
        (["--device", "cuda"], "--device cpu works"),
        (["--set", "conv=3"], "channels x kernel x stride"),
        (["--set", "network=3"], "FILE.py:Name"),
    ):
        assert main([*how, *wrong]) == 2
        complaint = capsys.readouterr().err.splitlines()[-1]
        assert complaint.startswith("qlearn: ")
        assert said in complaint
