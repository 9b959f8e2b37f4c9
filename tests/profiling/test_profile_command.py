"""`qlearn profile`: scripts run as they are, endings passed on, reports that hold together."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

import qlearn
from qlearn.cli.main import main
from qlearn.profiling.raw import read

CLASSIC = Path(__file__).parents[2] / "examples" / "classic"

TABLE = """
import random
import sys

Q = {(s, a): 0.0 for s in range(25) for a in range(4)}


def act(s):
    return max(range(4), key=lambda a: Q[(s, a)]) if random.random() > 0.1 else random.randrange(4)


def step(s, a):
    after = (s + a) % 25
    return after, 1.0 if after == 24 else 0.0


def train(steps):
    global Q
    s = 0
    for _ in range(steps):
        a = act(s)
        after, reward = step(s, a)
        best = max(Q[(after, b)] for b in range(4))
        new = Q.copy()
        new[(s, a)] = round(0.5 * Q[(s, a)] + 0.5 * (reward + 0.9 * best), 3)
        Q = new
        s = after


if __name__ == "__main__":
    train(int(sys.argv[1]))
    print("trained", *sys.argv[1:])
    sys.exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
"""

DQN = """
import random
from collections import deque

import gymnasium as gym
import numpy as np
import torch
from torch import nn, optim

torch.set_num_threads(1)
env = gym.make("CartPole-v1")
model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
target_model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.MSELoss()
memory = deque(maxlen=10_000)


def select_action(state, epsilon):
    if random.random() < epsilon:
        return env.action_space.sample()
    with torch.no_grad():
        return model(torch.tensor(state).unsqueeze(0)).argmax().item()


def optimize():
    if len(memory) < 64:
        return
    batch = random.sample(memory, 64)
    states, actions, rewards, next_states, dones = zip(*batch)
    states = torch.tensor(np.array(states))
    next_states = torch.tensor(np.array(next_states))
    actions = torch.tensor(actions).unsqueeze(1)
    rewards = torch.tensor(rewards, dtype=torch.float32)
    dones = torch.tensor(dones, dtype=torch.float32)
    q = model(states).gather(1, actions).squeeze(1)
    with torch.no_grad():
        expected = rewards + 0.99 * target_model(next_states).max(1)[0] * (1 - dones)
    loss = criterion(q, expected)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def main():
    epsilon, scores = 1.0, []
    while len(memory) < 1500:
        state, _ = env.reset()
        done, score = False, 0.0
        while not done:
            action = select_action(state, epsilon)
            next_state, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            memory.append((state, action, reward, next_state, float(terminated)))
            optimize()
            state = next_state
            score += reward
        scores.append(score)
        epsilon = max(0.05, epsilon * 0.99)
        target_model.load_state_dict(model.state_dict())


main()
"""

NUMPY = """
import numpy as np

rng = np.random.default_rng(0)
moves = np.array([-5, 5, -1, 1])
Q = np.zeros((25, 4))
states = np.zeros(512, dtype=np.int64)
for t in range(1_000_000):
    greedy = Q[states].argmax(axis=1)
    explore = rng.random(512) < 0.1
    actions = np.where(explore, rng.integers(0, 4, 512), greedy)
    next_states = np.clip(states + moves[actions], 0, 24)
    rewards = np.where(next_states == 24, 1.0, -0.01)
    target = rewards + 0.9 * Q[next_states].max(axis=1) * (next_states != 24)
    Q[states, actions] += 0.1 * (target - Q[states, actions])
    states = np.where(next_states == 24, 0, next_states)
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def write(tmp_path, text, name="script.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return path


def attributed(report):
    shares = {stage["name"]: stage["share"] for stage in report["stages"]}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)
    return 1.0 - shares.get("other", 0.0), shares


def test_a_table_is_seen_through(tmp_path):
    report = qlearn.profile(write(tmp_path, TABLE), ["60000"])
    named, shares = attributed(report)
    assert named > 0.8
    assert {"acting", "update", "table_copy"} <= set(shares)
    assert report["exit_code"] == 0
    assert any(spot["function"] == "train" for spot in report["hotspots"])
    for name in ("html", "raw"):
        assert Path(report["artifacts"][name]).is_file()
    json.dumps(report, allow_nan=False)


def test_a_classic_dqn_is_attributed_almost_wholly(tmp_path):
    pytest.importorskip("torch")
    report = qlearn.profile(write(tmp_path, DQN))
    named, shares = attributed(report)
    assert named >= 0.9
    expected = {"environment", "acting", "sampling", "converting", "forward", "loss", "backward",
                "optimiser"}  # fmt: skip
    assert expected <= set(shares)
    assert shares["optimiser"] > 0.03
    assert shares["backward"] > 0.03


