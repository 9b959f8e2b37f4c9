"""Files of weights as runs, runs as files: what goes out comes back, what is wrong is one line."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections import OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest

from qlearn.cli.main import main
from qlearn.envs.registry import make
from qlearn.errors import UserError
from qlearn.runs import exchange, files, pth
from qlearn.runs.pth import read_network
from qlearn.runs.run import load
from qlearn.runs.training import train

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

CLASSIC = Path(__file__).parents[2] / "examples" / "classic"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def complaint(capsys, *words):
    assert main(list(words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("qlearn: ")
    assert captured.err.count("\n") == 1
    return captured.err


def perceptron(*widths, layer_norm=False, activation=nn.ReLU):
    layers = []
    for k in range(len(widths) - 1):
        layers.append(nn.Linear(widths[k], widths[k + 1]))
        if k < len(widths) - 2:
            layers += [nn.LayerNorm(widths[k + 1])] * layer_norm + [activation()]
    return nn.Sequential(*layers)


def saved(module, name="model.pth", **how):
    torch.save(module.state_dict(), name, **how)
    return name


def actions_of(module, observations):
    with torch.no_grad():
        return module(torch.from_numpy(observations)).argmax(1).numpy()


OBSERVATIONS = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)

# ------------------------------------------------------------------------------------- import


def test_the_classic_model_becomes_a_run(capsys, monkeypatch, here):
    monkeypatch.syspath_prepend(str(CLASSIC))
    from deep_q_learning import Linear_QNet

    model = Linear_QNet(4, 256, 2)
    model.save()
    made = answer(capsys, "import", "model/model.pth", "--env", "cartpole")
    record = json.loads((Path(made["run"]) / "run.json").read_text())
    assert (record["algo"], record["engine"], record["status"]) == ("dqn", "fused", "done")
    config = record["config"]
    assert (config["hidden"], config["activation"], config["reward_scale"]) == ("256", "relu", 1.0)
    assert not config["layer_norm"] | config["scale_inputs"] | config["dueling"]
    run = load("last")
    chosen = [run.learner().policy()(row) for row in OBSERVATIONS]
    assert chosen == actions_of(model, OBSERVATIONS).tolist()
    found = answer(capsys, "eval", "last", "--episodes", "5")
    assert found["episodes"] == 5
    assert found["mean"] == load("last").evaluate(5, best=True).mean
    assert answer(capsys, "watch", "last", "--player", "auto")["frames"] > 1
    assert [row["algo"] for row in answer(capsys, "runs")["runs"]] == ["dqn"]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("widths", "layer_norm", "activation", "dtype"),
    [
        ((4, 2), False, "relu", torch.float32),
        ((4, 32, 16, 8, 2), False, "tanh", torch.float64),
        ((4, 32, 2), True, "selu", torch.float32),
    ],
)
def test_dense_layers_of_any_number(here, widths, layer_norm, activation, dtype, legacy):
    kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "selu": nn.SELU}
    model = perceptron(*widths, layer_norm=layer_norm, activation=kinds[activation])
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    file = saved(model.to(dtype), _use_new_zipfile_serialization=not legacy)
    run = exchange.import_run(file, "cartpole", activation=activation)
    model.float()
    chosen = [run.learner().policy()(row) for row in OBSERVATIONS]
    assert chosen == actions_of(model, OBSERVATIONS).tolist()


def test_an_imported_network_goes_on_learning(here):
    model = perceptron(4, 32, 2)
    run = exchange.import_run(saved(model), "cartpole", out=here / "mine")
    state = run.learner().get_state()
    assert run.path == here / "mine"
    trained = train(resume=run.path, steps=3000)
    assert trained.report["env_steps"] >= 3000
    moved = trained.learner().get_state()["params"]
    assert moved.shape == state["params"].shape
    assert not np.array_equal(moved, state["params"])


def test_the_target_network_is_the_imported_one_too(here):
    model = perceptron(4, 32, 2)
    run = exchange.import_run(saved(model), "cartpole")
    from qlearn.runs import checkpoint

    arrays, _ = checkpoint.load(run.path / "checkpoints" / "last")
    assert np.array_equal(arrays["target"], arrays["params"])
    assert np.array_equal(arrays["average"], arrays["params"])
    assert arrays["params"][: 4 * 32].reshape(4, 32) == pytest.approx(
        model[0].weight.detach().numpy().T
    )


# ------------------------------------------------------------------------- old Snake networks


def positions(count=400, **options):
    """What random games of Snake show."""
    batch = make("snake", envs=8, seed=2, **options)
    seen = [batch.reset()[0].copy()]
    chance = np.random.default_rng(0)
    while 8 * len(seen) < count:
        actions = chance.integers(0, batch.environment.actions, 8)
        seen.append(batch.step(actions)[0].copy())
    return np.concatenate(seen)


def old_agent():
    """The network of an agent that learned the board as it lies, moving by the compass."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(100, 256), nn.ReLU(inplace=True), nn.Linear(256, 256), nn.ReLU(inplace=True),
        nn.Linear(256, 4),
    )  # fmt: skip


