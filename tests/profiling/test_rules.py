"""Rules on measurements made by hand: what each needs to be seen, and what keeps it quiet."""

from __future__ import annotations

import re
import textwrap

import pytest
from synthetic import call, held, make_raw

from qlearn.profiling import rules
from qlearn.profiling.facts import build
from qlearn.profiling.findings import collect

IDENTIFIERS = """
dict-table, table-copy, list-membership, object-per-step, scalar-numpy, repeated-loop,
loop-over-batch, tensor-from-list, deque-sample, batch-of-one, grad-when-acting, no-grad-prediction,
target-not-detached, device-sync, tiny-net-on-gpu, too-many-threads, keras-predict, graph-kept,
growing-list, replay-waste, async-slower, single-env, learn-every-step, plot-in-loop, sleep-in-loop,
fixed-schedule, lost-updates, bootstrap-terminal
"""


def find(tmp_path, code, rows, seen=(), calls=(), **more):
    """{rule: finding} of a script whose samples stand at the given expressions."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code).lstrip("\n"))
    held_here = [held(script, *entry[:4], **(entry[4] if len(entry) > 4 else {})) for entry in seen]
    called = [call(script, *entry) for entry in calls]
    raw = make_raw(tmp_path, script, rows, seen=held_here, calls=called, **more)
    return {finding.rule: finding for finding in collect(build(raw), rules.all_rules())}


def test_every_identifier_of_the_contract_has_its_rule():
    modules = rules.all_rules()
    assert {module.RULE for module in modules} == set(re.findall(r"[\w-]+", IDENTIFIERS))
    for module in modules:
        assert module.__name__.rpartition(".")[2] == module.RULE.replace("-", "_")


@pytest.mark.parametrize("rule", re.findall(r"[\w-]+", IDENTIFIERS))
def test_why_is_two_sentences(rule):
    why = rules.rule(rule).WHY
    assert len(re.findall(r"[.?!](?=\s|$)", why)) == 2
    assert why[0].isupper() or why.startswith(("torch", "predict", "float64"))


# --- tables

DICT = """
import random

HOLES = [(1, 0), (3, 1), (4, 2), (1, 3)]


class State:
    def __init__(self, place=(0, 0)):
        self.place = place
        self.is_end = False

    def reward(self):
        for hole in HOLES:
            if self.place == hole:
                return -5
        return -1


class Agent:
    def __init__(self):
        self.actions = [0, 1, 2, 3]
        self.Q = {(i, j, a): 0 for i in range(5) for j in range(5) for a in range(4)}
        self.new_Q = self.Q.copy()
        self.state = State()

    def learn(self, steps):
        while steps > 0:
            i, j = self.state.place
            reward = self.state.reward()
            best = -1000
            for a in self.actions:
                best = max(best, reward + 0.9 * self.Q[(i, j, a)])
            self.state = State((i, j))
            self.new_Q[(i, j, 0)] = round(best, 3)
            self.Q = self.new_Q.copy()
            steps -= 1


