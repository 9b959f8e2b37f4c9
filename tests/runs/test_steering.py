"""Steering: what others write into a run's folder, done between two chunks and told in its rows."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time

import numpy as np
import pytest

import qlearn
from qlearn.errors import UserError
from qlearn.runs import checkpoint, driver, knobs, requests
from qlearn.runs.answers import Answers
from qlearn.runs.driver import Interrupted
from qlearn.runs.folder import RunFolder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def rows_of(path):
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "machine"} for row in rows]


def events(path, *kinds):
    return [
        row
        for row in rows_of(path)
        if "event" in row and row["event"] != "warning" and row["event"] in (kinds or row.values())
    ]


def learned(path):
    """What must be the same bit for bit."""
    arrays = checkpoint.load(path / "checkpoints" / "last")[0]
    return {name: array.tobytes() for name, array in arrays.items()}


class Killed(BaseException):
    pass


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains with something done at looks of the driver, which come at the same steps always."""

    def with_looks(name, doing, **how):
        path, looks, look = tmp_path / name, iter(range(1, 10**9)), driver.Training._look

        def and_does(self):
            look(self)
            doing.get(next(looks), lambda training: None)(self)

        how = {"env": "grid", "engine": "dict", "steps": 4000, "seed": 7, **how}
        given = {"resume": path} if how.pop("resume", False) else {"out": path, **how}
        said = []
        with monkeypatch.context() as patched:
            patched.setattr(driver.Training, "_look", and_does)
            patched.setattr(driver, "CHUNK_SECONDS", 1e9)  # chunks whose length no clock decides
            try:
                qlearn.train(**given, say=said.append)
            except Killed:
                RunFolder.open(path).update(status="interrupted")
        return path, said

    return with_looks


def turning(**changes):
    return lambda training: knobs.write(training.folder.path, changes)


def writing(text):
    return lambda training: (training.folder.path / "knobs.json").write_text(text)


def asking(do, ids):
    return lambda training: ids.append(requests.append(training.folder.path, do))


def dies(training):
    raise Killed


# Knobs.
def test_a_knob_is_turned_at_the_next_border_and_holds_from_then_on(train):
    path, said = train("r", {50: turning(epsilon=0.0625, lr="0.5->0.25")})
    (event,) = events(path)
    assert event == {
        "env_steps": 1000, "updates": 1000, "episodes": event["episodes"], "event": "set",
        "knobs": {"epsilon": 0.0625, "lr": "0.5->0.25"},
    }  # fmt: skip
    rows = [row for row in rows_of(path) if "epsilon" in row]
    assert all((row["epsilon"] == 0.0625) == (row["env_steps"] > 1000) for row in rows)
    assert rows[-1]["lr"] == 0.25
    assert said == []
    assert checkpoint.load(path / "checkpoints" / "last")[1]["knobs"] == event["knobs"]
    assert RunFolder.open(path).record["config"]["epsilon"] == 0.1
    stamps = [json.loads(line)["machine"] for line in (path / "metrics.jsonl").open()]
    assert abs(time.time() - next(m["time"] for m in stamps if "time" in m)) < 600


def test_the_record_says_what_may_be_turned(train):
    live = RunFolder.open(train("r", {}, steps=100)[0]).record["live"]
    assert set(live) == {"epsilon", "lr", "discount", "eval_every", "checkpoint_seconds"}
    assert live["epsilon"] == {"value": 0.1, "kind": "schedule", "low": 0.0, "high": 1.0}
    assert live["eval_every"] == {"value": 0, "kind": "steps", "low": 0, "high": 100}


PQN = {"env": "cartpole", "algo": "pqn", "engine": "auto", "steps": 20_000, "envs": 4,
       "rollout": 16, "minibatch": 64}  # fmt: skip
DQN = {"env": "cartpole", "algo": "dqn", "engine": "auto", "steps": 2000, "envs": 4, "start": 100,
       "every": "16", "replay": 2000, "batch": 16, "hidden": "16"}  # fmt: skip
