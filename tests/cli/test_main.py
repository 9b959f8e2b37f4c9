"""What every command shares: JSON, streams, exit codes, help, what is imported, reports of faults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import qlearn
from qlearn.cli import main as cli
from qlearn.cli.main import main

HEAVY = ("numpy", "numba", "torch", "gymnasium", "rich", "matplotlib", "scipy", "safetensors")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "runs"


def answer(capsys, *words):
    """The JSON object of a command: one, the last line, the only thing on standard output."""
    assert main([*words, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import qlearn",
        "import qlearn; dir(qlearn)",
        "from qlearn.cli.main import main; main(['--help'])",
        "from qlearn.cli.main import main; main(['--version'])",
        "from qlearn.cli.main import main; main(['no-such-command'])",
        *(
            "import contextlib\nfrom qlearn.cli.main import main\n"
            f"with contextlib.suppress(SystemExit): main(['{name}', '--help'])"
            for name in cli.COMMANDS
        ),
    ],
)
def test_nothing_heavy_is_imported_for_a_word_of_help(code):
    check = f"import sys\n{code}\nprint([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_train_eval_and_runs_in_json(capsys):
    trained = answer(capsys, "train", "grid", "--steps", "2k", "--engine", "dict", "--seed", "3")
    assert trained.keys() >= {
        "run", "env", "algo", "engine", "device", "threads", "seed", "env_steps", "updates",
        "episodes", "compile_seconds", "train_seconds", "total_seconds", "steps_per_second",
        "solved_at_seconds", "solved_at_steps", "eval", "best_eval", "stages", "peak_memory_mb",
    }  # fmt: skip
    assert trained["stages"][0].keys() == {"name", "seconds", "share", "calls"}
    found = answer(capsys, "eval", "last", "--episodes", "7", "--seed", "1", "--best")
    assert found.keys() >= {"run", "episodes", "mean", "std", "min", "max", "mean_length"}
    assert (found["run"], found["episodes"]) == (trained["run"], 7)
    listed = answer(capsys, "runs")["runs"]
    assert len(listed) == 1
    assert listed[0].keys() >= {"run", "env", "algo", "status", "eval"}
    assert listed[0]["train_seconds"] == trained["train_seconds"]
    assert (listed[0]["run"], listed[0]["status"]) == (trained["run"], "done")
    assert listed[0]["eval"] == trained["eval"]


def test_envs_and_check_in_json(capsys):
    rows = answer(capsys, "envs")["envs"]
    assert [row["name"] for row in rows] == ["grid", "cartpole", "snake"]
    for row in rows:
        assert row.keys() == {"name", "kind", "actions", "observation", "description"}
    assert answer(capsys, "check", "grid") == {"env": "grid", "problems": []}


def test_compare_in_json(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("print('score: 3.5')\n")
    found = answer(capsys, "compare", f"{tmp_path}/mine.py", "--repeats", "2", "--metric",
                   r"score: ([\d.]+)")  # fmt: skip
    assert found.keys() == {"rows", "report", "compared", "winner", "verdict"}
    assert found["rows"][0]["metric"] == 3.5


CHATTY = """
print("imported")

class Chatty:
    '''Says what it does.'''

    actions = 2
    observation = (1,)
    max_steps = 5
    state = {"x": "float64"}

    def configure(options):
        print("configured")
        return {}

    def reset(state, rng):
        state.x = 0.0

    def step(state, action, rng):
        state.x += 1.0
        return 1.0, False

    def observe(state, obs):
        obs[0] = state.x

    bounds = ((0.0, 5.0),)
"""


def test_what_an_environment_prints_does_not_get_between(capsys, tmp_path):
    (tmp_path / "chatty.py").write_text(CHATTY)
    code = main(["train", f"{tmp_path}/chatty.py:Chatty", "--engine", "dict", "--steps", "50",
                 "--set", "env.buckets=3", "--json"])  # fmt: skip
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert captured.out.count("\n") == 1
    assert json.loads(captured.out)["env"] == "Chatty"
    assert "imported" in captured.err
    assert "configured" in captured.err


def test_quiet_says_nothing_but_results(capsys):
    assert main(["train", "grid", "--engine", "dict", "--steps", "100", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "greedy mean" in captured.out


def test_results_on_standard_output_all_else_on_standard_error(capsys):
    assert main(["runs"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, "no runs yet" in captured.err) == ("", True)
    assert main(["envs"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split("\t")[0] == "grid"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(capsys, words):
    assert main(words) == 0
    out = capsys.readouterr().out
    for name, summary in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{summary}$", out, re.M)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_helps(capsys, name):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: qlearn {name}" in out
    assert "--json" in out


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qlearn {qlearn.__version__}\n"


@pytest.fixture
def broken(monkeypatch):
    """`qlearn envs`, failing as asked."""

    def breaks(error):
        def run(arguments, console):
            raise error

        monkeypatch.setattr("qlearn.cli.envs.run", run)

    return breaks


def test_a_fault_of_ours_leaves_a_report_and_one_line(capsys, broken, monkeypatch):
    monkeypatch.delenv("QLEARN_DEBUG", raising=False)
    broken(RuntimeError("the table\nfell over"))
    assert main(["envs", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "this is a fault of qlearn (RuntimeError: the table fell over)" in captured.err
    text = Path(captured.err.split()[-1]).read_text()
    assert "Traceback" in text
    assert "fell over" in text
    assert qlearn.__version__ in text


def test_who_debugs_sees_the_traceback(broken, monkeypatch):
    monkeypatch.setenv("QLEARN_DEBUG", "1")
    broken(RuntimeError("fell over"))
    with pytest.raises(RuntimeError, match="fell over"):
        main(["envs"])


def test_a_full_disk_and_an_interruption_have_their_own_endings(capsys, broken):
    broken(OSError(28, "No space left on device"))
    assert main(["envs"]) == 2
    assert capsys.readouterr().err == "qlearn: the disk is full; nothing that was there is lost\n"
    broken(KeyboardInterrupt())
    assert main(["envs"]) == 130
    assert capsys.readouterr().err == "qlearn: interrupted\n"


def test_a_reader_that_goes_away_is_no_fault():
    reading = f"{sys.executable} -m qlearn envs | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", reading], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.replace(FORMS, "")) == (0, "")


FORMS = "also: a map FILE.txt, gym:ID (any Gymnasium environment), FILE.py:Name (your own)\n"
