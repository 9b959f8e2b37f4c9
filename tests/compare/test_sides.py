"""Each side profiled after the times are taken, and what is laid side by side of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qlearn.compare import compare as module
from qlearn.compare import sides
from qlearn.compare.compare import compare
from qlearn.compare.names import short
from qlearn.compare.targets import Asked, contenders

PROFILE = {
    "total_seconds", "stages", "hotspots", "peak_memory_mb", "findings", "artifacts",
}  # fmt: skip
BUSY = """
import time

def work(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(200))

with open("runs", "a") as file:
    print("run", file=file)
work({seconds})
print("printed")
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs-of-qlearn"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scripts():
    for name, seconds in (("one.py", 0.2), ("two.py", 0.4)):
        Path(name).write_text(BUSY.format(seconds=seconds))


def test_each_side_is_profiled_once_after_all_turns(scripts, capfd):
    said = []
    found = compare("two.py", "one.py", repeats=1, profile=True, say=said.append)
    assert len(Path("runs").read_text().split()) == 2 * (1 + 1 + 1)  # warm-up, turn, profile
    assert said[1:] == ["turn 1 of 1", "profiling two.py", "profiling one.py"]
    assert "printed" not in capfd.readouterr().out
    first, second = found["profiles"]
    for side, seconds in ((first, 0.4), (second, 0.2)):
        assert side.keys() >= PROFILE
        assert sum(stage["share"] for stage in side["stages"]) == pytest.approx(1.0)
        assert side["total_seconds"] > seconds
        assert side["hotspots"][0]["function"] == "work"
    assert Path(first["target"]).name == "two.py"
    json.dumps(found)
    page = Path(found["report"]).read_text()
    assert "Where the time of each goes" in page
    assert "work  two.py:4" in page


def test_without_it_nothing_is_profiled(scripts):
    assert "profiles" not in compare("one.py", repeats=1)
    assert len(Path("runs").read_text().split()) == 2


def test_a_training_is_profiled_as_it_was_measured(monkeypatch):
    asked = Asked(engines=["dict", "numpy"], steps=2000, settings={"env.slip": 0.1, "lr": 0.5})
    compared = contenders(["grid"], asked)
    of = sides.profiles(compared, False, False, 7, lambda _: None)
    for side, engine in zip(of, ("dict", "numpy"), strict=True):
        assert side["exit_code"] == 0
        record = json.loads((Path(side["run"]) / "run.json").read_text())
        assert record["engine"] == engine
        assert record["seed"] == 7
        assert record["env_options"]["slip"] == 0.1
        assert record["config"]["lr"] == 0.5
        assert record["result"]["env_steps"] == pytest.approx(2000, abs=64)


def test_a_side_that_leaves_nothing_behind_costs_nobody_their_times(scripts, monkeypatch):
    from qlearn.profiling import profile as profiling

    def nothing(target, *_, **__):
        raise profiling.NothingMeasured(target, 1)

    monkeypatch.setattr(profiling, "profile", nothing)
    said = []
    found = compare("one.py", repeats=1, profile=True, plot="sides.png", say=said.append)
    assert found["profiles"] == [None]
    assert found["rows"][0]["seconds"]["median"] > 0.2
    assert "one.py ended before anything of it was profiled" in said
    assert Path("sides.png").is_file()


def test_the_options_reach_the_profile(scripts, monkeypatch):
    from qlearn.profiling import profile as profiling

    asked = []

    def noted(target, arguments=(), **how):
        asked.append((target, arguments, how["line"], how["headless"]))
        raise profiling.NothingMeasured(target, 1)

    monkeypatch.setattr(profiling, "profile", noted)
    compare("one.py 'a b' 3", repeats=1, line=True, headless=True)
    compare("one.py", repeats=1, profile=True)
    assert asked == [("one.py", ["a b", "3"], True, True), ("one.py", [], False, False)]


# The tables.
def side(stages=(), hotspots=(), lines=None, total=2.0, target="a.py"):
    return {
        "target": target,
        "total_seconds": total,
        "stages": [{"name": n, "share": s, "seconds": s * total} for n, s in stages],
        "hotspots": [
            {"function": n, "file": f, "line": 3, "share": s, "self_seconds": s * total}
            for n, f, s in hotspots
        ],
        "lines": lines,
        "options": [],
    }


def test_stages_of_all_sides_stand_in_one_order():
    of = [
        side([("environment", 0.5), ("other", 0.4), ("storing", 0.1)]),
        side([("env", 0.2), ("imports", 0.796), ("logging", 0.004)], total=1.0),
        None,
    ]
    assert sides.stages(["x/a.py", "x/b.py", "grid"], of) == [
        ["stage", "a.py", "b.py", "grid"],
        ["imports", "", "80 %  796 ms", ""],
        ["environment", "50 %  1.00 s", "20 %  200 ms", ""],  # a script's and a training's
        ["storing", "10 %  200 ms", "", ""],
        ["not attributed", "40 %  800 ms", "", ""],
        ["in all", "2.00 s", "1.00 s", ""],
    ]


def test_the_hottest_functions_stand_side_by_side():
    here = str(Path("a.py").absolute())
    importing = ("_find", "<frozen importlib._bootstrap>", 0.3)
    of = [side(hotspots=[importing, ("f", here, 0.5), ("g", here, 0.05)]), None,
          side(hotspots=[("h", here, 0.25), ("tiny", here, 0.001)])]  # fmt: skip
    assert sides.hottest(["a.py", "b.py", "c.py"], of) == [
        ["hottest functions", "a.py", "b.py", "c.py"],
        ["1", "50 %  f  a.py:3", "", "25 %  h  a.py:3"],
        ["2", "5.0 %  g  a.py:3", "", ""],
    ]


def test_where_there_are_lines_they_are_shown():
    Path("a.py").write_text("x = 1\nfor k in range(9):\n    x += " + "k + " * 30 + "1\n")
    here = str(Path("a.py").absolute())
    lines = [{"file": here, "line": n, "seconds": s} for n, s in ((2, 0.25), (3, 1.5))]
    of = [side(lines=lines), side(hotspots=[("f", here, 0.5)])]
    heading, first, second = sides.hottest(["a.py", "b.py"], of)
    assert heading[0] == "hottest lines"
    assert first[1].startswith("1.50 s  a.py:3  x += k + k + ")
    assert first[1].endswith("...")
    assert first[2] == "50 %  f  a.py:3"
    assert second[1:] == ["250 ms  a.py:2  for k in range(9):", ""]


def test_names_lose_their_folders_where_they_stay_distinct():
    assert short(["x/a.py 3 y/z", "x/b.py", "grid dict"]) == ["a.py 3 y/z", "b.py", "grid dict"]
    assert short(["x/a.py", "y/a.py"]) == ["x/a.py", "y/a.py"]


def test_profile_is_no_word_for_compare_alone():
    """`compare` stands above `profiling`; never the other way round."""
    room = Path(module.__file__).parents[1] / "profiling"
    sources = list(room.rglob("*.py"))
    assert sources
    assert not [path.name for path in sources if "qlearn.compare" in path.read_text()]