HOW = {
    "dict": ({}, {"epsilon": 0.5, "lr": 0.1, "discount": 0.5, "eval_every": 150}),
    "pqn": (PQN, {"epsilon": 0.5, "lr": 0.01, "minibatch": 32}),
    "dqn": (DQN, {"epsilon": "0.5->0.1", "updates": 1.0, "batch": 24}),
}


@pytest.mark.parametrize(
    ("case", "kept"),
    [("dict", "after"), ("dict", "before"), ("dict", "never"), ("pqn", "before"), ("dqn", "after"),
     ("dqn", "before")],
)  # fmt: skip
def test_killed_and_resumed_the_same_steering_gives_the_same_bits(case, kept, train):
    """The checkpoint that it goes on from is after the knob was turned, before, or nowhere."""
    how, changes = HOW[case]
    steered = {20: turning(**changes)}
    saves = {"after": 30, "before": 15, "never": 0}[kept]
    whole, _ = train("whole", steered, **how)
    ends = {saves: driver.Training._save} if saves else {}
    path, _ = train("killed", {**steered, **ends, 40: dies}, **how)
    assert checkpoint.exists(path / "checkpoints" / "last") == bool(saves)
    assert events(path)
    train("killed", {}, resume=True)
    assert rows_of(path) == rows_of(whole)
    assert learned(path) == learned(whole)
    unsteered, _ = train("unsteered", {}, **how)
    assert learned(path) != learned(unsteered)


@pytest.mark.parametrize("saved", [0, 15], ids=["no checkpoint", "a checkpoint"])
@pytest.mark.parametrize(
    "again",
    [
        {2: dies},
        {3: driver.Training._save, 4: dies},
        {8: driver.Training._save, 9: dies},
        {28: dies},
    ],
    ids=["at once", "behind a checkpoint", "at a turn", "between two turns"],
)
def test_killed_twice_what_was_set_is_set_again_all_the_same(again, saved, train):
    """The rows of what was set are cut off before they are written again."""
    steered = {23: turning(epsilon=0.5), 35: turning(epsilon=0.25), 45: turning(lr=0.5)}
    whole, _ = train("whole", steered)
    ends = {saved: driver.Training._save} if saved else {}
    path, _ = train("killed", {**steered, **ends, 60: dies})
    train("killed", again, resume=True)
    train("killed", {}, resume=True)
    assert rows_of(path) == rows_of(whole)
    assert learned(path) == learned(whole)
    assert not (path / "ahead.json").exists()


def test_killed_twice_who_steered_meanwhile_has_the_last_word(train):
    path, _ = train("r", {15: driver.Training._save, 40: turning(epsilon=0.5), 60: dies})
    train("r", {3: turning(epsilon=0.25), 6: dies}, resume=True)
    train("r", {}, resume=True)
    (event,) = events(path)
    assert (event["env_steps"], event["knobs"]) == (360, {"epsilon": 0.25})


def test_who_steers_while_the_past_is_repeated_has_the_last_word(train):
    path, _ = train("r", {15: driver.Training._save, 40: turning(epsilon=0.5), 60: dies})
    train("r", {3: turning(epsilon=0.25)}, resume=True)
    (event,) = events(path)
    assert (event["env_steps"], event["knobs"]) == (360, {"epsilon": 0.25})


REFUSED = {
    '{"epsilon": 7}': "epsilon must be between 0 and 1, not 7",
    '{"epsilom": 0.5}': "there is no setting 'epsilom'; did you mean 'epsilon'?",
    '{"lr": "soon"}': "lr: 'soon' is no number",
    '{"lr": [0.5]}': "lr must be a number or the text of a schedule",
    '{"epsilon": NaN}': "epsilon must be a number, not nan",
    '{"epsilon": true}': "epsilon must be a number or the text of a schedule, not True",
    '{"discount": 1e999}': "discount must be a number, not infinite",
    '{"eval_every": "often"}': "eval_every is a number of steps",
    '{"steps": 10}': "steps cannot change while it learns",
    '{"paused": "yes"}': "paused must be true or false",
    '{"epsilon": 0.5': "damaged: it is no JSON",
    "[1, 2]": "damaged: it is no object of settings",
    "[" * 50_000: "damaged: it is no JSON",
    '"' + "x" * 70_000 + '"': "too large to be settings",
    "\x00\ufffd": "damaged: it is no JSON",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20])