agent = Agent()
agent.learn(1000)
"""
RUN = "agent.learn(1000)"
DICT_ROWS = [
    (0.4, RUN, "self.new_Q.copy()"),
    (0.2, RUN, "self.state.reward()", "self.place == hole"),
    (0.2, RUN, "State((i, j))", "self.place = place"),
    (0.1, RUN, "self.Q[(i, j, a)]"),
    (0.1, RUN, "round(best, 3)"),
]
DICT_SEEN = [
    ("Agent.learn", "self.new_Q", "dict", 100, {"key": "tuple", "value": "float"}),
    ("Agent.learn", "self.Q", "dict", 100, {"key": "tuple", "value": "float"}),
    ("Agent.learn", "self.actions", "list", 4, {"value": "int"}),
]
DICT_CALLS = [(25, "Agent.learn", 1), (11, "State.reward", 5000, [(0, 5000)])]


def test_the_classic_table(tmp_path):
    found = find(tmp_path, DICT, DICT_ROWS, DICT_SEEN, DICT_CALLS)
    assert set(found) == {
        "dict-table", "table-copy", "list-membership", "object-per-step", "scalar-numpy",
    }  # fmt: skip
    copy = found["table-copy"]
    assert copy.share == pytest.approx(0.4)
    assert copy.gain_limit == pytest.approx(1 / 0.6)
    assert "self.new_Q.copy() copies 100 entries" in copy.evidence
    assert "- self.Q = self.new_Q.copy()" in copy.fix
    membership = found["list-membership"]
    assert membership.sizes["entries"] == 4
    assert "if self.place in HOLES:" in membership.fix
    assert found["object-per-step"].seconds == pytest.approx(0.2)
    assert found["dict-table"].sizes == {
        "entries": 100, "actions": 4, "targets": True, "attribute": True,
    }  # fmt: skip
    assert "self.Q[i * columns + j]" in found["dict-table"].fix
    assert "best" in found["scalar-numpy"].fix
    lines = (tmp_path / "script.py").read_text().splitlines()
    assert "self.new_Q.copy()" in lines[copy.line - 1]


def test_what_takes_no_time_is_no_finding(tmp_path):
    rows = [(100.0, RUN, "self.state.reward()"), *DICT_ROWS[:1]]
    assert "table-copy" not in find(tmp_path, DICT, rows, DICT_SEEN, DICT_CALLS)


def test_a_copy_outside_of_loops_is_none(tmp_path):
    code = DICT.replace(
        "            self.Q = self.new_Q.copy()\n", "        self.Q = self.new_Q.copy()\n"
    )
    code = code.replace("            steps -= 1\n", "").replace(
        "while steps > 0:", "for _ in range(steps):"
    )
    assert "table-copy" not in find(tmp_path, code, DICT_ROWS[:1], DICT_SEEN)


def test_loops_in_two_branches_are_not_the_same_work_twice(tmp_path):
    code = """
    def learn(Q, actions, steps):
        for step in range(steps):
            if step % 2:
                for a in actions:
                    use(Q[a])
            else:
                for a in actions:
                    save(Q[a])

    learn([1.0], [0], 10)
    """
    rows = [
        (1.0, "learn([1.0], [0], 10)", "use(Q[a])"),
        (1.0, "learn([1.0], [0], 10)", "save(Q[a])"),
    ]
    assert not find(tmp_path, code, rows)
    beside = code.replace("            else:\n", "            if step % 3:\n")
    assert set(find(tmp_path, beside, rows)) == {"repeated-loop"}


@pytest.mark.parametrize(
    ("index", "expected"),
    [({"shape": [64], "dtype": "int64"}, {"lost-updates"}), (None, set())],
)
def test_one_update_at_a_time_loses_none(tmp_path, index, expected):
    code = """
    import numpy as np

    def update(Q, states, errors):
        Q[states] += 0.1 * errors

    Q = np.zeros(100)
    for step in range(1000):
        update(Q, step, 1.0)
    """
    kind = ("ndarray", 64, index) if index else ("int", 1, {"value": 3})
    seen = [("update", "states", *kind), ("update", "Q", "ndarray", 100, {"shape": [100]})]
    rows = [(1.0, "update(Q, step, 1.0)", "Q[states] += 0.1 * errors")]
    assert set(find(tmp_path, code, rows, seen)) == expected


# --- networks

TRAINER = """
import torch
import torch.nn as nn


class QTrainer:
    def __init__(self, model, gamma):
        self.model, self.gamma = model, gamma
        self.criterion = nn.MSELoss()

    def train_step(self, state, action, reward, next_state, done):
        state = torch.tensor(state, dtype=torch.float)
        pred = self.model(state)
        target = pred.clone()
        for idx in range(len(done)):
            Q_new = reward[idx]
            if not done[idx]:
                Q_new = reward[idx] + self.gamma * torch.max(self.model(next_state[idx]))
            target[idx][action[idx]] = Q_new
        loss = self.criterion(target, pred)
        loss.backward()


