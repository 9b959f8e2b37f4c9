"""What is handed on to Trackio, Weights & Biases and MLflow, each played by a module of a few lines."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

import qlearn
from qlearn.cli.main import main
from qlearn.runs.loggers import Logger

HOW = {"engine": "dict", "steps": 2000, "eval_every": 500}


def heard(calls, *names):
    """A module whose functions write down how they were called."""

    def hears(called):
        return lambda *given, **more: calls.append((called, given, more))

    return SimpleNamespace(**{name: hears(name) for name in names})


@pytest.fixture
def calls(monkeypatch):
    made: dict[str, list] = {"wandb": [], "trackio": [], "mlflow": []}
    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, heard(made[name], "init", "log", "finish"))
    words = ("set_experiment", "start_run", "log_params", "log_metrics", "end_run")
    monkeypatch.setitem(sys.modules, "mlflow", heard(made["mlflow"], *words))
    return made


def rows(run):
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def expected(run):
    """(step, the return or the mean of the evaluation) of every row."""
    return [
        (row["env_steps"], row["eval"]["mean"] if "eval" in row else row["return"])
        for row in rows(run)
        if "eval" in row or row.get("return") is not None
    ]


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_every_row_is_handed_on(tmp_path, calls, name):
    run = qlearn.train("grid", **HOW, log=name, out=tmp_path / "run")
    made = calls[name]
    log = "log_metrics" if name == "mlflow" else "log"
    assert made[0][0] == ("set_experiment" if name == "mlflow" else "init")
    assert made[-1][0] == ("end_run" if name == "mlflow" else "finish")
    found = [(more["step"], given[0]) for what, given, more in made if what == log]
    told = [
        (step, values.get("return", values.get("eval/mean")))
        for step, values in found
        if "return" in values or "eval/mean" in values
    ]
    assert told == expected(run)
    assert all(type(value) is float for _, values in found for value in values.values())
    config = made[2][1][0] if name == "mlflow" else made[0][2]["config"]
    assert (config["env_name"], config["steps"]) == ("grid", 2000)


def test_a_resumed_run_goes_on_with_them(tmp_path, calls):
    run = qlearn.train("grid", **HOW, log="wandb", out=tmp_path / "run")
    assert run.folder.record["log"] == ("wandb",)
    qlearn.train(resume=run.path, steps=3000)
    assert [what for what, *_ in calls["wandb"]].count("init") == 2
    assert max(more["step"] for what, _, more in calls["wandb"] if what == "log") == 3000


def test_one_that_fails_is_told_of_and_the_others_go_on(tmp_path, calls, monkeypatch):
    def init(**_):
        raise RuntimeError("no key")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    said: list[str] = []
    run = qlearn.train("grid", **HOW, log="wandb,trackio", out=tmp_path / "r", say=said.append)
    assert run.status == "done"
    assert "wandb has stopped (no key); the training goes on" in said
    assert calls["trackio"][-1][0] == "finish"
    assert not calls["wandb"]


def test_one_of_ones_own(tmp_path):
    class Mine(Logger):
        seen: dict[int, dict] = {}

        def scalars(self, steps, values):
            self.seen.setdefault(steps, {}).update(values)

    run = qlearn.train("grid", **HOW, watchers=[Mine()], out=tmp_path / "run")
    assert sorted(Mine.seen) == sorted({row["env_steps"] for row in rows(run)})


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("wandbb", "log: there is no 'wandbb'; did you mean 'wandb'?"),
        ("mlflow", "mlflow is not installed: pip install mlflow"),
    ],
)
def test_what_is_not_there(tmp_path, monkeypatch, capsys, log, line):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    out = tmp_path / "run"
    assert main(["train", "grid", "--engine", "dict", "--log", log, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"qlearn: {line.split(';')[0]}")
    assert error.count("\n") == 1
    assert not out.exists()