def test_what_cannot_be_is_said_once_and_the_training_goes_on(text, train):
    path, said = train("r", {50: writing(text)}, steps=2000)
    (event,) = events(path)
    assert event["event"] == "refused"
    assert REFUSED[text] in event["why"]
    assert said == [f"{event['why']}; the training goes on as it was"]
    assert "\n" not in said[0]
    plain, _ = train("plain", {}, steps=2000)
    assert learned(path) == learned(plain)


def test_what_is_possible_is_done_beside_what_is_not(train):
    path, _ = train("r", {50: writing('{"epsilon": 7, "lr": 0.5}'), 60: turning(epsilon=0.5)})
    assert [(row["event"], row["knobs"]) for row in events(path)] == [
        ("refused", {"epsilon": 7}), ("set", {"lr": 0.5}), ("set", {"epsilon": 0.5}),
    ]  # fmt: skip


def test_a_folder_in_the_place_of_the_file_is_refused(train):
    path, said = train("r", {50: lambda t: (t.folder.path / "knobs.json").mkdir()}, steps=2000)
    assert len(said) == len(events(path, "refused")) == 1


def test_how_often_it_is_judged_can_change(train):
    path, _ = train("r", {50: turning(eval_every=500)})
    judged = [row["env_steps"] for row in rows_of(path) if "eval" in row]
    assert judged == [1500, 2000, 2500, 3000, 3500, 4000, 4000]


def test_a_pause_stops_the_clock_and_changes_nothing(train, monkeypatch):
    seconds, look = [], driver.Steering.look

    def waits(self):
        look(self)
        if self.paused:
            seconds.append(self._training.train_seconds)
            if len(seconds) == 4:
                knobs.write(self._folder, {"paused": False})

    monkeypatch.setattr(driver.Steering, "look", waits)
    path, _ = train("r", {50: turning(paused=True)}, steps=2000)
    assert len(seconds) >= 4
    assert len(set(seconds[1:])) == 1  # the first look came before the clock was stopped
    pause, resume = events(path)
    assert (pause["event"], pause["knobs"]) == ("pause", {"paused": True})
    assert (resume["event"], resume["env_steps"]) == ("resume", pause["env_steps"])
    plain, _ = train("plain", {}, steps=2000)
    assert learned(path) == learned(plain)
    assert [row for row in rows_of(path) if "event" not in row] == rows_of(plain)


# Requests.
def test_requests_are_answered_with_their_ids(train):
    ids = []
    doing = {50: asking("save", ids), 60: asking("evaluate", ids), 61: asking("evaluate", ids)}
    path, _ = train("r", doing)
    saved, *judged = events(path)
    assert [row["request"] for row in (saved, *judged)] == ids
    assert (saved["event"], saved["env_steps"]) == ("save", 1000)
    assert saved["checkpoint"] == str(path / "checkpoints" / "last.safetensors")
    rows = [row for row in rows_of(path) if "eval" in row]
    assert [row["mean"] for row in judged] == [row["eval"]["mean"] for row in rows[:2]]
    assert [row["env_steps"] for row in rows] == [1200, 1220, 4000]
    plain, _ = train("plain", {})
    assert learned(path) == learned(plain)


def test_what_is_asked_twice_at_once_is_done_once(train):
    ids = []
    both = {50: lambda training: [asking("evaluate", ids)(training) for _ in range(2)]}
    path, _ = train("r", both)
    assert [row["request"] for row in events(path)] == ids
    assert len([row for row in rows_of(path) if "eval" in row]) == 2


