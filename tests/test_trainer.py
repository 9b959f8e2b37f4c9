"""`qlearn.QTrainer` beside the classic trainer: the same weights after the same calls."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qlearn import trainer as trainers
from qlearn.errors import UserError

torch = pytest.importorskip("torch")

from qlearn import QTrainer  # noqa: E402

SCRIPT = Path(__file__).parents[1] / "examples" / "classic" / "deep_q_learning.py"
INPUTS, HIDDEN, ACTIONS, GAMMA = 11, 32, 3, 0.9


@pytest.fixture(scope="module")
def classic():
    spec = importlib.util.spec_from_file_location("classic_deep_q_learning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def both(classic):
    """The classic trainer, ours, and their models with the same weights."""

    def make(seed=0, **how):
        torch.manual_seed(seed)
        model = classic.Linear_QNet(INPUTS, HIDDEN, ACTIONS)
        twin = copy.deepcopy(model)
        return classic.QTrainer(model, 1e-3, GAMMA), QTrainer(twin, 1e-3, GAMMA, **how)

    return make


def batch(rows, seed=0, ends=0.3):
    """States, one-hot actions, rewards, next states, dones: lists, as a game collects them."""
    chance = np.random.default_rng(seed)
    states = chance.integers(0, 2, (rows, INPUTS))
    return (
        states.tolist(),
        np.eye(ACTIONS, dtype=int)[chance.integers(0, ACTIONS, rows)].tolist(),
        chance.choice([-10.0, 0.0, 10.0], rows).tolist(),
        np.roll(states, 1, axis=1).tolist(),
        tuple((chance.random(rows) < ends).tolist()),
    )


def apart(one, other):
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def check(theirs, ours, *batches):
    """Within 1e-6 after one step, 1e-4 after all."""
    for k, data in enumerate(batches):
        before = copy.deepcopy(ours.model.state_dict())
        theirs.train_step(*data)
        ours.train_step(*data)
        assert apart(theirs, ours) <= (1e-4 if k else 1e-6)
        moved = ours.model.state_dict()
        assert any((moved[name] - old).abs().max() > 1e-5 for name, old in before.items())


@pytest.mark.parametrize("rows", [1, 2, 64, 300])
@pytest.mark.parametrize("ends", [0.0, 0.3, 1.0])
def test_five_steps_are_the_classic_trainers(both, rows, ends):
    check(*both(rows), *(batch(rows, seed, ends) for seed in range(5)))


def test_samples_that_come_twice(both):
    data = batch(10)
    twice = tuple([*column, *column] for column in data)
    check(*both(), twice, batch(4), twice)


@pytest.mark.parametrize("done", [False, True])
def test_a_single_sample(both, done):
    theirs, ours = both(3)
    for seed in range(5):
        state, action, reward, following, _ = (column[0] for column in batch(1, seed))
        for given in (state, np.array(state, np.float64)):
            theirs.train_step(given, action, reward, following, done)
            ours.train_step(given, action, reward, following, done)
            assert apart(theirs, ours) <= 1e-5


def forms(data):
    """One batch, written in many ways."""
    states, actions, rewards, following, dones = data
    indices = np.argmax(actions, axis=1)
    return {
        "zipped": tuple(zip(*zip(*data, strict=True), strict=True)),
        "arrays": tuple(np.array(column) for column in data),
        "list of arrays": ([np.array(row) for row in states], actions, rewards,
                           [np.array(row, np.float32) for row in following], list(dones)),
        "float one-hot": (states, np.array(actions, float), rewards, following, dones),
        "indices": (states, indices.tolist(), rewards, following, dones),
        "column of indices": (states, indices[:, None], rewards, following, dones),
        "int8 indices": (states, indices.astype(np.int8), rewards, following, np.array(dones)),
        "tensors": tuple(torch.tensor(column) for column in data),
        "lists of tensors": ([torch.tensor(row) for row in states], actions, rewards,
                             [torch.tensor(row).float() for row in following], dones),
        "dones of 0 and 1": (states, actions, rewards, following, np.array(dones, float)),
        "columns": (states, actions, np.array(rewards)[:, None], following,
                    np.array(dones)[:, None]),
    }  # fmt: skip


@pytest.mark.parametrize("form", forms(batch(2)))
def test_however_a_batch_is_written(both, form):
    theirs, ours = both(1)
    theirs.train_step(*batch(50))
    ours.train_step(*forms(batch(50))[form])
    assert apart(theirs, ours) <= 1e-6


def test_a_single_action_by_its_index(both):
    (theirs, ours), data = both(), [column[0] for column in batch(1)]
    theirs.train_step(*data)
    data[1] = int(np.argmax(data[1]))
    ours.train_step(*data)
    assert apart(theirs, ours) <= 1e-6


def test_a_model_of_one_action():
    net = torch.nn.Linear(INPUTS, 1)
    trainer = QTrainer(net, 1e-3, GAMMA)
    for actions in ([[1]] * 4, [0] * 4):
        trainer.train_step([[0.5] * INPUTS] * 4, actions, [1.0] * 4, [[0.1] * INPUTS] * 4, [0] * 4)


def test_a_detached_target_is_q_learning(both):
    theirs, ours = both(detach_target=True)
    data = batch(64)
    states, actions, rewards, following, dones = (torch.tensor(column) for column in data)
    with torch.no_grad():
        best = ours.model(following.float()).amax(1)
    target = rewards + GAMMA * ~dones * best
    values = ours.model(states.float())
    errors = target - values.gather(1, actions.argmax(1, keepdim=True)).squeeze(1)
    expected = errors.square().sum() / values.numel()
    gradients = torch.autograd.grad(expected, list(ours.model.parameters()))
    loss = ours.train_step(*data)
    torch.testing.assert_close(loss, expected.detach())
    for parameter, right in zip(ours.model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, right)
    theirs.train_step(*data)
    assert apart(theirs, ours) > 1e-4  # the classic trainer's step is another


def test_what_follows_an_end_is_not_asked_for(both):
    theirs, ours = both()
    states, actions, rewards, following, dones = batch(20)
    following = [
        [float("nan")] * INPUTS if d else row for row, d in zip(following, dones, strict=True)
    ]
    data = (states, actions, rewards, following, dones)
    check(theirs, ours, data)


def test_any_optimiser(both):
    data = batch(8)
    _, ours = both(optimizer=torch.optim.SGD)
    assert isinstance(ours.optimizer, torch.optim.SGD)
    assert ours.optimizer.param_groups[0]["lr"] == 1e-3
    ours.train_step(*data)
    model = torch.nn.Linear(INPUTS, ACTIONS)
    own = torch.optim.RMSprop(model.parameters(), lr=0.5)
    trainer = QTrainer(model, 1e-3, GAMMA, optimizer=own)
    before = model.weight.detach().clone()
    trainer.train_step(*data)
    assert trainer.optimizer is own
    assert not torch.equal(model.weight, before)


def test_the_difference_is_said_once(both, capsys, monkeypatch):
    monkeypatch.delenv("QLEARN_QUIET", raising=False)
    monkeypatch.setattr(trainers, "_noted", False)
    _, right = both(detach_target=True)
    right.train_step(*batch(2))
    assert capsys.readouterr().err == ""
    for seed in range(2):
        _, ours = both(seed)
        ours.train_step(*batch(2))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "detach_target=True is Q-learning" in said.err


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, [[1, 2], [1]], "state is no numbers of one shape"),
        (0, [["a"] * INPUTS] * 2, "state is no numbers of one shape"),
        (1, [[0, 1]] * 2, "an action is an index or a one-hot row of 3; here they are (2, 2)"),
        (1, [0, 3], "actions 0 .. 3, and the model has 3 outputs"),
        (1, [-1, 0], "actions -1 .. 0"),
        (2, [0.0], "1 of reward"),
        (4, (False,) * 3, "3 of done"),
        (3, [[0] * INPUTS], "1 of next_state"),
    ],
)
def test_a_mistake_is_one_line(both, place, value, said):
    data = list(batch(2))
    data[place] = value
    with pytest.raises(UserError) as caught:
        both()[1].train_step(*data)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_samples(both):
    with pytest.raises(UserError, match="at least one"):
        both()[1].train_step(np.zeros((0, INPUTS)), [], [], np.zeros((0, INPUTS)), ())


def test_importing_the_classic_script_does_nothing(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import deep_q_learning"
    done = subprocess.run([sys.executable, "-c", code, str(SCRIPT.parent)], cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_as_a_script_it_leaves_its_model(tmp_path):
    subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, check=True)
    state = torch.load(tmp_path / "model" / "model.pth", weights_only=True)
    assert list(state) == ["linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"]
