"""The runs below a folder, and nothing outside of it."""

from __future__ import annotations

import json
import os
import threading

import pytest
from sites import append, event, judged, row, write_run

from qlearn.dashboard import store as store_module
from qlearn.dashboard.store import NotThere, Store
from qlearn.runs.files import write_sealed


def line(store: Store, name: str):
    return next(one for one in store.rows() if one["name"] == name)


def test_runs_in_folders_too_but_nothing_hidden_and_nothing_in_a_run(home):
    for name in ("a", "seeds/seed-0", "x/y/z", ".hidden", "a/inner", "1/2/3/4"):
        write_run(home, name)
    assert sorted(Store(home).names()) == ["a", "seeds/seed-0", "x/y/z"]


def test_the_list_tells_what_the_files_say(home):
    result = {
        "env_steps": 500,
        "train_seconds": 2.5,
        "eval": {"mean": 7.0},
        "best_eval": {"mean": 9.0},
    }
    write_run(home, "done", [row(100), row(200)], result=result)
    write_run(
        home, "now", [row(2500, **{"return": -1.5}), judged(2000, 4.0)], status="running", seed=3
    )
    store = Store(home)
    done, now = line(store, "done"), line(store, "now")
    assert (done["status"], done["share"], done["best"], done["last"]) == ("done", 1.0, 9.0, 7.0)
    assert (done["env_steps"], done["train_seconds"]) == (500, 2.5)
    assert (now["status"], now["share"], now["best"], now["last"]) == ("running", 0.25, 4.0, 4.0)
    assert (now["return"], now["seed"], now["env"], now["algo"]) == (-1.5, 3, "grid", "table")
    assert [one["name"] for one in store.rows()] == ["now", "done"]  # the newest first


def test_a_run_whose_process_is_gone_was_interrupted(home):
    write_run(home, "a", status="running", pid=2**22 + 1)
    write_run(home, "b", status="running", pid=10**30)
    found = {one["name"]: one["status"] for one in Store(home).rows()}
    assert found == {"a": "interrupted", "b": "interrupted"}


def test_the_list_follows_the_files(home):
    folder = write_run(home, "a", [row(100)], status="running")
    store = Store(home)
    assert line(store, "a")["env_steps"] == 100
    append(folder, [row(200), judged(200, 5.0)])
    assert (line(store, "a")["env_steps"], line(store, "a")["best"]) == (200, 5.0)
    (folder / "run.json").unlink()
    assert store.rows() == []


def test_a_long_file_is_not_read_for_the_list(home):
    rows = [judged(1, 50.0), *(row(step) for step in range(2000)), judged(2000, 20.0)]
    folder = write_run(home, "a", rows, status="running")
    store = Store(home)
    assert (folder / "metrics.jsonl").stat().st_size > 2 * store_module.TAIL
    assert line(store, "a")["best"] == 20.0  # as far as its end tells
    store.series("a")
    assert line(store, "a")["best"] == 50.0


def test_a_damaged_run_is_shown_as_that(home):
    for name, text in (("a", "{"), ("b", "[]"), ("c", ""), ("d", "[" * 100_000)):
        (write_run(home, name) / "run.json").write_text(text)
    write_run(home, "fine")
    found = {one["name"]: one for one in Store(home).rows()}
    assert [found[name]["status"] for name in "abcd"] == ["damaged"] * 4
    assert all("\n" not in found[name]["error"] for name in "abcd")
    assert found["fine"]["status"] == "done"
    assert Store(home).about("a")["status"] == "damaged"


def test_a_changed_digit_is_noticed_as_elsewhere(home):
    path = write_run(home, "a", seed=3) / "run.json"
    path.write_text(path.read_text().replace('"seed": 3', '"seed": 8'))
    about = Store(home).about("a")
    assert about["status"] == "damaged"
    assert about["row"]["error"] == "run.json is damaged: it is not what its checksum was made of"
    assert about["record"] == {}


def test_a_checkpoint_is_believed_where_its_checksum_is_right(home):
    folder = write_run(home, "a", status="interrupted")
    saved = {"format": 2, "env_steps": 700, "train_seconds": 1.5, "best": [6.0, {}]}
    write_sealed(folder / "checkpoints" / "last.json", saved)
    store = Store(home)
    assert [line(store, "a")[key] for key in ("env_steps", "train_seconds", "best")] == [
        700,
        1.5,
        6.0,
    ]
    path = folder / "checkpoints" / "last.json"
    path.write_text(path.read_text().replace("700", "70000"))
    assert [line(store, "a")[key] for key in ("env_steps", "train_seconds", "best")] == [None] * 3
    assert line(store, "a")["status"] == "interrupted"