def test_stop_saves_and_ends_and_it_goes_on_as_if_it_never_had(train):
    ids = []
    with pytest.raises(Interrupted):
        train("r", {50: asking("stop", ids)})
    path = next(iter(ids)) and RunFolder.open(train("whole", {})[0]).path.parent / "r"
    assert RunFolder.open(path).record["status"] == "interrupted"
    (event,) = events(path)
    assert (event["event"], event["env_steps"], event["request"]) == ("stop", 1000, ids[0])
    train("r", {}, resume=True)
    assert events(path) == [event]  # and is not asked again
    assert learned(path) == learned(path.parent / "whole")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id": "a", "do": "fly"}\n', "'fly' cannot be asked of a training: save, evaluate, sto"),
        (b"garbage\n", "a line asks for nothing"),
        (b"[]\n\xff\xfe\n", "a line asks for nothing"),
        (b"x" * 100_000, "a line asks for nothing"),
    ],
)
def test_other_requests_are_refused(line, why, train):
    def writes(training):
        (training.folder.path / "requests.jsonl").write_bytes(line)

    path, said = train("r", {50: writes}, steps=2000)
    assert len(events(path)) == len(said) == 1
    assert why in events(path)[0]["why"]
    assert ("request" in events(path)[0]) == (b"fly" in line)


def test_half_a_line_waits_for_its_other_half(train):
    def writes(text):
        def append(training):
            with (training.folder.path / "requests.jsonl").open("a") as file:
                file.write(text)

        return append

    path, _ = train("r", {50: writes('{"id": "a", "do":'), 60: writes(' "save"}\n')})
    (event,) = events(path)
    assert (event["event"], event["env_steps"], event["request"]) == ("save", 1200, "a")


# From outside, and from Python.
def test_a_run_in_training_is_set_saved_and_stopped_from_outside(tmp_path):
    found = {}

    def steers():
        while not (tmp_path / "r" / "run.json").exists():
            time.sleep(0.01)
        run = qlearn.load(tmp_path / "r")
        found["step"] = run.set(epsilon=0.25)
        found["again"] = run.set(epsilon=0.25)
        try:
            run.set(epsilon=7)
        except UserError as error:
            found["refused"] = str(error)
        try:
            run.set(epsilom=0.5)
        except UserError as error:
            found["unknown"] = str(error)
        found["file"] = json.loads((run.path / "knobs.json").read_text())
        found["saved"] = run.save()
        found["there"] = found["saved"].exists()
        requests.ask(run.folder, "stop")

    thread = threading.Thread(target=steers)
    thread.start()
    with pytest.raises(Interrupted):
        qlearn.train("grid", engine="dict", steps=10**8, out=tmp_path / "r")
    thread.join()
    assert found["step"] == found["again"] > 0
    assert found["refused"] == "epsilon must be between 0 and 1, not 7"
    assert "did you mean 'epsilon'" in found["unknown"]
    assert found["file"] == {"epsilon": 0.25}
    assert found["there"]
    assert [row["event"] for row in events(tmp_path / "r")] == ["set", "refused", "save", "stop"]


def test_a_run_that_nobody_trains_has_it_from_the_next_resume(train):
    path, _ = train("r", {}, steps=1000)
    run = qlearn.load(path)
    assert run.set(epsilon=0.5) is None
    with pytest.raises(UserError, match="which knob"):
        run.set()
    assert run.save() == path / "checkpoints" / "last.safetensors"
    with pytest.raises(UserError, match="is not being trained: it is done"):
        requests.ask(run.folder, "stop")
    qlearn.train(resume=path, steps=2000)
    (event,) = events(path)
    assert (event["event"], event["env_steps"]) == ("set", 1000)
    assert rows_of(path)[-2]["epsilon"] == 0.5


