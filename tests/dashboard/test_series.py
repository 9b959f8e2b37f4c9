"""metrics.jsonl as columns: only what is new is read, and nothing that stands in it breaks it."""

from __future__ import annotations

import json
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import append, event, judged, row, write_run

from qlearn.dashboard import series as series_module
from qlearn.dashboard.downsample import downsample
from qlearn.dashboard.series import Series, label


@pytest.fixture
def folder(home):
    return write_run(home, "a")


def read(folder) -> Series:
    found = Series(folder / "metrics.jsonl")
    assert found.read()
    return found


def test_keys_are_flat_and_the_machines_go_by_their_own_name(folder):
    append(folder, [row(10, loss=0.5, **{"return": None}), judged(10, 3.0), row(20, loss=0.25)])
    found = read(folder)
    assert {"loss", "eval.mean", "eval.std", "seconds", "steps_per_second"} <= set(found.names())
    assert found.points("loss")[0].tolist() == [10, 20]
    assert found.points("loss", "seconds")[0].tolist() == [0.01, 0.02]
    assert found.points("eval.mean")[1].tolist() == [3.0]
    assert "return" not in found.names()  # nobody has ended an episode


def test_only_what_is_new_is_read(folder, monkeypatch):
    append(folder, [row(step, loss=1.0) for step in range(100)])
    found = read(folder)
    taken = []
    objects = series_module._objects
    monkeypatch.setattr(
        series_module, "_objects", lambda lines: taken.append(lines) or objects(lines)
    )
    found.read()
    assert taken == []
    append(folder, [row(100, loss=2.0)])
    found.read()
    assert [json.loads(lines)["loss"] for lines in taken] == [2.0]
    assert found.rows == 101