trainer = QTrainer(None, 0.9)
for _ in range(100):
    trainer.train_step(1, 2, 3, 4, 5)
"""
STEP = "trainer.train_step(1, 2, 3, 4, 5)"
TRAINER_ROWS = [
    (0.6, STEP, "self.model(next_state[idx])"),
    (0.2, STEP, "loss.backward()"),
    (0.1, STEP, "torch.tensor(state, dtype=torch.float)"),
    (0.1, STEP, "self.model(state)"),
]
MODEL = ("Module", 3_587, {"module": "torch.nn.modules.container.Sequential", "device": "cpu"})
TRAINER_SEEN = [
    ("QTrainer.train_step", "self.model", *MODEL),
    ("QTrainer.train_step", "self.criterion", "Module", 0, {"module": "torch.nn.MSELoss"}),
    ("QTrainer.train_step", "done", "tuple", 1000, {"value": "bool"}),
    ("QTrainer.train_step", "state", "tuple", 1000, {"value": "ndarray"}),
]


def test_the_classic_trainer(tmp_path):
    found = find(tmp_path, TRAINER, TRAINER_ROWS, TRAINER_SEEN)
    assert set(found) == {"loop-over-batch", "tensor-from-list", "target-not-detached"}
    loop = found["loop-over-batch"]
    assert loop.share == pytest.approx(0.8)  # the way back is one of the loop's, too
    assert loop.sizes["batch"] == 1000
    assert "self.model(next_state).amax" in loop.fix


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("self.criterion(target, pred)", "self.criterion(target.detach(), pred)"),
        (
            "torch.max(self.model(next_state[idx]))",
            "torch.max(self.model(next_state[idx])).detach()",
        ),
        ("    def train_step", "    @torch.no_grad()\n    def train_step"),
    ],
)
def test_a_target_without_its_graph_is_well(tmp_path, there, instead):
    code = TRAINER.replace(there, instead)
    assert code != TRAINER
    assert "target-not-detached" not in find(tmp_path, code, TRAINER_ROWS, TRAINER_SEEN)


def test_the_rows_of_a_tensor_are_the_most_that_there_were(tmp_path):
    """A trainer learns from a thousand samples and from one, and was looked at with one last."""
    seen = [
        (*entry[:3], 1, dict(entry[4]) | {"history": [[0.1, 1], [0.2, 1000], [0.3, 1]]})
        if entry[2] in ("tuple", "list")
        else entry
        for entry in TRAINER_SEEN
    ]
    finding = find(tmp_path, TRAINER, TRAINER_ROWS, seen)["tensor-from-list"]
    assert finding.sizes["entries"] == 1000
    assert "of 1000 rows" in finding.evidence


GAME = """
from trainer import Trainer

trainer = Trainer()


def train_short_memory(state, reward):
    trainer.train_step(state, reward)


def play(game, agent):
    while True:
        final_move = agent.get_action(game)
        reward, done = game.play_step(final_move)
        train_short_memory(game, reward)
"""
THERE = """
class Trainer:
    def train_step(self, state, reward):
        loss = self.model(state) - reward
        loss.backward()
"""


@pytest.mark.parametrize("stepped", ["play_step", "step"])
def test_a_game_is_one_game_however_its_move_is_written(tmp_path, stepped):
    """A one-hot move is a list of three; where many worlds step, a list is theirs."""
    there = tmp_path / "trainer.py"
    there.write_text(THERE)
    rows = [
        (1.0, "play(game, agent)", "train_short_memory(game, reward)",
         "trainer.train_step(state, reward)", (there, "loss.backward()")),
    ]  # fmt: skip
    code = GAME.replace("play_step", stepped) + "\n\nplay(game, agent)\n"
    found = find(tmp_path, code, rows, [("play", "final_move", "list", 3)])
    assert ("learn-every-step" in found) == (stepped == "play_step")


ACTING = """
import torch
from torch import nn

