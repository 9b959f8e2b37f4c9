"""A run trained again: the same bits whatever befell it, and where it first differs if not."""

from __future__ import annotations

import json
import os
import shutil
import signal

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import qlearn
from qlearn.cli.main import main
from qlearn.errors import UserError
from qlearn.runs import checkpoint, knobs, requests
from qlearn.runs.driver import Interrupted
from qlearn.runs.folder import RunFolder
from qlearn.runs.reproduce import AGAIN
from qlearn.runs.watchers import Watcher

TABLE = {"env": "grid", "engine": "dict", "steps": 3000, "eval_episodes": 3}
DQN = {
    "env": "cartpole", "algo": "dqn", "steps": 1600, "start": 400, "envs": 4, "hidden": "16",
    "eval_episodes": 3, "eval_every": 500,
}  # fmt: skip


class Drifting(gymnasium.Env):
    """Shows where it drifts to; what it draws is its seed's."""

    observation_space = spaces.Box(-50.0, 50.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.steps = 0.0, 0
        return np.float32([self.x]), {}

    def step(self, action):
        self.x += 2.0 * action - 1.0 + self.np_random.normal()
        self.steps += 1
        return np.float32([np.clip(self.x, -50, 50)]), -abs(self.x), self.steps == 20, False, {}


if "Drifting-v0" not in gymnasium.registry:
    gymnasium.register(id="Drifting-v0", entry_point=Drifting)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


class At(Watcher):
    """Does something to the training once it has come so far."""

    def __init__(self, step, do):
        self.step, self.do, self.done = step, do, False

    def begins(self, training):
        self.training = training

    def wants(self, now):
        return not self.done and self.training.env_steps >= self.step

    def looks(self, training):
        self.done = True
        self.do(training.folder.path)


def press_ctrl_c(_):
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(step=900, **how):
    with pytest.raises(Interrupted) as stopped:
        qlearn.train(watchers=[At(step, press_ctrl_c)], **how)
    return stopped.value.run


@pytest.mark.parametrize(
    "how", [TABLE, TABLE | {"engine": "numpy"}, DQN], ids=["dict", "numpy", "dqn"]
)
def test_a_finished_run_comes_out_the_same(how):
    run = qlearn.train(seed=5, **how)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    found = qlearn.reproduce("last")
    assert found["identical"]
    assert (found["first_difference"], found["differs"], found["folder"]) == (None, [], None)
    assert found["run"] == str(run.path)
    assert found["env_steps"] == run.report["env_steps"]
    assert found["rows"] > 40
    assert found["arrays"] == len(checkpoint.load(run.path / "checkpoints" / "last")[0])
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_what_was_steered_is_steered_again():
    def steer(path):
        knobs.write(path, {"epsilon": 0.5, "lr": "0.5->0.1"})
        requests.append(path, requests.EVALUATE)

    run = qlearn.train(watchers=[At(900, steer)], **TABLE)
    rows = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
    assert {row["event"] for row in rows if "event" in row} == {"set", "evaluate"}
    assert qlearn.reproduce(run.path)["identical"]

    file = run.path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    gone = [b" " * (len(line) - 1) + b"\n" if b'"set"' in line else line for line in lines]
    file.write_bytes(b"".join(gone))  # as long as it was: the checkpoint says where it ended
    found = qlearn.reproduce(run.path)
    assert not found["identical"]
    assert found["first_difference"]["where"] == "metrics.jsonl"
    assert found["first_difference"]["env_steps"] >= 900


def test_a_run_that_was_stopped_is_the_same_as_far_as_it_came(tmp_path):
    run = interrupted(out=tmp_path / "r", **TABLE)
    found = qlearn.reproduce(run.path)
    assert found["identical"]
    assert 900 <= found["env_steps"] < 3000


def test_a_run_that_was_given_more_budget_has_its_schedules_of_before(tmp_path):
    """Epsilon falls over the budget: it fell faster until the budget grew."""
    run = interrupted(out=tmp_path / "r", **TABLE)
    qlearn.train(resume=run.path)
    qlearn.train(resume=run.path, steps=4500)
    taken_up = RunFolder.open(run.path).record["taken_up"]
    assert [each["steps"] for each in taken_up] == [3000, 3000]
    assert taken_up[1]["env_steps"] == 3000
    assert qlearn.reproduce(run.path)["identical"]
    RunFolder.open(run.path).update(taken_up=[])  # as if nobody had known
    assert not qlearn.reproduce(run.path)["identical"]


def without_games(run):
    """As if its checkpoint were from before there were any in it."""
    last = run.path / "checkpoints" / "last"
    arrays, about = checkpoint.load(last)
    kept = {name: array for name, array in arrays.items() if not name.startswith("batch.games")}
    assert len(kept) < len(arrays)
    about = {k: v for k, v in about.items() if k not in ("format", "sha256", "arrays")}
    checkpoint.save(last, kept, about)


STEPPED = DQN | {"env": "gym:Drifting-v0", "env_run": "serial"}


def test_games_that_went_on_are_reproduced(tmp_path):
    run = interrupted(out=tmp_path / "r", **STEPPED)
    assert qlearn.reproduce(run.path)["identical"]
    qlearn.train(resume=run.path)
    assert [each["anew"] for each in RunFolder.open(run.path).record["taken_up"]] == [False]
    assert qlearn.reproduce(run.path)["identical"]
    qlearn.train(resume=run.path, steps=2000)
    assert qlearn.reproduce(run.path)["identical"]


def test_games_that_began_anew_begin_anew_again(tmp_path):
    run, said = interrupted(out=tmp_path / "r", **STEPPED), []
    without_games(run)
    assert qlearn.reproduce(run.path)["identical"]
    qlearn.train(resume=run.path, say=said.append)
    assert said[-1].endswith("gym:Drifting-v0 was saved without its games and begins new games")
    assert qlearn.reproduce(run.path)["identical"]
    qlearn.train(resume=run.path, steps=2000)  # and then they go on
    assert qlearn.reproduce(run.path)["identical"]
    folder = RunFolder.open(run.path)
    taken_up = folder.record["taken_up"]
    assert [each["anew"] for each in taken_up] == [True, False]
    folder.update(taken_up=[each | {"anew": False} for each in taken_up])
    with pytest.raises(UserError, match=r"its games began anew 1 times.*run\.json knows when of 0"):
        qlearn.reproduce(run.path)


def test_the_first_difference_is_named(tmp_path, capsys):
    run = qlearn.train(out=tmp_path / "r", **TABLE)
    last = run.path / "checkpoints" / "last"
    arrays, about = checkpoint.load(last)
    was = float(arrays["table"][3, 1])
    arrays["table"][3, 1] += 0.25
    checkpoint.save(
        last, arrays, {k: v for k, v in about.items() if k not in ("format", "sha256", "arrays")}
    )
    assert main(["reproduce", str(run.path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["first_difference"] == {
        "where": "checkpoint", "array": "table", "index": [3, 1], "by": 0.25,
        "was": was + 0.25, "is": was,
    }  # fmt: skip
    assert found["folder"] == str(run.path / AGAIN)
    assert qlearn.load(found["folder"]).report["eval"] == run.report["eval"]

    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[16]) | {"epsilon": 0.125}
    (run.path / "metrics.jsonl").write_text(
        "\n".join([*lines[:16], json.dumps(row), *lines[17:]]) + "\n"
    )
    assert main(["reproduce", str(run.path), "--quiet"]) == 1
    said = capsys.readouterr().out
    assert "different: " in said
    assert f"metrics.jsonl, row 17, step {row['env_steps']}: epsilon: " in said
    assert "checkpoint, table[3, 1]: " in said
    assert "by 0.25" in said


def test_what_is_not_as_it_was_recorded_is_said(tmp_path, capsys):
    run = qlearn.train(out=tmp_path / "r", **TABLE)
    record = RunFolder.open(run.path).record
    assert record["versions"].keys() >= {"python", "qlearn", "numpy", "numba", "gymnasium"}
    assert record["processor"]["name"]
    run.folder.update(versions=record["versions"] | {"numpy": "1.0"})
    assert main(["reproduce", str(run.path), "--out", str(tmp_path / "again")]) == 0
    said = capsys.readouterr().out
    assert "identical: " in said
    assert f"numpy is {np.__version__}, and was 1.0" in said
    assert (tmp_path / "again" / "run.json").exists()


def test_a_file_that_was_edited_since_is_named(tmp_path):
    (tmp_path / "maze.txt").write_text("S..\n.O.\n..G\n")
    run = qlearn.train(**TABLE | {"env": str(tmp_path / "maze.txt")}, out=tmp_path / "r")
    (tmp_path / "maze.txt").write_text("S..\n.OO\n..G\n")
    found = qlearn.reproduce(run.path)
    assert not found["identical"]
    assert [each["what"] for each in found["differs"]] == [str(tmp_path / "maze.txt")]


def test_what_cannot_be_reproduced_is_one_line(tmp_path, home, capsys):
    run = qlearn.train(out=tmp_path / "r", **TABLE)
    shutil.copytree(run.path, tmp_path / "o")
    for path in (tmp_path / "o" / "checkpoints").iterdir():
        path.unlink()
    RunFolder.open(run.path).update(status="running", pid=os.getppid(), pid_started=None)
    for words, message in (
        ([str(run.path)], "r is still being trained"),
        ([str(tmp_path / "o")], "o has come to no checkpoint"),
        (["nowhere"], "there is no run 'nowhere'"),
        ([], "the following arguments are required: RUN"),
    ):
        assert main(["reproduce", *words]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert not home.exists()
    assert not (run.path / AGAIN).exists()