def as_it_is(model):
    return model.state_dict()


def as_training_state(model):
    """As people save to go on later: with the optimiser, and numbers that NumPy made."""
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 100)).sum().backward()
    before = [part.detach().clone() for part in model.parameters()]
    optimizer.step()
    with torch.no_grad():
        for part, was in zip(model.parameters(), before, strict=True):
            part.copy_(was)
    return {
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "epsilon": np.float64(0.01),
        "episode": 1200,
        "scores": [np.int64(3), 4],
        "recent": np.arange(5.0),
        "config": {"episodes": 50_000, "use_target_network": True},
    }


def with_its_target(model):
    return {"target_model": perceptron(100, 256, 256, 4).state_dict(), "model": model.state_dict()}


def prefixed(*words):
    def save(model):
        prefix = "".join(f"{word}." for word in words)
        return OrderedDict((prefix + name, part) for name, part in model.state_dict().items())

    return save


def within(model):
    return {"agent": {"policy_net": prefixed("_orig_mod", "layers")(model)}, "steps": 10}


FORMS = [
    (as_it_is, ""),
    (prefixed("module"), ""),
    (prefixed("_orig_mod", "module"), ""),
    (as_training_state, "model_state_dict"),
    (with_its_target, "model"),
    (within, "agent.policy_net"),
]


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_a_network_is_found_in_whatever_was_saved_with_it(here, form, name):
    model = old_agent()
    torch.save(form(model), "agent.pth")
    found = read_network(here / "agent.pth")
    mine = [part.detach().numpy() for part in model.parameters()]
    theirs = [part for layer in found.layers for part in (layer.weight, *layer.vectors)]
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert found.note == (
        f"agent.pth holds more than a network: '{name}' was taken" if name else ""
    )


