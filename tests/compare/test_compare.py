"""`compare`: rows, turns, scripts and their failures, the report, mistakes before any timing."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qlearn.cli.main import main
from qlearn.compare import compare as module
from qlearn.compare import report
from qlearn.compare.compare import compare
from qlearn.compare.contenders import EngineContender, Measurement, ScriptContender, ScriptFailed
from qlearn.errors import UserError
from qlearn.runs.training import train

KEYS = {
    "name", "engine", "seconds", "speedup", "steps_per_second", "updates_per_second",
    "peak_memory_mb", "metric", "max_error_to_optimum", "policy_optimal",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "page.html"
    return compare("grid", engines=["dict", "numba", "numpy", "torch"], repeats=2, episodes=800,
                   lr=0.5, epsilon=0.1, out=out)  # fmt: skip


def test_a_row_for_every_engine_with_every_key(found):
    assert found.keys() == {"rows", "report"}
    assert [row["name"] for row in found["rows"]] == [
        f"grid {engine}" for engine in ("dict", "numba", "numpy", "torch")
    ]
    for row in found["rows"]:
        assert row.keys() >= KEYS
        assert row["engine"] == row["name"].split()[1]
        assert row["seconds"].keys() == {"median", "min", "max"}
        assert row["speedup"].keys() == {"median", "low", "high"}
        assert row["speedup"]["low"] <= row["speedup"]["median"] <= row["speedup"]["high"]
        assert row["steps_per_second"] == row["updates_per_second"] > 0
        assert row["peak_memory_mb"] > 10
        assert row["policy_optimal"] is True
        assert row["max_error_to_optimum"] <= 0.05
        assert row["metric"] == -7.0
    assert found["rows"][0]["speedup"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    json.dumps(found)


def test_a_policy_that_is_not_optimal_is_said_so():
    found = compare("grid", engines=["dict"], repeats=1, steps=20)
    assert found["rows"][0]["policy_optimal"] is False
    assert found["rows"][0]["max_error_to_optimum"] > 0.05


def test_without_a_model_nothing_is_said_about_the_optimum(tmp_path):
    found = compare("cartpole", engines=["dict"], repeats=1, steps=500, **{"env.buckets": 3})
    row = found["rows"][0]
    assert (row["policy_optimal"], row["max_error_to_optimum"]) == (None, None)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_a_whole_page_with_every_repeat(found):
    page = Path(found["report"]).read_text()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("tr") == 5
    assert "http" not in page  # it needs nothing else
    svg = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert len(list(svg.iter("circle"))) == 8
    for row in found["rows"]:
        assert row["name"] in page


def test_names_in_the_report_are_text():
    seconds = {"a<b>&'c'": [0.5, 2.0], "b": [1.0, 1.0]}
    rows = [{**dict.fromkeys(KEYS), "name": name, "seconds": {"median": 1.0},
             "speedup": {"median": 1, "low": 1, "high": 1}} for name in seconds]  # fmt: skip
    page = report.page(rows, seconds)
    assert "a<b>" not in page
    assert "a&lt;b&gt;&amp;" in page
    ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def test_the_report_lies_among_the_runs_unless_told_otherwise(home, tmp_path):
    (tmp_path / "a.py").write_text("")
    assert Path(compare("a.py", repeats=1)["report"]).parent == home / "reports"
    here = compare("a.py", repeats=1, out="sub/mine.html")["report"]
    assert here == str(tmp_path / "sub" / "mine.html")
    assert Path(here).is_file()


class Fake:
    """A contender that notes when it was asked what."""

    def __init__(self, name, log, seconds=1.0):
        self.name, self.engine, self.log, self.seconds = name, "fake", log, seconds

    def start(self):
        self.log.append(f"start {self.name}")

    def close(self):
        self.log.append(f"close {self.name}")

    def measure(self, seed):
        self.log.append((self.name, seed))
        return Measurement(self.seconds, 1.0, env_steps=100, updates=200)


def test_turns_alternate_each_with_its_seed_and_the_warm_up_does_not_count(monkeypatch):
    log = []
    fakes = {"a": Fake("a", log, 4.0), "b": Fake("b", log, 2.0)}
    monkeypatch.setattr(module, "_contenders", lambda target, *_: [fakes[target]])
    found = compare("a", "b", repeats=3, seed=10)
    assert log == [
        "start a", "start b",
        ("a", 10), ("b", 10),
        ("b", 10), ("a", 10),
        ("a", 11), ("b", 11),
        ("b", 12), ("a", 12),
        "close a", "close b",
    ]  # fmt: skip
    assert found["rows"][1]["speedup"]["median"] == 2.0
    assert found["rows"][1]["steps_per_second"] == 50.0
    assert found["rows"][1]["updates_per_second"] == 100.0


def test_every_contender_is_closed_whatever_happens(monkeypatch):
    log = []
    good, bad = Fake("good", log), Fake("bad", log)
    bad.measure = lambda seed: 1 / 0
    monkeypatch.setattr(module, "_contenders", lambda target, *_: [{"g": good, "b": bad}[target]])
    with pytest.raises(ZeroDivisionError):
        compare("g", "b")
    assert log[-2:] == ["close good", "close bad"]


# Scripts.
def test_scripts_are_run_with_their_arguments_and_searched_for_a_number(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import sys\nprint('score: 1')\nprint('score:', float(sys.argv[1]) * 2, sys.argv[2:])\n"
    )
    found = compare("mine.py 2.5 'two words'", "mine.py 4", repeats=2, metric=r"score: ([\d.]+)")
    assert [row["metric"] for row in found["rows"]] == [5.0, 8.0]  # the last that is printed
    assert [row["name"] for row in found["rows"]] == ["mine.py 2.5 'two words'", "mine.py 4"]
    assert {row["engine"] for row in found["rows"]} == {"script"}
    assert all(row["peak_memory_mb"] > 1 for row in found["rows"])


def test_headless_scripts_open_no_window(tmp_path):
    (tmp_path / "plots.py").write_text(
        "import os\nprint('n', len([k for k in ('MPLBACKEND', 'SDL_VIDEODRIVER') if k in os.environ]))"
    )
    found = [compare("plots.py", repeats=1, headless=headless, metric=r"n (\d)")
             for headless in (True, False)]  # fmt: skip
    assert found[0]["rows"][0]["metric"] == 2.0
    assert found[1]["rows"][0]["metric"] in (0.0, 1.0)


@pytest.mark.parametrize("code", [1, 3, 77])
def test_a_script_that_fails_keeps_its_own_exit_code_and_words(tmp_path, capsys, code):
    (tmp_path / "fails.py").write_text(f"import sys\nprint('before')\nsys.exit({code})\n")
    with pytest.raises(SystemExit) as caught:
        main(["compare", "fails.py", "--json"])
    assert caught.value.code == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"before\nqlearn: fails.py ended with exit code {code}\n"


def test_a_scripts_traceback_is_shown(tmp_path):
    (tmp_path / "raises.py").write_text("def f():\n    raise KeyError('lost')\nf()\n")
    with pytest.raises(ScriptFailed) as caught:
        compare("raises.py", repeats=1)
    assert caught.value.code == 1
    assert "KeyError: 'lost'" in caught.value.output
    assert "raises.py" in caught.value.output


def test_a_script_gets_no_keyboard(tmp_path):
    (tmp_path / "asks.py").write_text("input('name? ')\n")
    with pytest.raises(ScriptFailed):
        compare("asks.py", repeats=1)


def test_words_that_are_no_text_do_not_matter(tmp_path):
    (tmp_path / "bytes.py").write_text(
        "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe 7.5\\n' * 20000)\n"
    )
    assert compare("bytes.py", repeats=1, metric=r"(7\.5)")["rows"][0]["metric"] == 7.5


# Runs.
def test_a_runs_settings_are_trained_again(home):
    run = train("grid", engine="dict", steps=900, rule="sarsa", lr=0.3, **{"env.slip": 0.2})
    for target in ("last", run.path.name, str(run.path)):
        found = compare(target, repeats=1)
        assert found["rows"][0]["engine"] == "dict"
        assert found["rows"][0]["name"] == target
    contender = module._contenders(
        "last", [], "auto", {"steps": None, "episodes": None}, {}, None, False
    )
    assert contender[0].job["settings"]["rule"] == "sarsa"
    assert contender[0].job["env_options"] == {"slip": 0.2}
    both = compare("last", engines=["dict", "numpy"], repeats=1, steps=200)
    assert [row["name"] for row in both["rows"]] == ["last dict", "last numpy"]


# The worker.
def worker(*lines):
    done = subprocess.run([sys.executable, "-m", "qlearn.compare.worker"], capture_output=True,
                          input="".join(line + "\n" for line in lines), text=True, check=False)  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


JOB = {
    "env": "grid",
    "env_options": {},
    "algo": "table",
    "engine": "dict",
    "settings": {"steps": 300},
}


def test_a_worker_answers_line_by_line():
    code, answers = worker(json.dumps(JOB), '{"seed": 0}', '{"seed": 1}', '{"seed": 0}')
    assert code == 0
    assert answers[0] == {"ready": True}
    assert [a["env_steps"] for a in answers[1:]] == [300] * 3
    assert answers[1]["episodes"] == answers[3]["episodes"]
    assert answers[1]["max_error_to_optimum"] == answers[3]["max_error_to_optimum"]
    assert answers[1]["max_error_to_optimum"] != answers[2]["max_error_to_optimum"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "gird"}, "did you mean 'grid'"),
        ({"engine": "fast"}, "unknown engine 'fast'"),
        ({"settings": {"alpha": 1}}, "there is no setting 'alpha'"),
        ({"env_options": {"slip": 3}}, "env.slip must be between 0 and 1"),
    ],
)
def test_a_workers_mistakes_are_one_line(changes, message):
    code, answers = worker(json.dumps({**JOB, **changes}))
    assert code == 2
    assert message in answers[-1]["error"]


def test_a_worker_that_dies_is_told(monkeypatch):
    contender = EngineContender("grid dict", JOB)
    contender.start()
    contender._process.kill()
    contender._process.wait()
    with pytest.raises(
        RuntimeError, match="the process that measures grid dict ended unexpectedly"
    ):
        contender.measure(0)


def test_what_an_environment_prints_does_not_confuse_the_measuring(tmp_path):
    (tmp_path / "loud.py").write_text(
        "print('hello')\n"
        "class Loud:\n"
        "    actions = 2\n"
        "    observation = 2\n"
        "    max_steps = 5\n"
        "    state = {'x': 'int64'}\n"
        "    def reset(state, rng):\n        state.x = 0\n"
        "    def step(state, action, rng):\n        state.x = action\n        return 1.0, False\n"
        "    def observe(state, obs):\n        obs[0] = state.x\n"
    )
    found = compare(f"{tmp_path}/loud.py:Loud", engines=["dict"], repeats=1, steps=50)
    assert found["rows"][0]["metric"] == 5.0


def test_mistakes_are_told_before_anything_is_started(monkeypatch):
    def never(self):
        raise AssertionError("started")

    monkeypatch.setattr(EngineContender, "start", never)
    monkeypatch.setattr(ScriptContender, "start", never)
    for targets, how, message in (
        ((), {}, "compare what?"),
        (("grid", "gird"), {}, "did you mean 'grid'"),
        (("grid",), {"engines": ["dict", "numbra"]}, "did you mean 'numba'"),
        (("grid", "missing.py"), {}, "cannot read missing.py"),
        (("grid",), {"repeats": 0}, "repeats must be at least 1"),
        (("grid", "grid"), {}, "the same contender stands twice"),
    ):
        with pytest.raises(UserError, match=message):
            compare(*targets, **how)


def test_compare_is_a_function_of_the_package_however_often_it_is_named(tmp_path):
    (tmp_path / "a.py").write_text("")
    code = (
        "import qlearn\n"
        "for _ in range(2): print(len(qlearn.compare('a.py', repeats=1)['rows']))\n"
        "from qlearn.compare.measure import spread\n"
        "print(len(qlearn.compare('a.py', repeats=1)['rows']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1\n" * 3, 0), done.stderr
