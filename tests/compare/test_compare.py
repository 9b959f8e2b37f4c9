"""`compare`: rows, turns, scripts and their failures, the report, mistakes before any timing."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qlearn.cli.main import main
from qlearn.compare import compare as module
from qlearn.compare import report
from qlearn.compare import worker as working
from qlearn.compare.compare import compare
from qlearn.compare.contenders import (
    Cost,
    EngineContender,
    Measurement,
    ScriptContender,
    ScriptFailed,
)
from qlearn.compare.targets import Asked, contenders
from qlearn.errors import UserError
from qlearn.runs.training import train

KEYS = {
    "name", "engine", "seconds", "speedup", "steps_per_second", "updates_per_second",
    "peak_memory_mb", "metric", "max_error_to_optimum", "policy_optimal", "cpu_seconds",
    "total_seconds",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "page.html"
    return compare("grid", engines=["dict", "numba"], repeats=1, episodes=800,
                   lr=0.5, epsilon=0.1, out=out)  # fmt: skip


def test_a_row_for_every_engine_with_every_key(found):
    assert found.keys() == {"rows", "report", "compared", "winner", "verdict"}
    assert found["compared"] == "train_seconds"
    assert found["winner"] is None  # of one turn
    assert [row["name"] for row in found["rows"]] == [
        f"grid {engine}" for engine in ("dict", "numba")
    ]
    for row in found["rows"]:
        assert row.keys() >= KEYS
        assert row["engine"] == row["name"].split()[1]
        for key in ("seconds", "cpu_seconds", "total_seconds"):
            assert row[key].keys() == {"median", "min", "max"}
        assert row["total_seconds"]["min"] > row["seconds"]["max"]  # imports
        assert row["speedup"].keys() == {"median", "low", "high"}
        assert row["speedup"]["low"] <= row["speedup"]["median"] <= row["speedup"]["high"]
        assert row["steps_per_second"] == row["updates_per_second"] > 0
        assert row["peak_memory_mb"] > 10
        assert row["policy_optimal"] is True
        assert row["max_error_to_optimum"] <= 0.05
        assert row["metric"] == -7.0
    assert found["rows"][0]["speedup"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    json.dumps(found)


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
    assert tags.seen.count("tr") == 3
    assert "http" not in page  # it needs nothing else
    svg = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert len(list(svg.iter("circle"))) == 2
    for row in found["rows"]:
        assert row["name"] in page


def row(name, **values):
    spread = {"median": 1.0, "min": 1.0, "max": 1.0}
    known = {"name": name, "seconds": spread, "cpu_seconds": spread, "total_seconds": spread,
             "speedup": {"median": 1, "low": 1, "high": 1}}  # fmt: skip
    return {**dict.fromkeys(KEYS), **known, **values}


def test_names_in_the_report_are_text():
    seconds = {"a<b>&'c'": [0.5, 2.0], "b": [1.0, 1.0]}
    found = {"rows": [row(name) for name in seconds], "verdict": "a<b> wins",
             "compared": "total_seconds"}  # fmt: skip
    page = report.page(found, seconds)
    assert "a<b>" not in page
    assert "a&lt;b&gt;&amp;" in page
    assert "a&lt;b&gt; wins" in page
    ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def test_columns_that_say_nothing_are_left_out_of_the_report():
    seconds = {"a": [1.0]}
    found = {"rows": [row("a", metric=0.0)], "verdict": "", "compared": "total_seconds"}
    page = report.page(found, seconds)
    assert "<th>metric</th>" in page
    assert "<th>steps/s</th>" not in page


def test_the_report_lies_among_the_runs_unless_told_otherwise(home, tmp_path):
    (tmp_path / "a.py").write_text("")
    assert Path(compare("a.py", repeats=1)["report"]).parent == home / "reports"
    here = compare("a.py", repeats=1, out="sub/mine.html")["report"]
    assert here == str(tmp_path / "sub" / "mine.html")
    assert Path(here).is_file()


class Fake:
    """A contender that notes when it was asked what."""

    def __init__(self, name, log, seconds=1.0):
        self.name, self.log, self.seconds = name, log, seconds

    def prepare(self):
        self.log.append(f"prepare {self.name}")

    def measure(self, seed):
        self.log.append((self.name, seed))
        total = Cost(self.seconds + 3.0, self.seconds + 5.0)
        training = Cost(self.seconds, 2 * self.seconds)
        return Measurement(total, 1.0, training, "fake", env_steps=100, updates=200)


def test_turns_alternate_each_with_its_seed_and_the_warm_up_does_not_count(monkeypatch):
    log, said = [], []
    fakes = [Fake("a", log, 4.0), Fake("b", log, 2.0)]
    monkeypatch.setattr(module, "contenders", lambda *_: fakes)
    found = compare("a", "b", repeats=3, seed=10, say=said.append)
    assert log == [
        "prepare a", "prepare b",
        ("a", 10), ("b", 10),
        ("b", 10), ("a", 10),
        ("a", 11), ("b", 11),
        ("b", 12), ("a", 12),
    ]  # fmt: skip
    assert said == ["warmed up", "turn 1 of 3", "turn 2 of 3", "turn 3 of 3"]
    row = found["rows"][1]
    assert row["speedup"]["median"] == 2.0
    assert row["cpu_seconds"]["median"] == 4.0
    assert row["total_seconds"]["median"] == 5.0
    assert row["steps_per_second"] == 50.0
    assert row["updates_per_second"] == 100.0
    assert row["engine"] == "fake"


def test_by_default_there_are_at_least_five_turns_and_a_winner(monkeypatch):
    log = []
    fakes = [Fake("a", log, 4.0), Fake("b", log, 2.0)]
    monkeypatch.setattr(module, "contenders", lambda *_: fakes)
    found = compare("a", "b")
    assert len(log) >= 2 + 2 + 2 * 5
    assert found["winner"] == "b"
    assert found["verdict"] == "b is 2.00x as fast as a (2.00 to 2.00)"


def test_beside_a_script_a_training_counts_whole(monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text("")
    (script,) = contenders(["a.py"], Asked())
    monkeypatch.setattr(module, "contenders", lambda *_: [script, Fake("b", [], 2.0)])
    found = compare("a.py", "b", repeats=1)
    row = found["rows"][1]
    assert found["compared"] == "total_seconds"
    assert row["seconds"]["median"] == row["total_seconds"]["median"] == 5.0
    assert row["cpu_seconds"]["median"] == 7.0
    assert row["steps_per_second"] == 50.0  # of training


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


def test_headless_scripts_open_no_window(tmp_path, monkeypatch):
    for key in ("MPLBACKEND", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(key, raising=False)
    (tmp_path / "plots.py").write_text(
        "import os\nprint('n', len([k for k in ('MPLBACKEND', 'SDL_VIDEODRIVER') if k in os.environ]))"
    )
    found = [compare("plots.py", repeats=1, headless=headless, metric=r"n (\d)")
             for headless in (True, False)]  # fmt: skip
    assert [each["rows"][0]["metric"] for each in found] == [2.0, 0.0]


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


def test_a_script_that_a_signal_ends_has_the_code_that_shells_give_it(tmp_path):
    (tmp_path / "killed.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(ScriptFailed) as caught:
        compare("killed.py", repeats=1)
    assert caught.value.code == 128 + 9


def test_a_scripts_memory_is_its_own(tmp_path):
    """Started from a process of hundreds of megabytes, it would be counted as large as that."""
    held = bytearray(b"x") * 400_000_000
    (tmp_path / "small.py").write_text("")
    (tmp_path / "large.py").write_text("a = bytearray(b'x') * 200_000_000\n")
    small, large = compare("small.py", "large.py", repeats=1)["rows"]
    assert len(held) == 400_000_000
    assert small["peak_memory_mb"] < 100
    assert 190 < large["peak_memory_mb"] < 300


def test_time_of_the_processor_is_told_from_waiting(tmp_path):
    (tmp_path / "waits.py").write_text("import time\ntime.sleep(0.25)\n")
    (tmp_path / "works.py").write_text(
        "import time\nwhile time.process_time() < 0.25: sum(range(1000))\n"
    )
    waits, works = compare("waits.py", "works.py", repeats=1)["rows"]
    assert waits["seconds"]["median"] >= 0.25 > waits["cpu_seconds"]["median"]
    assert works["cpu_seconds"]["median"] >= 0.25


def test_each_turn_is_a_fresh_process(tmp_path):
    (tmp_path / "one.py").write_text(
        "import os\nwith open('pids', 'a') as file: print(os.getpid(), file=file)\n"
    )
    compare("one.py", repeats=3)
    pids = (tmp_path / "pids").read_text().split()
    assert len(set(pids)) == len(pids) == 4


def test_what_a_script_leaves_running_keeps_nobody_waiting(tmp_path):
    (tmp_path / "leaves.py").write_text(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])\n"
    )
    assert compare("leaves.py", repeats=1)["rows"][0]["seconds"]["max"] < 15


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
        (contender,) = contenders([target], Asked())
        assert contender.name == target
        assert contender.job["engine"] == "dict"
        assert contender.job["settings"]["rule"] == "sarsa"
        assert contender.job["env_options"] == {"slip": 0.2}
    both = contenders(["last"], Asked(engines=["dict", "numpy"], steps=200))
    assert [each.name for each in both] == ["last dict", "last numpy"]
    assert [each.job["engine"] for each in both] == ["dict", "numpy"]
    assert {each.job["settings"]["rule"] for each in both} == {"sarsa"}
    assert both[1].measure(0).engine == "numpy"


# The worker.
JOB = {
    "env": "grid",
    "env_options": {},
    "algo": "table",
    "engine": "dict",
    "settings": {"steps": 300},
}


def worker(capsys, monkeypatch, **changes):
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(json.dumps({**JOB, "seed": 0, "warm": False, **changes}))
    )
    code = working.main()
    return code, json.loads(capsys.readouterr().out)


def test_a_worker_answers_the_same_for_the_same_seed(capsys, monkeypatch):
    answers = [worker(capsys, monkeypatch, seed=seed)[1] for seed in (0, 1, 0)]
    assert [answer["env_steps"] for answer in answers] == [300] * 3
    errors = [answer["max_error_to_optimum"] for answer in answers]
    assert errors[0] == errors[2] != errors[1]
    for answer in answers:
        assert answer["training"].keys() == answer["aside"].keys() == {"seconds", "cpu_seconds"}


def test_a_policy_that_is_not_optimal_is_said_so(capsys, monkeypatch):
    _, answer = worker(capsys, monkeypatch, settings={"steps": 20})
    assert answer["policy_optimal"] is False
    assert answer["max_error_to_optimum"] > 0.05


def test_without_a_model_nothing_is_said_about_the_optimum(capsys, monkeypatch):
    changes = {"env": "cartpole", "env_options": {"buckets": "3"}, "settings": {"steps": 500}}
    _, answer = worker(capsys, monkeypatch, **changes)
    assert (answer["policy_optimal"], answer["max_error_to_optimum"]) == (None, None)


def test_a_warm_worker_learns_the_same(capsys, monkeypatch):
    answers = [worker(capsys, monkeypatch, warm=warm)[1] for warm in (False, True)]
    for key in ("env_steps", "updates", "metric", "max_error_to_optimum"):
        assert answers[0][key] == answers[1][key]


def test_without_a_seed_nothing_is_trained(capsys, monkeypatch):
    assert worker(capsys, monkeypatch, seed=None) == (0, {"engine": "dict"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "gird"}, "did you mean 'grid'"),
        ({"engine": "fast"}, "unknown engine 'fast'"),
        ({"settings": {"alpha": 1}}, "there is no setting 'alpha'"),
        ({"env_options": {"slip": 3}}, "env.slip must be between 0 and 1"),
    ],
)
def test_a_workers_mistakes_are_one_line(changes, message, capsys, monkeypatch):
    code, answer = worker(capsys, monkeypatch, **changes)
    assert code == 2
    assert message in answer["error"]


ENVIRONMENT = """
class Loud:
    actions = 2
    observation = 2
    max_steps = 5
    state = {{'x': 'int64'}}
    def reset(state, rng):
        state.x = 0
    def step(state, action, rng):
        {step}
        state.x = action
        return 1.0, False
    def observe(state, obs):
        obs[0] = state.x