def test_a_line_that_is_being_written_waits(folder):
    append(folder, [row(1, loss=1.0)])
    line = json.dumps(row(2, loss=2.0)) + "\n"
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(line[:20])
        file.flush()
        found = read(folder)
        assert (found.rows, found.loaded) == (1, 1.0)
        file.write(line[20:])
    found.read()
    assert found.points("loss")[1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("longer", [False, True])
def test_a_resumed_run_takes_its_lines_back(folder, longer):
    append(folder, [row(step, loss=1.0) for step in range(10)])
    found = read(folder)
    path = folder / "metrics.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)[:5]
    os.truncate(path, sum(map(len, kept)))
    append(folder, [row(step, loss=9.0) for step in range(5, 30 if longer else 7)])
    found.read()
    assert found.points("loss")[1].tolist() == [1.0] * 5 + [9.0] * (25 if longer else 2)


def test_a_file_that_has_gone_leaves_nothing(folder):
    append(folder, [row(1, loss=1.0)])
    found = read(folder)
    (folder / "metrics.jsonl").unlink()
    found.read()
    assert (found.rows, found.names()) == (0, [])


def test_what_is_no_row_is_left_out(folder):
    (folder / "metrics.jsonl").write_bytes(
        b'null\n[1]\n"x"\n\x00\xff\xfe\n{"env_steps": 1, "loss": NaN, "lr": Infinity}\n{bad\n\n'
        + b"[" * 100_000 + b"\n"
        + b'{"env_steps": 2, "loss": "text", "deep": {"a": {"b": 1}}, "list": [1, 2]}\n'
        + b'{"env_steps": 3, "loss": ' + b"9" * 400 + b', "yes": true, "eval": 3}\n'
        + b'{"env_steps": 4, "event": ["no", "text"]}\n'
        + b'{"env_steps": 5, "loss": 0.5, "machine": [1]}\n'
    )  # fmt: skip
    found = read(folder)
    assert found.points("loss")[1].tolist() == [0.5]
    assert found.axis("env_steps").tolist() == [1, 2, 3, 5]
    assert list(found.events) == []


def test_a_line_too_long_is_skipped_alone(folder, monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK", 256)
    append(folder, [row(1, loss=1.0)])
    with open(folder / "metrics.jsonl", "a") as file:
        file.write("x" * 5000 + "\n")
    append(folder, [row(2, loss=2.0), row(3, loss=3.0)])
    found = Series(folder / "metrics.jsonl")
    found.read()
    assert found.points("loss")[1].tolist() == [1.0, 2.0, 3.0]


def test_more_columns_than_anybody_reads_are_left_out(folder):
    append(folder, [{"env_steps": n, f"key{n}": 1.0, "k" * 200: 1.0} for n in range(500)])
    assert len(read(folder).columns) == series_module.MOST_COLUMNS


def test_events_are_marks_at_their_place(folder):
    append(folder, [
        row(10), event(15, "set", knobs={"epsilon": 0.05, "lr": "1->0@0.5"}), row(20),
        event(25, "warning", why="slower than it was"), event(30, "pause"),
    ])  # fmt: skip
    found = read(folder)
    marks = found.chart([], "env_steps", 100)["marks"]
    assert [(mark["x"], mark["event"]) for mark in marks] == [
        (15, "set"), (25, "warning"), (30, "pause"),
    ]  # fmt: skip
    assert marks[0]["label"] == "epsilon = 0.05, lr = 1->0@0.5"
    assert found.chart([], "seconds", 100)["marks"][0]["x"] == 0.015
    assert (found.rows, found.warnings) == (2, 1)
    assert label({"event": "set", "knobs": 3}) == "set"


def test_an_evaluation_has_its_standard_error(folder):
    append(folder, [judged(10, 1.0), judged(20, 5.0)])
    chart = read(folder).chart(["eval.mean"], "env_steps", 800)
    assert chart["series"]["eval.mean"]["error"].tolist() == [0.5, 0.5]
    assert chart["last"] == {"eval.mean": [20.0, 5.0]}


def test_a_range_has_all_the_points_to_itself(folder):
    append(folder, [row(step, loss=float(step)) for step in range(1000)])
    found = read(folder)
    few = found.chart(["loss"], "env_steps", 20)["series"]["loss"]
    near = found.chart(["loss"], "env_steps", 20, 500, 509)["series"]["loss"]
    assert len(few["x"]) == 20
    assert near["x"].tolist() == list(range(500, 510))


def test_stages_are_kept_of_few_rows(folder):
    rows = [row(step) for step in range(3000)]
    for step, one in enumerate(rows):
        one["machine"]["stages"] = {"act": step * 1.0, "learn": step * 2.0}
    append(folder, rows)
    stages = read(folder).chart([], "env_steps", 100)["stages"]
    assert 100 < len(stages["x"]) <= 2 * series_module.STAGE_POINTS
    assert np.allclose(np.array(stages["learn"]), 2 * np.array(stages["x"]))


def test_a_large_file_is_shown_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK", 20_000)
    append(folder, [row(step, loss=0.0 if step != 1234 else 99.0) for step in range(5000)])
    found = Series(folder / "metrics.jsonl")
    assert not found.read(1)
    early = found.chart(["loss"], "env_steps", 50)
    assert 0 < early["loaded"] < 0.2
    assert early["series"]["loss"]["x"][-1] > 4500  # all of it is there, though not every line
    while not found.read(1):
        pass
    late = found.chart(["loss"], "env_steps", 50)
    assert late["loaded"] == 1.0
    assert late["series"]["loss"]["high"].max() == 99.0


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=300), st.integers(2, 50))
@settings(max_examples=60, deadline=None)
def test_what_stands_out_is_kept(values, points):
    y = np.array(values)
    x = np.cumsum(np.array([random.Random(1).random() for _ in values]))
    found = downsample(x, y, points)
    assert len(found["x"]) <= max(points, 2)
    assert found["low"].min() == y.astype(np.float32).min()
    assert found["high"].max() == y.astype(np.float32).max()
    assert (np.diff(found["x"]) >= 0).all()
    assert (found["low"] <= found["high"]).all()


def test_buckets_are_of_equal_width():
    x = np.array([0.0, 1.0, 2.0, 97.0, 98.0, 99.0, 100.0])
    found = downsample(x, x, 2)
    assert found["x"].tolist() == [1.0, 98.5]
    assert downsample(np.zeros(9), np.arange(9.0), 4)["high"].tolist() == [8.0]


def test_many_evaluations_push_out_no_event(folder):
    rows = [
        event(1, "pause"),
        *(judged(step, 1.0) for step in range(2, 1000)),
        event(1000, "resume"),
    ]
    append(folder, rows)
    told = read(folder).happenings()
    assert (told[0], told[-1]) == (rows[0], rows[-1])
    assert len(told) == 2 + series_module.KEPT_EVALUATIONS