model = nn.Linear(4, 2)


def act(states):
    return model(states).argmax(1)


for _ in range(1000):
    act(1)
"""


@pytest.mark.parametrize(
    ("there", "instead", "expected"),
    [
        ("", "", True),
        ("def act", "@torch.inference_mode()\ndef act", False),
        ("    act(1)", "    with torch.no_grad():\n        act(1)", False),
        ("    return model(states).argmax(1)", "    return model(states).square()", False),
    ],
)
def test_a_graph_nobody_needs(tmp_path, there, instead, expected):
    code = ACTING.replace(there, instead) if there else ACTING
    seen = [("<module>", "model", *MODEL), ("act", "states", "Tensor", 128, {"shape": [32, 4]})]
    found = find(tmp_path, code, [(1.0, "act(1)", "model(states)")], seen)
    assert ("grad-when-acting" in found) is expected
    if expected:
        assert "+ with torch.inference_mode():" in found["grad-when-acting"].fix


@pytest.mark.parametrize(
    "instead",
    ["(1 - dones) * model(states)", "model(states) * alive"],
)
def test_the_end_is_known(tmp_path, instead):
    code = """
    import torch
    from torch import nn

    model = nn.Linear(4, 2)

    def targets(rewards, states, dones):
        with torch.no_grad():
            return rewards + 0.99 * model(states)

    for _ in range(1000):
        targets(1, 2, 3)
    """
    seen = [("<module>", "model", *MODEL)]
    rows = [(1.0, "targets(1, 2, 3)", "model(states)")]
    found = find(tmp_path, code, rows, seen)
    assert set(found) == {"bootstrap-terminal"}
    assert found["bootstrap-terminal"].gain_limit == 1.0  # for learning's sake, not for speed
    assert "(1 - dones)" in found["bootstrap-terminal"].fix
    assert not find(tmp_path, code.replace("model(states)\n", f"{instead}\n"), rows, seen)


# --- devices

ON_GPU = """
import torch

model = torch.nn.Linear(4, 2)


def train(steps):
    total = 0.0
    for step in range(steps):
        loss = model(step)
        total += loss.item()


train(1000)
"""
GPU_ROWS = [(0.5, "train(1000)", "loss.item()"), (0.5, "train(1000)", "model(step)")]


@pytest.mark.parametrize(("device", "cuda"), [("cuda:0", True), ("cpu", True), ("cpu", False)])
def test_a_gpu_waited_for_and_one_not_needed(tmp_path, device, cuda):
    seen = [
        ("train", "loss", "Tensor", 1, {"shape": [], "device": device, "requires_grad": True}),
        ("train", "step", "Tensor", 128, {"shape": [32, 4], "device": device}),
        ("<module>", "model", "Module", 10, {"module": "torch.nn.Linear", "device": device}),
    ]
    found = find(tmp_path, ON_GPU, GPU_ROWS, seen, cuda=cuda, modules={"torch": "2.6"})
    on_gpu = {"device-sync", "tiny-net-on-gpu"} if device.startswith("cuda") else set()
    assert set(found) & {"device-sync", "tiny-net-on-gpu"} == on_gpu


@pytest.mark.parametrize(
    ("threads", "parameters", "expected"), [(16, 10, True), (1, 10, False), (16, 10**7, False)]
)
def test_threads_by_the_size_of_the_network(tmp_path, threads, parameters, expected):
    seen = [("<module>", "model", "Module", parameters, {"module": "torch.nn.Linear"})]
    rows = [
        *GPU_ROWS,
        (
            1.0,
            "train(1000)",
            "model(step)",
            ("/x/site-packages/torch/nn/modules/module.py", "_call_impl"),
        ),
    ]
    found = find(tmp_path, ON_GPU, rows, seen, torch_threads=threads)
    assert ("too-many-threads" in found) is expected