def test_an_old_agent_is_played_with_the_board_and_the_actions_that_it_knew(capsys, here):
    model = old_agent()
    torch.save(as_training_state(model), "agent.pth")
    assert main(["import", "agent.pth", "--env", "snake"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "agent.pth holds more than a network: 'model_state_dict' was taken",
        "agent.pth (0 100->256, 2 256->256, 4 256->4) fits snake with env.observation=flat"
        " env.actions=absolute",
    ]
    record = load("last").folder.record
    assert record["env_options"] == {"observation": "flat", "actions": "absolute"}
    seen = positions(observation="flat", actions="absolute")
    policy = load("last").learner().policy()
    assert [policy(row) for row in seen] == actions_of(model, seen).tolist()
    assert answer(capsys, "eval", "last", "--episodes", "20")["episodes"] == 20
    assert answer(capsys, "watch", "last", "--player", "auto")["frames"] > 1


@pytest.mark.parametrize("settings", [[], ["--set", "env.observation=features"]])
def test_a_classic_snake_plays_as_it_does_in_torch(capsys, monkeypatch, settings):
    monkeypatch.syspath_prepend(str(CLASSIC))
    from deep_q_learning import Linear_QNet

    torch.manual_seed(0)
    model = Linear_QNet(11, 256, 3)
    model.save()
    assert main(["import", "model/model.pth", "--env", "snake", *settings]) == 0
    said = capsys.readouterr().err
    chosen = (
        "model.pth (linear1 11->256, linear2 256->3) fits snake with env.observation=features\n"
    )
    assert said == ("" if settings else chosen)
    seen = positions(observation="features")
    policy = load("last").learner().policy()
    assert [policy(row) for row in seen] == actions_of(model, seen).tolist()


def test_what_was_asked_for_stays_and_the_error_says_what_would_fit(capsys, here):
    saved(old_agent())
    said = complaint(
        capsys, "import", "model.pth", "--env", "snake", "--set", "env.observation=features"
    )
    assert "0 takes 100 inputs, snake shows 11; 4 gives 4 values, snake has 3 actions" in said
    assert said.endswith("; --set env.observation=flat env.actions=absolute would\n")
    said = complaint(
        capsys, "import", "model.pth", "--env", "snake", "--set", "env.actions=relative"
    )
    assert said.endswith("; --set env.observation=flat env.actions=absolute would\n")
    saved(perceptron(12, 8, 3))
    said = complaint(capsys, "import", "model.pth", "--env", "snake")
    assert said.endswith("does not fit: 0 takes 12 inputs, snake shows 823\n")
    assert not (here / "runs").exists()


def test_of_several_networks_one_has_to_be_named(capsys, here):
    first, second = perceptron(4, 8, 2), perceptron(4, 16, 2)
    torch.save({"q1": first.state_dict(), "q2": second.state_dict()}, "model.pth")
    said = complaint(capsys, "import", "model.pth", "--env", "cartpole")
    assert "holds several networks (q1, q2); --network NAME says which" in said
    said = complaint(capsys, "import", "model.pth", "--env", "cartpole", "--network", "q3")
    assert "holds no network 'q3'; known: q1, q2" in said
    answer(capsys, "import", "model.pth", "--env", "cartpole", "--network", "q2")
    assert load("last").folder.record["config"]["hidden"] == "16"


def test_what_is_no_weight_is_not_made(here):
    """Arrays and numbers of NumPy's stay shells; nobody else's reading of files is changed."""
    torch.save({"epsilon": np.float64(0.5), "model": perceptron(4, 2).state_dict()}, "model.pth")
    before = set(torch.serialization.get_safe_globals())
    assert isinstance(pth._content_of(here / "model.pth")["epsilon"], pth.Inert)
    assert set(torch.serialization.get_safe_globals()) == before


# ------------------------------------------------------------------------------- what is refused


class Exploit:
    """What a hostile file asks to be called."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


WEIGHTS = {"a.weight": torch.zeros(2, 4), "a.bias": torch.zeros(2)}
AROUND = {
    "alone": lambda evil: evil,
    "in a state dict": lambda evil: OrderedDict(WEIGHTS, bias=evil),
    "beside a network": lambda evil: {"model": WEIGHTS, "config": {"deep": [(1, {"x": evil})]}},
    "in an optimiser": lambda evil: {
        "model": WEIGHTS, "optimizer": {"state": {0: {"step": evil}}, "param_groups": [evil]}
    },
    "as a name": lambda evil: {"model": WEIGHTS, evil: 1},
    "under a tensor's attributes": lambda evil: {"model": WEIGHTS, "own": marked(evil)},
}  # fmt: skip
FORMS_OF_FILES = {
    "torch": torch.save,
    "legacy torch": lambda content, path: torch.save(
        content, path, _use_new_zipfile_serialization=False
    ),
    "pickle": lambda content, path: Path(path).write_bytes(pickle.dumps(content)),
    "tar": lambda content, path: as_tar(content, path),
    "numpy": lambda content, path: as_numpy(content, path),
}


def marked(evil):
    tensor = nn.Parameter(torch.zeros(1))
    tensor.evil = evil
    return tensor


def as_tar(content, path):
    """As PyTorch wrote before 2017."""
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(content)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def as_numpy(content, path):
    with open(path, "wb") as file:
        np.savez(file, weights=np.array([content, None], object))


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("form", FORMS_OF_FILES)
def test_a_hostile_file_is_not_executed(capsys, here, around, form):
    taken = here / "taken"
    FORMS_OF_FILES[form](AROUND[around](Exploit(taken)), "evil.pth")
    said = complaint(capsys, "import", "evil.pth", "--env", "cartpole")
    assert "evil.pth" in said
    assert "torch.save(model.state_dict(), FILE) writes one" in said
    assert not taken.exists()
    assert not (here / "runs").exists()
    executed("evil.pth", form)
    assert taken.exists()  # it would have been


def executed(file, form):
    if form == "tar":
        with tarfile.open(file) as archive:
            return pickle.loads(archive.extractfile("pickle").read())
    if form == "numpy":
        return np.load(file, allow_pickle=True)["weights"]
    if form == "pickle":
        return pickle.loads(Path(file).read_bytes())
    return torch.load(file, weights_only=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_program_of_torchs_is_not_loaded(capsys):
    torch.jit.script(perceptron(4, 2)).save("program.pth")
    assert "program.pth" in complaint(capsys, "import", "program.pth", "--env", "cartpole")


def whole_model(path):
    torch.save(nn.Linear(4, 2), path)


def torn(path):
    torch.save(perceptron(4, 64, 2).state_dict(), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flipped(path):
    """Its pickle is damaged, its zip is not noticed to be."""
    torch.save(perceptron(4, 64, 2).state_dict(), path, _use_new_zipfile_serialization=False)
    data = bytearray(path.read_bytes())
    data[300:340] = b"\xff" * 40
    path.write_bytes(bytes(data))


def said_to_be_huge(path):
    """One number that says it is a trillion."""
    torch.save(OrderedDict(weight=torch.zeros(1).expand(10**6, 10**6)), path)


def bomb(path):
    """Four kilobytes that unpack to two megabytes of zeros."""
    torch.save({"linear1.weight": torch.zeros(512, 1024)}, "plain.pth")
    with zipfile.ZipFile("plain.pth") as plain, zipfile.ZipFile(path, "w") as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)


def one_for_all(path):
    """Three tensors of a megabyte in a file of one: all of them lie in the same place."""
    torch.save({f"w{k}": torch.zeros(512, 512) for k in range(3)}, "plain.pth")
    index, places, count = b"", {}, 0
    with zipfile.ZipFile("plain.pth") as plain, open(path, "wb") as file:
        for entry in plain.infolist():
            name, data = entry.filename.encode(), plain.read(entry)
            sizes = struct.pack("<3I2H", zlib.crc32(data), len(data), len(data), len(name), 0)
            if data not in places:
                places[data] = file.tell()
                file.write(b"PK\3\4" + struct.pack("<5H", 20, 0, 0, 0, 0) + sizes + name + data)
            index += b"PK\1\2" + struct.pack("<6H", 20, 20, 0, 0, 0, 0) + sizes
            index += struct.pack("<3H2I", 0, 0, 0, 0, places[data]) + name
            count += 1
        end = struct.pack("<4H2IH", 0, 0, count, count, len(index), file.tell(), 0)
        file.write(index + b"PK\5\6" + end)
    assert path.stat().st_size < 1.2 * 2**20
    assert len(torch.load(path, weights_only=True)) == 3  # PyTorch unpacks them all


def turning_in_circles(path):
    content = {"epoch": 3}
    content["again"] = content
    torch.save(content, path)


def state(**tensors):
    return lambda path: torch.save(tensors, path)


REFUSED = [
    (lambda path: None, "there is no file"),
    (lambda path: path.mkdir(), "there is no file"),
    (lambda path: path.write_bytes(b""), "is damaged, or no file of PyTorch's"),
    (lambda path: path.write_text("not a model\n"), "is damaged, or no file of PyTorch's"),
    (torn, "is damaged, or no file of PyTorch's"),
    (flipped, "is damaged, or no file of PyTorch's"),
    (whole_model, "holds more than weights, and is not opened"),
    (said_to_be_huge, "says it has 1,000,000,000,000 parameters"),
    (bomb, "is packed as no state dict is"),
    (one_for_all, "is packed as no state dict is"),
    (lambda path: torch.save([1, 2], path), "holds no state dict"),
    (state(epoch=3), "holds no state dict"),
    (state(memory=deque([1, 2])), "holds more than weights, and is not opened"),
    (state(agent={"step": {"of": {"many": {"w": torch.zeros(2, 4)}}}}), "holds no state dict"),
    (turning_in_circles, "holds no state dict"),
    (lambda path: torch.save(torch.optim.Adam(nn.Linear(4, 2).parameters()).state_dict(), path),
     "holds no state dict"),
    (state(), "holds no weights of a dense layer"),
    (state(b=torch.zeros(2)), "'b' is 2, no part of a dense layer"),
    (state(w=torch.zeros(2, 4)), "w, the last layer, has one bias"),
    (state(w=torch.zeros(2, 4, 3)), "'w' is 2x4x3"),
    (state(w=torch.zeros(2, 4), b=torch.zeros(3)), "'b' is 3"),
    (state(w=torch.zeros(2, 4), b=torch.tensor(1.0)), "'b' is a single number"),
    (state(w=torch.zeros(2, 4), b=torch.zeros(3), c=torch.zeros(2, 2, 2)),
     "'b' is 3; 'c' is 2x2x2, no part of a dense layer"),
    (state(w=torch.zeros(2, 4, dtype=torch.int8), b=torch.zeros(2, dtype=torch.bool)),
     "'w' is torch.int8; 'b' is torch.bool; weights are floats"),
    (state(w=torch.zeros(2, 4, device="meta"), b=torch.zeros(2)), "'w' is a shape without numbers"),
    (state(**{f"\x1b[31m{k}\n": torch.zeros(1, 1, 1) for k in range(100)}),
     "'?[31m7?' is 1x1x1; and 92 more, no part"),
    (state(**{"x" * 99_999: torch.zeros(1, 1, 1)}), f"'{'x' * 60}' is 1x1x1"),
    (state(w=torch.zeros(8, 4), b=torch.zeros(8), v=torch.zeros(7, 9), c=torch.zeros(7),
           u=torch.zeros(2, 6), d=torch.zeros(2)),
     "w gives 8 values, v takes 9; v gives 7 values, u takes 6; dense layers"),
    (state(**{f"q{k}": {"w": torch.zeros(2, 4)} for k in range(100)}), "q7, and 92 more); --network"),
    (state(w=torch.zeros(2, 4, dtype=torch.int64), b=torch.zeros(2)), "weights are floats"),
    (state(w=torch.zeros(2, 4).to_sparse(), b=torch.zeros(2)), "weights are floats"),
    (state(w=torch.full((2, 4), float("nan")), b=torch.zeros(2)), "not finite"),
    (state(w=torch.zeros(0, 4), b=torch.zeros(0)), "has no units"),
    (state(w=torch.zeros(8, 4), b=torch.zeros(8), v=torch.zeros(2, 9), c=torch.zeros(2)),
     "w gives 8 values, v takes 9"),
    (lambda path: saved(perceptron(11, 256, 3), path),
     "(0 11->256, 2 256->3) does not fit: 0 takes 11 inputs, cartpole shows 4; 2 gives 3 values,"
     " cartpole has 2 actions"),
    (lambda path: saved(perceptron(4, 8, 3), path), "2 gives 3 values, cartpole has 2 actions"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "said"), REFUSED)
def test_a_file_that_is_no_network_of_this_environment_is_one_line(capsys, here, write, said):
    write(here / "model.pth")
    found = complaint(capsys, "import", "model.pth", "--env", "cartpole")
    assert said in found
    assert str(here / "model.pth") in found
    assert not (here / "runs").exists()


def test_other_mistakes(capsys):
    saved(perceptron(4, 8, 2))
    assert "required: --env" in complaint(capsys, "import", "model.pth")
    assert "unknown environment" in complaint(capsys, "import", "model.pth", "--env", "catpole")
    said = complaint(capsys, "import", "model.pth", "--env", "cartpole", "--activation", "rely")
    assert "did you mean 'relu'" in said
    said = complaint(capsys, "import", "model.pth", "--env", "cartpole", "--set", "lr=3")
    assert "only env.KEY" in said


def test_a_larger_file_than_any_network_is_not_read(here, monkeypatch):
    saved(perceptron(4, 64, 2))
    monkeypatch.setattr("qlearn.runs.pth.LARGEST_FILE", 100)
    with pytest.raises(UserError, match="is larger than any network"):
        read_network(here / "model.pth")


# ------------------------------------------------------------------------------------- export


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Trained for a moment, so that no scale and no bias is what it was."""
    home = tmp_path_factory.mktemp("networks")
    short = {"steps": 3000, "eval_episodes": 1}
    return {
        "pqn": train("cartpole", algo="pqn", out=home / "pqn", **short),
        "dueling": train("cartpole", algo="dqn", dueling=True, out=home / "dueling", **short),
        "states": train(
            "grid", algo="pqn", engine="torch", hidden="16", out=home / "states", **short
        ),
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return train("grid", steps=3000, out=tmp_path_factory.mktemp("table") / "run")


@pytest.mark.parametrize("name", ["pqn", "dueling", "states"])
def test_a_state_dict_is_an_ordinary_sequential(capsys, networks, name):
    run = networks[name]
    found = answer(capsys, "export", str(run.path), "--torch", "out.pth")
    assert found["file"] == str(Path("out.pth").absolute())
    assert 0.0 < found["max_difference"] < 1e-5
    inputs, hidden = (25, (16,)) if name == "states" else (4, (64, 64))
    actions = run.learner().environment.actions
    model = perceptron(inputs, *hidden, actions, layer_norm=True)
    model.load_state_dict(torch.load("out.pth", weights_only=True))
    if name == "states":
        seen = np.arange(25)[:, None]
        chosen = actions_of(model, np.eye(25, dtype=np.float32))
    else:
        seen = OBSERVATIONS
        chosen = actions_of(model, OBSERVATIONS)
    assert [run.learner().policy()(row) for row in seen] == chosen.tolist()


def test_what_was_exported_comes_back(capsys, networks):
    run = networks["dueling"]
    answer(capsys, "export", str(run.path), "--torch", "out.pth")
    answer(capsys, "import", "out.pth", "--env", "cartpole")
    back = load("last").learner().policy()
    assert [back(row) for row in OBSERVATIONS] == [
        run.learner().policy()(row) for row in OBSERVATIONS
    ]
    again = answer(capsys, "export", "last", "--torch", "again.pth")
    assert again["max_difference"] < 1e-5
    first, second = (torch.load(f, weights_only=True) for f in ("out.pth", "again.pth"))
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ["pqn", "dueling", "states"])
def test_a_networks_csv_has_every_number_with_all_its_digits(capsys, networks, name):
    learner = networks[name].learner()
    found = answer(capsys, "export", str(networks[name].path), "--csv", "out.csv")
    assert found["max_difference"] == 0.0
    expected = dict(learner.architecture.views(learner.parameters))
    if name != "states":
        expected["scale"] = learner.scale
    lines = Path("out.csv").read_text().splitlines()
    assert len(lines) == sum(array.size for array in expected.values())
    rows = iter(lines)
    for key, array in expected.items():
        for index in np.ndindex(array.shape):
            word, *where, value = next(rows).split(",")
            assert (word, tuple(map(int, where))) == (key, index)
            assert np.float32(value) == array[index]


def test_a_tables_csv(capsys, table):
    found = answer(capsys, "export", str(table.path), "--csv", "out.csv", "--best")
    assert found["max_difference"] == 0.0
    values = table.learner(best=True).values()
    lines = [line.split(",") for line in Path("out.csv").read_text().splitlines()]
    assert [line[:3] for line in lines] == [
        ["q", str(s), str(a)] for s in range(25) for a in range(4)
    ]
    assert np.array_equal([float(line[3]) for line in lines], values.ravel())


def test_a_damaged_file_is_noticed_by_the_difference(table, monkeypatch):
    """The difference is measured on what was read back, not taken for granted."""
    write = files.write_bytes
    monkeypatch.setattr(
        exchange, "write_bytes", lambda path, data: write(path, data.replace(b",-", b","))
    )
    assert exchange.export_csv(table, "out.csv")["max_difference"] > 1.0


def test_a_file_that_cannot_be_written_is_one_line(capsys, here, table, networks):
    run = str(table.path)
    (here / "file").write_text("")
    assert "learned a table" in complaint(capsys, "export", run, "--torch", "out.pth")
    for place in ("no/such/out.csv", "file/out.csv"):
        assert "there is no folder" in complaint(capsys, "export", run, "--csv", place)
    for place in (str(here), "/dev/null"):
        assert "it is there, and no file" in complaint(capsys, "export", run, "--csv", place)
    assert "not allowed with" in complaint(capsys, "export", run, "--csv", "a", "--torch", "b")
    assert "required" in complaint(capsys, "export", run)
    assert "there is no run 'nobody'" in complaint(capsys, "export", "nobody", "--csv", "a")


def test_a_full_disk_is_one_line_and_leaves_what_was_there(here, table):
    """The file size that a process may write stands in for a disk that is full."""
    (here / "out.csv").write_text("before")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from qlearn.cli.main import main\n"
        f"sys.exit(main(['export', {str(table.path)!r}, '--csv', 'out.csv']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("qlearn: cannot write")
    assert done.stderr.count("\n") == 1
    assert (here / "out.csv").read_text() == "before"
    assert sorted(path.name for path in here.iterdir()) == ["out.csv"]