def test_a_loaded_run_acts(train):
    run = qlearn.load(train("r", {})[0])
    table = run.learner().values()
    assert [run.act(state) for state in range(len(table))] == table.argmax(axis=1).tolist()
    assert run.act(np.array([3])) == run.act(3)


def test_two_who_write_at_once_leave_nothing_out(tmp_path):
    def writes(k):
        for _ in range(5):
            knobs.write(tmp_path, {f"k{k}": k})

    threads = [threading.Thread(target=writes, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert knobs.read(tmp_path) == {f"k{k}": k for k in range(8)}
    assert knobs.write(tmp_path, {"k0": None})["k0"] == 0
    assert "k0" not in knobs.read(tmp_path)


def test_answers_begin_again_where_a_resumed_run_has_cut_them_off(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"env_steps": 1}\n' * 50)
    answers = Answers(tmp_path)
    file.write_text('{"env_steps": 1, "event": "set"}\n{"env_steps": 2, "event"')
    assert [row["env_steps"] for row in answers.new()] == [1]
    with file.open("a") as more:
        more.write(': "set"}\ngarbage "event"\n')
    assert [row["env_steps"] for row in answers.new()] == [2]


# Disks.
def test_a_folder_that_takes_nothing_for_a_while_is_said_once(train, monkeypatch):
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda place: None)  # 200 checkpoints

    def fails(*names):
        raise PermissionError(13, "Permission denied")

    doing = {
        30: lambda training: monkeypatch.setattr(os, "replace", fails),
        90: lambda training: monkeypatch.setattr(os, "replace", replace),
    }
    path, said = train("r", doing, checkpoint_seconds=0.0, eval_every=300)
    assert len(said) == 1
    assert "Permission denied" in said[0]
    assert said[0].endswith("; the training goes on")
    plain, _ = train("plain", {}, eval_every=300)
    assert learned(path) == learned(plain)
    assert rows_of(path) == rows_of(plain)


class Full:
    """A disk that takes half a line, and no more."""

    def __init__(self, file):
        self.file = file

    def write(self, text):
        self.file.write(text[: len(text) // 2])

    def flush(self):
        self.file.flush()
        raise OSError(28, "No space left on device")


def test_a_full_disk_costs_lines_of_metrics_and_nothing_else(train):
    def full(training):
        training.folder._metrics = Full(training.folder._metrics)

    path, said = train("r", {50: full})
    plain, _ = train("plain", {})
    assert [line for line in said if "the disk is full" in line] == said
    assert len(said) == 1
    lines = [line for line in (path / "metrics.jsonl").read_text().splitlines() if line]
    whole = [line for line in lines if line.endswith("}}")]
    assert len(lines) - len(whole) == 1
    assert len(whole) == len(rows_of(plain)) - 1
    assert learned(path) == learned(plain)


# What stays as it was.
def test_who_is_not_steered_learns_what_it_always_learned(train):
    """The digest is of the time before there was any steering."""
    path, _ = train("r", {}, steps=3000, lr=0.5, eval_every=500, seed=5)
    arrays, about = checkpoint.load(path / "checkpoints" / "last")
    digest = hashlib.sha256(
        b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    )
    assert digest.hexdigest().startswith("7e672903453f047a")
    assert about["knobs"] == {}
    keys = {"env_steps", "updates", "episodes", "return", "epsilon", "lr", "eval"}
    rows = [row for row in rows_of(path) if "event" not in row]
    assert set().union(*rows) == keys
    assert events(path) == []
    assert not (path / "knobs.json").exists()


def test_rows_say_what_the_machine_did(train):
    path, _ = train("r", {})
    machines = [json.loads(line)["machine"] for line in (path / "metrics.jsonl").open()]
    logged = [machine for machine in machines if "stages" in machine]
    assert len(logged) == 200
    assert all(m["memory_mb"] > 1 and m["steps_per_second"] > 0 for m in logged[1:])
    learning = [machine["stages"]["learn"] for machine in logged]
    assert learning == sorted(learning)