"""


def test_a_worker_that_dies_is_told(tmp_path):
    (tmp_path / "dies.py").write_text("import os\nos._exit(9)\n" + ENVIRONMENT.format(step="pass"))
    contender = EngineContender("dies", {**JOB, "env": f"{tmp_path}/dies.py:Loud"})
    with pytest.raises(RuntimeError, match="the process that measures dies ended unexpectedly"):
        contender.measure(0)


def test_what_an_environment_prints_does_not_confuse_the_measuring(tmp_path):
    (tmp_path / "loud.py").write_text("print('hello')\n" + ENVIRONMENT.format(step="pass"))
    found = compare(f"{tmp_path}/loud.py:Loud", engines=["dict"], repeats=1, steps=50)
    assert found["rows"][0]["metric"] == 5.0


def test_mistakes_are_told_before_anything_is_started(monkeypatch):
    def never(self):
        raise AssertionError("started")

    monkeypatch.setattr(EngineContender, "prepare", never)
    monkeypatch.setattr(ScriptContender, "prepare", never)
    for targets, how, message in (
        ((), {}, "compare what?"),
        (("grid", "gird"), {}, "did you mean 'grid'"),
        (("grid",), {"engines": ["dict", "numbra"]}, "did you mean 'numba'"),
        (("grid", "missing.py"), {}, "cannot read missing.py"),
        (("grid",), {"repeats": 0}, "repeats must be at least 1"),
        (("grid", "grid"), {}, "the same contender stands twice"),
        (("grid",), {"plot": "a.jpg"}, "must end in .png or .svg"),
        (("grid",), {"plot": "nowhere/a.png"}, "there is no folder"),
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


# What would change nothing is refused.
@pytest.mark.parametrize(
    ("targets", "how", "message"),
    [
        (["a.py"], {"engines": ["dict"]}, "--engines is for trainings of qlearn, and a.py is a"),
        (["a.py 3"], {"algo": "dqn"}, "--algo is for trainings of qlearn, and a.py is a script"),
        (["a.py", "b.py"], {"lr": 0.1}, "--set is for trainings of qlearn"),
        (["a.py"], {"episodes": 5}, 'as in "FILE.py --episodes 500"'),
        (["a.py"], {"steps": 5}, "--steps is for trainings"),
        (["a.py"], {"seed": 0}, "--seed is for trainings"),
        (["grid"], {"metric": "x"}, "--metric is for scripts, and no target is one"),
        (["grid"], {"headless": True}, "--headless is for scripts"),
    ],
)
def test_an_option_that_no_target_heeds_is_refused(tmp_path, targets, how, message):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=re.escape(message)):
        compare(*targets, **how)


def test_a_run_is_trained_as_it_was(home):
    train("grid", engine="dict", steps=50)
    for how, option in (({"lr": 0.1}, "--set"), ({"algo": "dqn"}, "--algo")):
        for targets in (["last"], ["grid", "last"]):
            message = f"{option} does not apply to last, a run, .* qlearn compare grid {option}"
            with pytest.raises(UserError, match=message):
                compare(*targets, **how)


def test_in_a_mix_each_takes_what_is_for_it(tmp_path):
    (tmp_path / "a.py").write_text("")
    asked = Asked(engines=["dict", "numpy"], steps=20, metric="x", headless=True)
    assert [each.name for each in contenders(["a.py", "grid"], asked)] == [
        "a.py", "grid dict", "grid numpy",
    ]  # fmt: skip


def test_beside_a_script_no_training_is_warm(tmp_path):
    (tmp_path / "a.py").write_text("")
    assert [each.warm for each in contenders(["grid"], Asked())] == [True]
    assert [each.warm for each in contenders(["grid", "a.py"], Asked())[:1]] == [False]