@pytest.mark.parametrize("content", [3, "x", None, [], {"mean": []}, {"mean": 1e999}, 10**400])
def test_whatever_a_record_holds_the_list_is_there(home, content):
    keys = (
        "env",
        "env_name",
        "algo",
        "engine",
        "seed",
        "config",
        "result",
        "pid",
        "status",
        "started",
        "live",
    )
    write_run(home, "a", **dict.fromkeys(keys, content))
    store = Store(home)
    assert [one["name"] for one in store.rows()] == ["a"]
    assert store.about("a")["name"] == "a"


@pytest.mark.parametrize(
    "name", ["..", "../outside", "a/../../outside", "/etc", "", ".", "a/.", "a//", "out", "out/x", "a\0b", "\ud800", "a" * 5000, "x/" * 500]
)  # fmt: skip
def test_no_name_leads_out(home, name):
    write_run(home, "a")
    write_run(home.parent, "outside")
    (home / "out").symlink_to(home.parent / "outside")
    store = Store(home)
    assert "out" not in store.names()
    with pytest.raises(NotThere):
        store.folder(name)


def test_no_file_leads_out(home):
    folder = write_run(home, "a", [row(1)])
    secret = home.parent / "secret.json"
    secret.write_text(json.dumps({"format": 1, "env": "secret", "loss": 1}) + "\n")
    for file in ("metrics.jsonl", "knobs.json"):
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(secret)
    (folder / "clips").mkdir()
    (folder / "clips" / "1.json.gz").symlink_to(secret)
    linked = home / "b"
    linked.mkdir()
    (linked / "run.json").symlink_to(secret)
    store = Store(home)
    about = store.about("a")
    assert (about["knobs"], about["clips"], about["keys"]) == ({}, [], [])
    assert "secret" not in json.dumps(about)
    with pytest.raises(NotThere):
        store.about("b")
    with pytest.raises(NotThere):
        store.clip("a", "1.json.gz")


def test_a_pipe_is_no_file(home):
    folder = write_run(home, "a")
    (folder / "metrics.jsonl").unlink()
    os.mkfifo(folder / "metrics.jsonl")
    os.mkfifo(folder / "knobs.json")
    asked = threading.Thread(target=lambda: Store(home).about("a"), daemon=True)
    asked.start()
    asked.join(10)
    assert not asked.is_alive(), "it waits for somebody to write"


def test_the_log_tells_what_happened(home):
    write_run(home, "a", [
        row(10), event(20, "set", knobs={"epsilon": 0.05}), judged(30, 4.5),
        event(40, "refused", why="no such knob"), event(50, "warning", why="collapsing"),
    ])  # fmt: skip
    about = Store(home).about("a")
    assert [entry["text"] for entry in about["log"]] == [
        "started 2026-01-01T00:00:01", "epsilon = 0.05", "greedy mean 4.5 over 16 episodes",
        "refused: no such knob", "warning: collapsing", "done",
    ]  # fmt: skip
    assert about["log"][1] == {"time": 1e9 + 20, "env_steps": 20, "text": "epsilon = 0.05"}
    assert [one["env_steps"] for one in about["warnings"]] == [50]
    assert [one["event"] for one in about["events"]] == ["set", "refused", "warning"]


def test_columns_that_nobody_looks_at_are_forgotten(home, monkeypatch):
    for name in "abc":
        write_run(home, name, [row(step) for step in range(10)])
    store = Store(home)
    monkeypatch.setattr(store_module, "MOST_HELD", store.series("a").nbytes + 1)
    store.series("b")
    store.series("c")
    assert list(store._series) == ["c"]
    assert store.series("a").rows == 10


def test_large_files_are_read_ahead(home, monkeypatch):
    monkeypatch.setattr(store_module, "LARGE", 2000)
    write_run(home, "large", [row(step) for step in range(500)])
    write_run(home, "small", [row(1)])
    store = Store(home)
    store.read_ahead()
    assert list(store._series) == ["large"]
    assert store._series["large"].rows == 500
