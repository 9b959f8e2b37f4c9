"""Training: budgets, metrics, going on after every kind of stop with the same numbers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import qlearn
from qlearn.algorithms import registry as algorithms
from qlearn.algorithms.table import greedy
from qlearn.algorithms.table.config import TableConfig
from qlearn.algorithms.table.sequential import DictLearner
from qlearn.errors import UserError
from qlearn.runs import asked, checkpoint, driver, files, process
from qlearn.runs.folder import RunFolder, find_run

KEYS = {
    "run", "env", "algo", "engine", "device", "threads", "seed", "env_steps", "updates", "episodes",
    "compile_seconds", "train_seconds", "total_seconds", "steps_per_second", "solved_at_seconds",
    "solved_at_steps", "eval", "best_eval", "stages", "peak_memory_mb",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def metrics(path):
    """Every line of learning and judging, without what depends on the machine."""
    rows = [json.loads(line) for line in (Path(path) / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "event" not in row]
    return [{key: value for key, value in row.items() if key != "machine"} for row in rows]


def arrays(path, place="checkpoints/last"):
    return checkpoint.load(Path(path) / place)[0]


def assert_same_run(one, other):
    assert metrics(one.path) == metrics(other.path)
    for place in ("checkpoints/last", "best"):
        first, second = arrays(one.path, place), arrays(other.path, place)
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    for key in ("env_steps", "updates", "episodes", "eval", "best_eval", "solved_at_steps"):
        assert one.report[key] == other.report[key], key


def test_the_report_has_every_key_of_the_contract():
    run = qlearn.train("grid", engine="numba", steps=5000, seed=3)
    report = run.report
    assert report.keys() >= KEYS
    assert (report["env"], report["algo"], report["engine"]) == ("grid", "table", "numba")
    assert (report["env_steps"], report["updates"], report["seed"]) == (5000, 5000, 3)
    assert Path(report["run"]) == run.path
    assert report["eval"].keys() >= {"episodes", "mean", "std", "min", "max"}
    assert sum(stage["share"] for stage in report["stages"]) == pytest.approx(1.0)
    assert {stage["name"] for stage in report["stages"]} >= {"learn", "eval", "checkpoint", "log"}
    assert report["train_seconds"] <= report["total_seconds"]
    assert json.loads((run.path / "run.json").read_text())["result"] == report
    assert run.status == "done"
    assert repr(run) == f"Run({str(run.path)!r}, done)"


def test_metrics_say_what_was_learned_and_repeat_with_the_seed():
    one, same, other = (qlearn.train("grid", engine="dict", steps=4000, seed=s) for s in (1, 1, 2))
    assert metrics(one.path) == metrics(same.path) != metrics(other.path)
    rows = metrics(one.path)
    assert [row["env_steps"] for row in rows[:-1]] == list(range(20, 4001, 20))
    assert rows[-2]["updates"] == 4000
    assert rows[-2]["episodes"] == one.report["episodes"]
    assert {"return", "epsilon", "lr"} <= rows[-2].keys()
    assert rows[-1]["eval"] == one.report["eval"]


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_logged_returns_are_those_of_the_episodes(engine):
    run = qlearn.train("grid", engine=engine, steps=2000, seed=0, eval_every=500)
    rows = [row for row in metrics(run.path) if "eval" not in row]
    assert len({row["env_steps"] for row in rows}) == len(rows)  # no step is logged twice
    assert all(row["return"] is None or -1000 < row["return"] <= 1 for row in rows)
    assert rows[-1]["episodes"] == run.report["episodes"] > 0
    judged = [row for row in metrics(run.path) if "eval" in row]
    assert [row["env_steps"] // 500 for row in judged] == [1, 2, 3, 4, 4]
    assert judged[-1]["eval"] == run.report["eval"]  # the one at the end


# Stops and going on.
class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def gone():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def killed(monkeypatch, gone, after, out, **how):
    """A training whose process is gone `after` so many looks; nothing is tidied up."""
    looks = iter(range(1, 10**9))
    look = driver.Training._look

    def dies(self):
        look(self)
        if next(looks) == after:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(driver.Training, "_look", dies)
        with pytest.raises(Killed):
            qlearn.train(out=out, **how)
    folder = RunFolder.open(Path(out))
    folder.update(status="running", pid=gone)
    return folder


CASES = {
    "numba": {"env": "grid", "engine": "numba", "steps": 30_000},
    "dict": {"env": "grid", "engine": "dict", "steps": 6000, "rule": "double", "env.slip": 0.1},
    "numpy": {"env": "grid", "engine": "numpy", "steps": 6000, "rule": "sarsa", "envs": 16},
    "torch": {"env": "grid", "engine": "torch", "steps": 6000, "lr": "visits:1@0.6"},
    "pqn": {
        "env": "cartpole",
        "algo": "pqn",
        "steps": 20_000,
        "envs": 4,
        "rollout": 16,
        "minibatch": 64,
        "eval_every": 1000,
    },
    "schedule": {"env": "gym:FrozenLake-v1", "engine": "numba", "steps": 8000, "eval_every": 1500},
}


@pytest.mark.parametrize("case", CASES)
def test_killed_and_resumed_it_learns_the_same(case, tmp_path, monkeypatch, gone):
    how = {**CASES[case], "seed": 7, "checkpoint_seconds": 0.0}
    whole = qlearn.train(out=tmp_path / "whole", **how)
    folder = killed(monkeypatch, gone, 50, tmp_path / "killed", **how)
    assert folder.status == "interrupted"
    about = checkpoint.load(folder.path / "checkpoints" / "last")[1]
    assert 0 < about["env_steps"] < how["steps"]
    assert_same_run(qlearn.train(resume=folder.path), whole)


def test_returns_not_yet_logged_are_saved_too(tmp_path, monkeypatch, gone):
    monkeypatch.setattr(driver, "LOG_LINES", 2)
    how = {"env": "grid", "engine": "dict", "steps": 8000, "eval_every": 500, "seed": 1}
    whole = qlearn.train(out=tmp_path / "whole", **how)
    folder = killed(monkeypatch, gone, 3, tmp_path / "k", **how, checkpoint_seconds=0.0)
    about = checkpoint.load(folder.path / "checkpoints" / "last")[1]
    assert about["env_steps"] % 4000 > 0
    assert_same_run(qlearn.train(resume=folder.path), whole)


def test_lines_after_the_last_checkpoint_are_written_once(tmp_path, monkeypatch, gone):
    """Checkpoints at some looks only: what was logged between them is logged again."""
    saves = iter([0.0] * 20 + [1e9] * 10**6)
    how = {"env": "grid", "engine": "dict", "steps": 6000, "eval_every": 700}
    whole = qlearn.train(out=tmp_path / "whole", **how)
    save = driver.Training._save

    def seldom(self):
        save(self)
        object.__setattr__(self.settings, "checkpoint_seconds", next(saves))

    with monkeypatch.context() as patched:
        patched.setattr(driver.Training, "_save", seldom)
        folder = killed(patched, gone, 90, tmp_path / "k", **how, checkpoint_seconds=0.0)
    before = metrics(folder.path)[-1]["env_steps"]
    assert checkpoint.load(folder.path / "checkpoints" / "last")[1]["env_steps"] < before
    assert_same_run(qlearn.train(resume=folder.path), whole)


def test_killed_before_the_first_checkpoint_it_starts_again(tmp_path, monkeypatch, gone):
    how = {"env": "grid", "engine": "dict", "steps": 4000, "seed": 2}
    whole = qlearn.train(out=tmp_path / "whole", **how)
    folder = killed(monkeypatch, gone, 30, tmp_path / "killed", **how)
    assert not checkpoint.exists(folder.path / "checkpoints" / "last")
    said = []
    again = qlearn.train(resume=folder.path, say=said.append)
    assert "no checkpoint yet; starting again from its configuration" in said[0]
    assert_same_run(again, whole)


def test_a_finished_run_does_nothing_without_a_larger_budget():
    run = qlearn.train("grid", engine="dict", steps=1000)
    before = (run.path / "metrics.jsonl").read_bytes(), (run.path / "run.json").read_bytes()
    for budget in ({}, {"steps": 1000}, {"steps": 10}):
        said = []
        again = qlearn.train(resume="last", say=said.append, **budget)
        assert said == [f"{run.path.name} is finished; a larger --steps or --episodes would go on"]
        assert again.report == run.report
    assert before == (
        (run.path / "metrics.jsonl").read_bytes(),
        (run.path / "run.json").read_bytes(),
    )


def test_a_larger_budget_goes_on():
    run = qlearn.train("grid", engine="dict", steps=1000)
    more = qlearn.train(resume=run.path, steps=3000)
    assert (more.path, more.report["env_steps"]) == (run.path, 3000)
    straight = qlearn.train("grid", engine="dict", steps=3000)
    np.testing.assert_array_equal(arrays(more.path)["table"], arrays(straight.path)["table"])


NETWORK = {"env": "cartpole", "envs": 4, "hidden": "16", "threads": 1, "eval_episodes": 5}
PQN = {**NETWORK, "algo": "pqn", "rollout": 16, "minibatch": 32, "steps": 640}
DQN = {**NETWORK, "algo": "dqn", "start": 100, "every": "16", "replay": 2000, "batch": 16,
       "steps": 800}  # fmt: skip
EVEN = {"lr": 0.001, "epsilon": 0.1}
LONGER = {
    "dict": {"env": "grid", "engine": "dict", "steps": 1000, "epsilon": 0.1},
    "numpy": {"env": "grid", "engine": "numpy", "steps": 1280, **EVEN},
    "pqn": {**PQN, **EVEN},
    "dqn": {**DQN, **EVEN},
    "by steps": {**PQN, "lr": "0.01->0.001@900", "epsilon": "decay:1->0.1@0.99/ep"},
}


@pytest.mark.parametrize("case", LONGER)
def test_a_larger_budget_learns_what_it_would_have_learned_at_once(case, tmp_path):
    how, said = LONGER[case], []
    run = qlearn.train(out=tmp_path / "r", **how)
    more = {"steps": 2 * how["steps"]}
    qlearn.train(resume=run.path, say=said.append, **more)
    qlearn.train(out=tmp_path / "whole", **{**how, **more})
    assert said == [f"r goes on at step {how['steps']:,}"]
    last = "checkpoints/last.safetensors"
    assert (tmp_path / "r" / last).read_bytes() == (tmp_path / "whole" / last).read_bytes()


def test_schedules_that_follow_the_budget_are_told_of(tmp_path):
    how = {**PQN, "lr": 0.001, "epsilon": "1->0.1"}
    run, said = qlearn.train(out=tmp_path / "r", **how), []
    qlearn.train(resume=run.path, steps=1280, say=said.append)
    assert said[1:] == [
        "the budget is larger now, and epsilon by shares of it: from here on as if it had always"
        " been, while what is learned already followed the smaller one"
    ]
    rows = {row["env_steps"]: row["epsilon"] for row in metrics(run.path) if "epsilon" in row}
    assert rows[640] == pytest.approx(0.1)
    assert rows[704] == pytest.approx(1 - 0.9 * 704 / 1280)


@pytest.mark.parametrize(
    ("how", "engines"),
    [(LONGER["dict"], ("numba", "dict")), (PQN, ("fused", "torch")), (PQN, ("torch", "fused")),
     (DQN, ("fused", "torch")), (DQN, ("torch", "fused"))],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_run_goes_on_on_another_engine(how, engines, tmp_path):
    before, after = engines
    said, more = [], {"steps": 2 * how["steps"]}
    how = {**how, "engine": before, "eval_every": 100}
    qlearn.train(out=tmp_path / "r", **how)
    run = qlearn.train(resume=tmp_path / "r", engine=after, say=said.append, **more)
    assert said[1] == (
        f"from here on it is trained on {after} (cpu) instead of {before} (cpu): by the same rule,"
        " but its bits may differ from those of a run that stays"
    )
    assert run.report["engine"] == run.folder.record["engine"] == after
    assert run.report["env_steps"] == 2 * how["steps"]
    move = {"at": how["steps"], "from": [before, "cpu"], "to": [after, "cpu"]}
    assert run.folder.record["moves"] == [move]
    for best in (False, True):
        assert len(run.evaluate(2, best=best).scores) == 2
    more = {"steps": 2 * how["steps"] + 64}
    again = qlearn.train(resume=run.path, **more)
    assert again.report["engine"] == after
    assert again.folder.record["moves"] == [move]


def test_what_moves_by_no_rounding_has_the_same_bits(tmp_path):
    """The dict engine and its compiled twin are one and the same learner."""
    how = {**LONGER["dict"], "eval_every": 100}
    run = qlearn.train(out=tmp_path / "r", **how)
    run = qlearn.train(resume=run.path, engine="numba", steps=2000)
    stayed = qlearn.train(out=tmp_path / "stays", **{**how, "steps": 2000})
    np.testing.assert_array_equal(arrays(run.path)["table"], arrays(stayed.path)["table"])


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("numpy", "what the dict engine has saved does not fit the numpy engine; without --engine"),
        ("fused", "unknown engine 'fused' for table"),
    ],
)
def test_an_engine_that_cannot_go_on_is_refused_and_the_run_left_as_it_was(
    engine, message, tmp_path
):
    run = qlearn.train("grid", engine="dict", steps=500, out=tmp_path / "r")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=message) as caught:
        qlearn.train(resume=run.path, engine=engine, steps=1000)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_a_run_of_a_gpu_goes_on_where_there_is_none(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    how = {"env": "grid", "engine": "torch", "steps": 640, "eval_episodes": 5}
    run, said = qlearn.train(out=tmp_path / "r", **how), []
    config = {**run.folder.record["config"], "device": "cuda"}
    run.folder.update(device="cuda", config=config)
    with pytest.raises(UserError, match="torch found no CUDA device; --device cpu works"):
        qlearn.train(resume=run.path, steps=1280)
    more = qlearn.train(resume=run.path, steps=1280, device="cpu", say=said.append)
    assert "from here on it is trained on torch (cpu) instead of torch (cuda)" in said[1]
    assert more.report["device"] == more.folder.record["config"]["device"] == "cpu"


def test_lines_that_the_disk_has_lost_are_told_of_and_nothing_is_put_in_their_place(tmp_path):
    run, said = qlearn.train("grid", engine="dict", steps=1000, out=tmp_path / "r"), []
    path = run.path / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:50]) + lines[50][:20])
    qlearn.train(resume=run.path, steps=1500, say=said.append)
    assert said[0] == f"{path} is shorter than at the checkpoint: lines of it are lost"
    rows = metrics(run.path)  # every line is one
    assert [row["env_steps"] for row in rows[:50]] == list(range(5, 251, 5))
    assert rows[50]["env_steps"] > 1000
    path.unlink()
    qlearn.train(resume=run.path, steps=2000, say=said.append)
    assert metrics(run.path)[0]["env_steps"] > 1500


def test_lines_are_on_the_disk_before_the_checkpoint_that_counts_them(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    metrics_file = tmp_path / "r" / "metrics.jsonl"

    def syncs(place):
        done.append(metrics_file.exists() and os.path.sameopenfile(place, metrics_file_there()))
        fsync(place)

    def metrics_file_there():
        return opened.setdefault("place", os.open(metrics_file, os.O_RDONLY))

    def renames(source, target):
        done.append(str(target))
        replace(source, target)

    opened = {}
    monkeypatch.setattr(os, "fsync", syncs)
    monkeypatch.setattr(os, "replace", renames)
    qlearn.train("grid", engine="dict", steps=1000, out=tmp_path / "r")
    os.close(opened["place"])
    assert done.index(True) < done.index(str(tmp_path / "r" / "checkpoints" / "last.json"))


def test_drafts_of_a_killed_process_are_cleared(tmp_path):
    run = qlearn.train("grid", engine="dict", steps=1000, out=tmp_path / "r")
    for name in (".run.json.7", ".run.twin.json.7", ".lock.7", ".best.json.7", ".previous.json.7",
                 "checkpoints/.previous.json.7", "checkpoints/.last.new.safetensors.7"):  # fmt: skip
        (run.path / name).write_bytes(b"half")
    qlearn.train(resume=run.path, steps=2000)
    assert not list(run.path.rglob(".*"))


@pytest.mark.parametrize(
    "settings",
    [{"lr": 0.1}, {"seconds": 1.0}, {"until": 0.5}, {"out": "x"}, {"envs": 3}, {"init": 4},
     {"algo": "other"}, {"seed": 1}],
    ids=str,
)  # fmt: skip
def test_a_resumed_run_takes_no_other_settings(settings):
    qlearn.train("grid", engine="dict", steps=200)
    with pytest.raises(UserError, match="a resumed run keeps its own settings"):
        qlearn.train(resume="last", steps=400, **settings)


def test_a_run_in_training_is_not_trained_twice(tmp_path):
    run = qlearn.train("grid", engine="dict", steps=200, out=tmp_path / "r")
    parent = {"pid": os.getppid(), "pid_started": process.started(os.getppid())}
    RunFolder.open(run.path).update(status="running", **parent)
    with pytest.raises(UserError, match=f"still being trained by process {os.getppid()}"):
        qlearn.train(resume=run.path)


def test_a_training_that_fails_is_marked_so_and_can_be_resumed(monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        patched.setattr(driver.Training, "_finish", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            qlearn.train("grid", engine="dict", steps=300, out=tmp_path / "r")
    assert find_run(tmp_path / "r").status == "failed"
    assert qlearn.train(resume=tmp_path / "r").status == "done"


def test_a_damaged_checkpoint_is_told_and_the_run_left_as_it_was(tmp_path):
    run = qlearn.train("grid", engine="dict", steps=300, out=tmp_path / "r")
    file = run.path / "checkpoints" / "last.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    before = (run.path / "run.json").read_bytes()
    for _ in range(2):
        with pytest.raises(UserError, match=r"last\.safetensors is damaged"):
            qlearn.train(resume=run.path, steps=600)
    assert (run.path / "run.json").read_bytes() == before
    with pytest.raises(UserError, match=r"last\.safetensors is damaged"):
        qlearn.load(run.path).evaluate(1)
    file.write_bytes(whole)
    assert qlearn.train(resume=run.path, steps=600).report["env_steps"] == 600


@pytest.mark.parametrize("engine", ["dict", "numba", "numpy", "torch"])
def test_another_runs_arrays_do_not_fit(tmp_path, engine):
    run = qlearn.train("grid", engine=engine, steps=300, out=tmp_path / "r")
    other = qlearn.train("gym:FrozenLake-v1", engine=engine, steps=300, out=tmp_path / "o")
    for suffix in (".safetensors", ".json"):
        source = other.path / "checkpoints" / f"last{suffix}"
        (run.path / "checkpoints" / f"last{suffix}").write_bytes(source.read_bytes())
    with pytest.raises(UserError, match=r"does not fit its run\.json"):
        qlearn.load(run.path).evaluate(1)
    with pytest.raises(UserError, match=r"does not fit its run\.json"):
        qlearn.train(resume=run.path, steps=600)


@pytest.mark.parametrize("failing", ["replace", "fsync", "open"])
def test_a_full_disk_is_told_and_the_last_checkpoint_kept(failing, tmp_path, monkeypatch):
    run = qlearn.train("grid", engine="dict", steps=600, out=tmp_path / "r")
    table = arrays(run.path)["table"]

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        if failing == "open":
            patched.setattr(files, "open", full, raising=False)
        else:
            patched.setattr(files.os, failing, full)
        with pytest.raises(UserError, match="the disk is full"):
            qlearn.train(resume=run.path, steps=1200)
    np.testing.assert_array_equal(arrays(run.path)["table"], table)
    assert qlearn.train(resume=run.path, steps=1200).report["env_steps"] == 1200


SCRIPT = """
import sys
from qlearn.cli.main import main
raise SystemExit(main(["train", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_the_state_is_saved_and_resume_last_finishes(number, home, tmp_path):
    job = ["grid", "--engine", "dict", "--steps", "200k", "--seed", "5"]
    whole = tmp_path / "whole"
    assert subprocess.run([sys.executable, "-c", SCRIPT, *job, "--out", str(whole)],
                          capture_output=True, check=False).returncode == 0  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *job], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    while not list(home.glob("*/metrics.jsonl")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    stopped = find_run("last")
    assert stopped.status == "interrupted"
    assert errors == f"qlearn: interrupted; qlearn train --resume {stopped.path.name} goes on\n"
    about = checkpoint.load(stopped.path / "checkpoints" / "last")[1]
    assert 0 < about["env_steps"] < 200_000
    assert_same_run(qlearn.train(resume="last"), qlearn.load(whole))


# Budgets and settings.
def test_solved_is_three_times_in_a_row_each_a_thousand_steps_on():
    run = qlearn.train("grid", engine="dict", steps=50_000, until=-7.0, eval_every=10)
    judged = [row for row in metrics(run.path) if "eval" in row][:-1]
    good = [row["eval"]["mean"] >= -7.0 for row in judged]
    steps = [row["env_steps"] for row in judged]
    assert good[-3:] == [True] * 3
    assert not any(all(good[k : k + 3]) for k in range(len(good) - 3))
    assert np.diff([0, *steps]).min() >= 1000
    assert run.report["solved_at_steps"] == steps[-1] == run.report["env_steps"] < 50_000
    assert 0 < run.report["solved_at_seconds"] <= run.report["train_seconds"]
    assert all(row["eval"]["episodes"] == 20 for row in judged)


def test_never_solved_is_null():
    run = qlearn.train("grid", engine="dict", steps=4000, until=99.0)
    assert run.report["solved_at_steps"] is run.report["solved_at_seconds"] is None
    assert run.report["env_steps"] == 4000


def test_the_best_evaluation_is_kept_beside_the_last():
    run = qlearn.train("grid", engine="dict", steps=3000, eval_every=300, lr=0.9)
    judged = [row["eval"]["mean"] for row in metrics(run.path) if "eval" in row]
    assert run.report["best_eval"]["mean"] == max([*judged, run.report["eval"]["mean"]])
    assert run.evaluate(100, best=True, seed=driver.EVALUATION_SEED).mean == max(
        [*judged, run.report["eval"]["mean"]]
    )


def test_seconds_become_a_recorded_number_of_steps():
    said = []
    run = qlearn.train("grid", engine="dict", seconds=0.3, say=said.append)
    assert any("seconds are about" in line for line in said)
    config = json.loads((run.path / "run.json").read_text())["config"]
    assert config["steps"] == run.report["env_steps"] > 1000


def test_a_loaded_run_evaluates_as_it_did_when_it_ended():
    run = qlearn.train("grid", engine="numpy", steps=6400)
    again = qlearn.load(run.path.name).evaluate(100, seed=driver.EVALUATION_SEED).report()
    assert again == run.report["eval"]
    with pytest.raises(UserError, match="episodes must be at least 1"):
        run.evaluate(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"episodes": -1}, "episodes must be at least 1, not -1"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"seed": -1}, "a seed is a whole number"),
        ({"seed": 2**63}, "a seed is a whole number"),
        ({"eval_every": -5}, "eval_every must be at least 0, not -5"),
        ({"eval_every": "-5ep"}, "eval_every must be at least 0, not -5"),
        ({"eval_every": "often"}, "eval_every is a number of steps, or of episodes such as 10ep"),
        ({"threads": -1}, "threads must be at least 0, not -1"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, not 'gpu'"),
        ({"init": 2**63}, "a seed is a whole number from 0"),
        ({"init": "nowhere.pth"}, "--init: 'nowhere.pth' is no seed, and there is no file"),
        ({"eval_episodes": 0}, "eval_episodes must be at least 1, not 0"),
        ({"eval_max_steps": 0}, "eval_max_steps must be at least 1"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds must be at least 0"),
        ({"engine": "nump"}, "unknown engine 'nump' for table; did you mean 'numpy'"),
        ({"algo": "tabel"}, "unknown algorithm 'tabel'; did you mean 'table'"),
        ({"learning_rate": 1}, "there is no setting 'learning_rate'"),
        ({"env.slippery": 1}, "there is no option env.slippery"),
    ],
    ids=str,
)
def test_impossible_settings_are_one_line_and_leave_no_folder(settings, message, home):
    with pytest.raises(UserError, match=message) as caught:
        qlearn.train("grid", **{"steps": 100, **settings})
    assert "\n" not in str(caught.value)
    assert not home.exists() or not list(home.iterdir())


def test_an_environment_is_needed():
    with pytest.raises(UserError, match="which environment"):
        qlearn.train()


def test_what_is_asked_again_alike_is_no_contradiction():
    qlearn.train("grid", engine="dict", steps=200, seed=3)
    again = qlearn.train(resume="last", steps=400, engine="dict", algo="table", seed=3)
    assert again.report["env_steps"] == 400


# Evaluations.
def learned(run):
    return {name: array for name, array in arrays(run.path).items() if name != "returns"}


LEARNERS = {
    "dict": {"env": "gym:FrozenLake-v1", "engine": "dict"},
    "numba": {"env": "gym:FrozenLake-v1", "engine": "numba"},
    "numpy": {"env": "gym:FrozenLake-v1", "engine": "numpy", "envs": 8},
    "pqn": {"env": "cartpole", "algo": "pqn", "envs": 4, "rollout": 8, "minibatch": 32},
}


@pytest.mark.parametrize("often", [70, "3ep"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_evaluations_neither_explore_nor_learn_nor_draw(learner, often):
    how = {**LEARNERS[learner], "steps": 3000, "seed": 4}
    without, judged = qlearn.train(**how), qlearn.train(**how, eval_every=often)
    assert len([row for row in metrics(judged.path) if "eval" in row]) > 3
    one, other = learned(without), learned(judged)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert without.report["eval"] == judged.report["eval"]


@pytest.mark.parametrize("engine", ["dict", "numba"])
def test_an_evaluation_every_so_many_episodes_comes_right_after_them(engine):
    run = qlearn.train("grid", engine=engine, episodes=100, eval_every="10ep")
    judged = [row for row in metrics(run.path) if "eval" in row]
    assert [row["episodes"] for row in judged] == [*range(10, 101, 10), 100]
    same = qlearn.train("grid", engine=engine, episodes=100, eval_every="10 episodes")
    assert metrics(same.path) == metrics(run.path)


def test_copies_that_end_together_are_judged_after_the_step():
    run = qlearn.train("grid", engine="numpy", envs=64, steps=6400, eval_every="40ep")
    played = [row["episodes"] for row in metrics(run.path) if "eval" in row][:-1]
    assert len(played) > 5
    assert np.diff([0, *played]).min() >= 40


class Blind:
    """A learner that can only stop at steps."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def advance(self, steps):
        return self.inner.advance(steps)


def test_a_learner_that_stops_at_no_episode_is_asked_every_thousand_steps(monkeypatch):
    make = algorithms.make_learner
    monkeypatch.setattr(algorithms, "make_learner", lambda *a: Blind(make(*a)))
    run = qlearn.train("grid", engine="dict", steps=9500, eval_every="100ep")
    judged = [row["env_steps"] for row in metrics(run.path) if "eval" in row]
    assert len(judged) > 4
    # What was logged in between came at its own steps.
    assert set(judged) <= {*range(47, 9501, 47), *range(1000, 9501, 1000), 9500}
    again = qlearn.train("grid", engine="dict", steps=9500, eval_every="100ep")
    assert metrics(again.path) == metrics(run.path)


def test_until_asks_as_often_as_the_algorithm_says(monkeypatch):
    def steps_of(**how):
        run = qlearn.train("grid", engine="dict", steps=100_000, until=99.0, episodes=2500, **how)
        return [row["env_steps"] for row in metrics(run.path) if "eval" in row][:-1]

    by_episodes = steps_of()  # a fiftieth of the episodes, which are 50 here
    assert 1000 <= np.diff(by_episodes).min() < 2000
    monkeypatch.setattr(TableConfig, "until_every", 2500, raising=False)
    monkeypatch.setattr(driver, "UNTIL_EVALUATIONS", 1)  # whole budgets
    assert np.diff(steps_of()).tolist() == [2500] * (len(steps_of()) - 1)
    monkeypatch.setattr(TableConfig, "until_every", 10)
    assert steps_of()[:3] == [1000, 2000, 3000]


def test_solved_is_remembered_over_a_stop(tmp_path, monkeypatch, gone):
    how = {"env": "grid", "engine": "dict", "steps": 50_000, "until": -7.0, "eval_every": 1000}
    whole = qlearn.train(out=tmp_path / "whole", **how)
    looks = len([row for row in metrics(whole.path) if "eval" not in row])
    folder = killed(monkeypatch, gone, looks - 1, tmp_path / "k", **how, checkpoint_seconds=0.0)
    again = qlearn.train(resume=folder.path)
    assert_same_run(again, whole)
    assert 0 < again.report["solved_at_seconds"] <= again.report["train_seconds"]
    said = []
    more = qlearn.train(resume=folder.path, steps=60_000, say=said.append)
    assert "is solved; there is nothing left to train" in said[-1]
    assert more.report["solved_at_steps"] == whole.report["solved_at_steps"]
    assert more.report["env_steps"] == whole.report["env_steps"]


# Episodes as the budget.
def test_with_episodes_alone_schedules_and_lines_follow_the_episodes():
    run = qlearn.train("grid", engine="dict", episodes=400, epsilon="1->0.1", lr="0.9->0.1@0.5")
    rows = [row for row in metrics(run.path) if "eval" not in row]
    assert [row["episodes"] for row in rows] == list(range(2, 401, 2))
    assert rows[99]["epsilon"] == pytest.approx(0.55)
    assert (rows[-1]["epsilon"], rows[-1]["lr"]) == pytest.approx((0.1, 0.1))
    assert rows[49]["lr"] == pytest.approx(0.5)


def test_more_episodes_go_on():
    run = qlearn.train("grid", engine="dict", episodes=30)
    more = qlearn.train(resume=run.path, episodes=80)
    assert more.report["episodes"] == 80
    assert more.folder.record["config"]["steps"] == 80 * asked.STEPS_AN_EPISODE
    said = []
    qlearn.train(resume=run.path, steps=10**6, say=said.append)
    assert "has used up a budget; there is nothing left to train" in said[-1]


# Where the time went.
def test_stages_and_seconds_speak_of_the_whole_run(tmp_path, monkeypatch, gone):
    how = {"env": "grid", "engine": "dict", "steps": 20_000, "eval_every": 2000}
    folder = killed(monkeypatch, gone, 60, tmp_path / "k", **how, checkpoint_seconds=0.0)
    about = checkpoint.load(folder.path / "checkpoints" / "last")[1]
    before = about["stages"]
    report = qlearn.train(resume=folder.path).report
    stages = {stage["name"]: stage for stage in report["stages"]}
    for name in ("learn", "eval", "log", "checkpoint"):
        assert stages[name]["seconds"] > before[name][0]
        assert stages[name]["calls"] > before[name][1]
    assert stages["eval"]["calls"] == 11
    assert stages["log"]["calls"] >= 200
    assert report["train_seconds"] > about["train_seconds"] > 0
    assert stages["learn"]["seconds"] < report["train_seconds"]


def test_compiling_is_no_training(monkeypatch):
    """The dict engine compiles its greedy player when it is first judged."""
    made = greedy.Evaluator.__init__

    def slow(self, environment):
        made(self, environment)
        time.sleep(0.5)
        self.compile_seconds += 0.5

    monkeypatch.setattr(greedy.Evaluator, "__init__", slow)
    report = qlearn.train("grid", engine="dict", steps=1000, eval_every=500).report
    assert report["compile_seconds"] >= 0.5
    assert report["train_seconds"] < 0.5


# Options that only some algorithms know.
def test_what_changes_nothing_is_said(capsys):
    said = []
    run = qlearn.train(
        "grid", engine="dict", steps=100, threads=4, device="cuda", init=7, say=said.append
    )
    assert said == [
        "table on dict uses one thread here, not the 4 of --threads",
        "table on dict runs on the processor; --device cuda changes nothing",
        "table on dict draws no first weights: every run begins alike; --init changes nothing",
    ]
    assert run.folder.record["init"] == "7"
    assert run.report["threads"] == 1
    said.clear()
    qlearn.train("grid", engine="dict", steps=100, threads=1, device="cpu", say=said.append)
    assert said == []


def test_algorithms_that_have_the_settings_get_them(monkeypatch, tmp_path):
    @dataclass(frozen=True)
    class Config(TableConfig):
        threads: int = 1
        init: str = ""

    def make(algo, engine, environment, config, seed):
        learner = DictLearner(environment, config, seed)
        learner.threads = config.threads
        return learner

    monkeypatch.setattr(algorithms, "config_class", lambda algo: Config)
    monkeypatch.setattr(algorithms, "make_learner", make)
    Config.__annotations__ = TableConfig.__annotations__ | Config.__annotations__
    (tmp_path / "net.pth").write_text("")
    monkeypatch.chdir(tmp_path)
    said = []
    how = {"engine": "dict", "steps": 100, "say": said.append}
    run = qlearn.train("grid", threads=3, init="net.pth", **how)
    assert run.folder.record["config"]["init"] == str(tmp_path / "net.pth")
    assert run.report["threads"] == run.folder.record["threads"] == 3
    more = qlearn.train(resume=run.path, steps=200, threads=2)
    assert more.report["threads"] == 2
    assert said == []


def test_the_best_network_waits_for_no_disk_in_short_runs(monkeypatch):
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, *rest: (saved.append(path.name), save(path, *rest))
    )
    how = {"engine": "dict", "steps": 3000, "eval_every": 100}
    qlearn.train("grid", **how)
    assert saved == ["best", "last"]
    saved.clear()
    monkeypatch.setattr("qlearn.runs.best.BEST_SECONDS", 0.0)
    often = qlearn.train("grid", **how)
    assert len(saved) > 3
    saved.clear()
    monkeypatch.setattr("qlearn.runs.best.BEST_SECONDS", 1e9)
    monkeypatch.setattr("qlearn.runs.best.HELD_BYTES", 100)
    large = qlearn.train("grid", **how)
    assert len(saved) > 3
    np.testing.assert_array_equal(
        arrays(often.path, "best")["table"], arrays(large.path, "best")["table"]
    )


class Hiding(gymnasium.Env):
    """Where it is, it holds in the order of a set."""

    observation_space = spaces.Box(-1.0, 1.0, (2,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.visited = {0}
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.visited.add(len(self.visited) + int(action))
        return np.zeros(2, np.float32), 1.0, len(self.visited) > 9, False, {}


def test_a_game_that_cannot_be_saved_is_said_to_begin_anew(tmp_path):
    if "Hiding-v0" not in gymnasium.registry:
        gymnasium.register(id="Hiding-v0", entry_point=Hiding)
    how = {**DQN, "env": "gym:Hiding-v0", "env_run": "serial", "eval_episodes": 1}
    run, said = qlearn.train(out=tmp_path / "r", **how), []
    learned_before = arrays(run.path)
    qlearn.train(resume=run.path, steps=804, say=said.append)
    assert said[-1] == (
        "what was learned goes on exactly; gym:Hiding-v0 cannot be saved (its 'visited' is a set,"
        " not the one it began with) and begins new games"
    )
    taken_up = arrays(run.path)
    assert (learned_before["batch.taken_up"], taken_up["batch.taken_up"]) == (0, 1)
    assert taken_up["counts"][0] == 804
    np.testing.assert_array_equal(learned_before["params"], taken_up["params"])  # no update since


STEPPED = {"env": "gym:MountainCar-v0", "env_run": "serial", "env_buckets": 4, "algo": "table",
           "envs": 2, "steps": 60, "eval_episodes": 1, "eval_max_steps": 10}  # fmt: skip


@pytest.mark.parametrize("wrong", ["cut", "other", "fewer", "hostile"])
def test_saved_games_that_do_not_fit_are_refused_with_the_file(tmp_path, wrong):
    run = qlearn.train(out=tmp_path / "r", **STEPPED)
    last = run.path / "checkpoints" / "last"
    saved, about = checkpoint.load(last)
    text = saved["batch.games"].tobytes()
    if wrong == "cut":
        saved["batch.games"] = saved["batch.games"][:-9]
    elif wrong == "other":
        text = text.replace(b"MountainCarEnv", b"MountainBusEnv")
    elif wrong == "hostile":
        before, after = b'"state":[', b'"state":["named","os.system","true"],"was":['
        text = text.replace(before, after)
        saved["batch.games.sizes"] += len(after) - len(before)
    else:
        saved["batch.games.sizes"] = saved["batch.games.sizes"].sum(keepdims=True)
    if wrong in ("other", "hostile"):
        assert text != saved["batch.games"].tobytes()
        saved["batch.games"] = np.frombuffer(text, np.uint8)
    about = {k: v for k, v in about.items() if k not in ("format", "sha256", "arrays")}
    checkpoint.save(last, saved, about)
    with pytest.raises(UserError) as refused:
        qlearn.train(resume=run.path, steps=80)
    said = str(refused.value)
    assert said.startswith(f"{last} does not fit its run.json: ")
    assert "saved game" in said
    assert "\n" not in said