def test_a_vectorised_table_is_attributed(tmp_path):
    report = qlearn.profile(write(tmp_path, NUMPY), seconds=2.0)
    named, shares = attributed(report)
    assert named > 0.8
    assert {"acting", "environment", "update"} <= set(shares)


def test_our_own_classics_are_attributed():
    report = qlearn.profile(CLASSIC / "q_learning.py", ["12000"])
    named, shares = attributed(report)
    assert named > 0.8
    assert shares["table_copy"] > 0.002


def test_arguments_and_exit_code_are_the_scripts(tmp_path, capfd):
    script = write(tmp_path, TABLE)
    assert main(["profile", str(script), "--", "2000", "3"]) == 3
    assert "trained 2000 3" in capfd.readouterr().out


def test_arguments_may_stand_with_the_script(tmp_path, capfd):
    write(tmp_path, TABLE)
    assert main(["profile", "script.py 2000 4"]) == 4
    assert "trained 2000 4" in capfd.readouterr().out


def test_json_is_the_last_line_and_the_scripts_words_are_elsewhere(tmp_path, capfd):
    script = write(tmp_path, TABLE)
    assert main(["profile", str(script), "--json", "--", "60000"]) == 0
    captured = capfd.readouterr()
    assert "trained" in captured.err
    (line,) = captured.out.strip().splitlines()
    report = json.loads(line)
    assert {
        "total_seconds", "stages", "hotspots", "peak_memory_mb", "findings", "artifacts",
    } <= report.keys()  # fmt: skip
    spot = report["hotspots"][0]
    assert {
        "function", "file", "line", "calls", "self_seconds", "cumulative_seconds", "share",
    } <= spot.keys()  # fmt: skip


def test_a_scripts_own_error_is_shown_as_its_own(tmp_path, capfd):
    script = write(tmp_path, "def f():\n    raise ValueError('mine')\n\n\nf()\n")
    assert main(["profile", str(script)]) == 1
    err = capfd.readouterr().err
    assert "ValueError: mine" in err
    assert "qlearn/profiling" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["profile", "missing.py"], "missing.py: no such file"),
        (["profile", "nonsense"], "'nonsense' is no script"),
        (["profile", "script.py", "--seconds", "-1"], "above 0"),
        (["profile"], "TARGET"),
    ],
)
def test_bad_input_is_one_line(words, says, capfd):
    assert main(words) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert says in line


def test_it_stops_when_told(tmp_path):
    report = qlearn.profile(write(tmp_path, TABLE), ["2000000000"], seconds=1.0)
    assert report["end"]["kind"] == "stopped"
    assert 0.5 < report["total_seconds"] < 30.0
    assert report["options"] == ["--seconds=1"]


def test_a_training_of_ours_has_the_stages_of_its_timers(home):
    report = qlearn.profile("cartpole", seconds=1.0)
    named = {stage["name"] for stage in report["stages"]}
    assert {"act", "env", "learn", "imports"} <= named
    attributed(report)
    timed = json.loads((Path(report["run"]) / "run.json").read_text())["result"]["stages"]
    shown = {stage["name"]: stage["seconds"] for stage in report["stages"]}
    for stage in timed:
        if stage["name"] != "other":
            assert shown[stage["name"]] == pytest.approx(stage["seconds"])


def test_the_timers_of_a_training_agree_with_the_samples(home):
    """Where the environment steps from Python, the sampler can see what the timers say."""
    pytest.importorskip("gymnasium")
    report = qlearn.profile("gym:Acrobot-v1", seconds=2.0)
    sampled = dict.fromkeys(("env", "eval"), 0.0)
    raw = read(report["artifacts"]["raw"])
    for sample in raw.samples:
        if sample.thread != "main":
            continue
        names = [raw.frames[index].function.rpartition(".")[2] for index in sample.stack]
        if "_evaluate" in names:
            sampled["eval"] += sample.seconds
        elif "_train_a_chunk" in names and "step" in names:
            sampled["env"] += sample.seconds
    timed = {stage["name"]: stage["seconds"] for stage in report["stages"]}
    for name, seconds in sampled.items():
        assert seconds / report["total_seconds"] == pytest.approx(
            timed[name] / report["total_seconds"], abs=0.05
        )
    assert sampled["env"] > 0.0


def test_a_run_is_trained_again_by_its_own_settings(home):
    run = qlearn.train("grid", steps=2000, seed=3, lr=0.25)
    report = qlearn.profile(str(run.path))
    again = json.loads((Path(report["run"]) / "run.json").read_text())
    assert report["exit_code"] == 0
    for key in ("env", "algo", "engine", "seed", "config"):
        assert again[key] == run.folder.record[key]
