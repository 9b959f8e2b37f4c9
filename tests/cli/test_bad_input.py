"""What a person may get wrong: exit code 2, one line that says what is wrong, no traceback."""

from __future__ import annotations

import os
import sys

import pytest

from qlearn.cli.main import main
from qlearn.runs.files import write_sealed
from qlearn.runs.folder import RunFolder
from qlearn.runs.training import train


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(capsys, *words):
    assert main(list(words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("qlearn: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


TRAIN = [
    ("gird", "unknown environment 'gird'; did you mean 'grid'?"),
    ("", "unknown environment ''"),
    ("grid --steps -1", "argument --steps: must be at least 1, not -1"),
    ("grid --steps 0", "must be at least 1, not 0"),
    ("grid --steps 1.5", "'1.5' is no whole number"),
    ("grid --steps many", "'many' is no whole number"),
    ("grid --steps 1e400", "'1e400' is no whole number"),
    ("grid --steps nan", "'nan' is no whole number"),
    ("grid --episodes -3", "argument --episodes: must be at least 1"),
    ("grid --seconds 0", "must be above 0, not 0"),
    ("grid --seconds inf", "must be above 0, not inf"),
    ("grid --until nan", "must be a number, not nan"),
    ("grid --seed -1", "must be at least 0, not -1"),
    ("grid --seed 9223372036854775808", "must be at most 9223372036854775807"),
    ("grid --seeds 0", "must be at least 1, not 0"),
    ("grid --envs 0 --engine numpy", "must be at least 1, not 0"),
    ("grid --device tpu", "invalid choice: 'tpu'"),
    ("grid --engine fortran", "unknown engine 'fortran' for table"),
    ("grid --algo sarsaa", "unknown algorithm 'sarsaa'"),
    ("grid --speed 3", "unrecognized arguments: --speed 3"),
    ("grid cartpole", "unrecognized arguments: cartpole"),
    ("grid --step 3", "unrecognized arguments: --step 3"),
    ("grid --set lr", "'lr' is not key=value"),
    ("grid --set =3", "'=3' is not key=value"),
    ("grid --set lr=2", "lr must be between 0 and 1, not 2"),
    ("grid --set lr=-0.1", "lr must be between 0 and 1, not -0.1"),
    ("grid --set lr=fast", "lr: 'fast' is no number and no schedule"),
    ("grid --set alpha=0.5", "there is no setting 'alpha' for table"),
    ("grid --set epsilon=1->2", "epsilon must be between 0 and 1, not 2"),
    ("grid --set epsilon=step:1->0@1x0", "epsilon: stairs are counted"),
    ("grid --set discount=1.01", "discount must be between 0 and 1, not 1.01"),
    ("grid --set discount=most", "discount must be a number, not 'most'"),
    ("grid --set rule=w", "unknown rule 'w'"),
    ("grid --set round_to=99", "round_to must be from -1"),
    ("grid --set initial=nan", "initial must be a number"),
    ("grid --set eval_every=-1", "eval_every must be at least 0"),
    ("grid --set eval_episodes=0", "eval_episodes must be at least 1"),
    ("grid --set steps=-4", "--set steps: must be at least 1"),
    ("grid --set env.slip=2", "env.slip must be between 0 and 1"),
    ("grid --set env.slipp=0.2", "there is no option env.slipp; did you mean 'slip'"),
    ("grid --set env.reward=later", "env.reward must be one of classic, arrival"),
    ("grid --set env.reward=no.py:f", "cannot read no.py"),
    ("grid --set env.buckets=8", "grid has states already"),
    ("grid --set env=cartpole", "there is no setting 'env'"),
    ("grid --set say=hello", "there is no setting 'say'"),
    ("grid --set progress=1", "there is no setting 'progress'"),
    ("grid --set watchers=1", "there is no setting 'watchers'"),
    ("grid --set tensorboard=perhaps", "'perhaps' is neither true nor false"),
    ("grid --threads=-1", "must be at least 0, not -1"),
    ("grid --init no.pth", "'no.pth' is no seed, and there is no file"),
    ("grid --set epsilon=1-", "in quotes: '1->0.05@0.3'"),
    ("grid --set device=gpu", "device must be one of auto, cpu, cuda, not 'gpu'"),
    ("grid --set resume=last", "there is no setting 'resume'"),
    ("cartpole --algo table", "cartpole shows 4 real numbers, a table needs states"),
    ("cartpole --set env.buckets=0", "env.buckets must be at least 1, not 0"),
    ("cartpole --set env.buckets=8x8", "env.buckets has 2 counts; cartpole shows 4"),
    ("cartpole --set env.buckets=few", "env.buckets must be a number, or one for each"),
    ("cartpole --set env.buckets=300", "the table would have"),
    ("cartpole --set env.buckets=3000", "the table would have"),
    ("snake --algo table", "a table needs states"),
    ("snake --set env.buckets=2", "the table would have"),
    ("gym:NoSuchGame-v0", "NoSuchGame"),
    ("gym:CliffWalking-v1 --engine dict --set env.native=false", "the dict engine compiles"),
    ("nowhere.txt", "cannot read the map"),
    ("nowhere.py:Mine", "cannot read nowhere.py"),
    ("nowhere.py", "which class of nowhere.py? write nowhere.py:Name"),
    ("--resume nothing", "there is no run 'nothing'"),
    ("--resume last", "there is no run in"),
    ("grid --resume last", "either an environment or --resume RUN, not both"),
    ("--resume last --seeds 3", "--resume goes on with one run, without --seeds"),
]


@pytest.mark.parametrize(("words", "message"), TRAIN, ids=[words for words, _ in TRAIN])
def test_train(capsys, here, words, message):
    assert message in complaint(capsys, "train", *(words.split() or [""]))
    assert not (here / "runs").exists() or not os.listdir(here / "runs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grid --engine numpy --envs 2000000", "2,000,000 copies of grid take"),
        ("cartpole --algo pqn --envs 2000000", "2,000,000 copies of cartpole take"),
        ("cartpole --algo dqn --set hidden=4096x4096", "parameters take"),
        ("cartpole --algo dqn --set batch=1000000", "a network for 1,000,000 rows at once takes"),
        ("cartpole --algo pqn --envs 4096 --set rollout=1024", "rollouts of 4,096 x 1,024 steps"),
        ("cartpole --set env.buckets=60", "entries of the table take"),
    ],
)
def test_what_would_not_fit_is_known_before(capsys, here, monkeypatch, words, message):
    monkeypatch.setattr("qlearn.memory.available_megabytes", lambda: 60.0)
    said = complaint(capsys, "train", *words.split(), "--quiet")
    assert message in said
    assert " MB of memory are free; " in said
    assert not (here / "runs").exists()


def test_what_fits_alone_must_fit_together(capsys, here, monkeypatch):
    monkeypatch.setattr("qlearn.memory.available_megabytes", lambda: 60.0)
    words = ("cartpole", "--algo", "dqn", "--quiet", "--set", "replay=2000000", "hidden=1024x1024")
    said = complaint(capsys, "train", *words)
    assert "2,000,000 places of 4 float32 takes 50.0 MB, and" in said
    assert "60 MB" not in said


def test_memory_that_is_not_there_is_one_line(capsys, monkeypatch):
    def greedy(*_, **__):
        raise MemoryError("Unable to allocate 246. GiB")

    monkeypatch.setattr("qlearn.runs.training.train", greedy)
    assert "there is not enough memory (Unable" in complaint(capsys, "train", "grid")


@pytest.mark.parametrize(
    "words", [("x" * 5000,), ("a\0b",), ("--resume", "\ud800"), ("--out", "y" * 300)]
)
def test_words_that_are_no_paths(capsys, words):
    found = complaint(capsys, "train", *words, *(["grid"] if words[0] == "--out" else []))
    assert len(found) < 700


def test_train_without_an_environment(capsys):
    assert "which environment?" in complaint(capsys, "train")


OTHERS = [
    ("trian grid", "there is no command 'trian'; did you mean 'train'?"),
    ("eval", "the following arguments are required: RUN"),
    ("eval nothing", "there is no run 'nothing'"),
    ("eval last --episodes 0", "must be at least 1, not 0"),
    ("eval last --max-steps 0", "must be at least 1, not 0"),
    ("runs nowhere", "there is no folder"),
    ("check", "the following arguments are required"),
    ("check grid --set slip=1", "only env.KEY can be set here"),
    ("envs extra", "unrecognized arguments: extra"),
    ("compare", "the following arguments are required: TARGET"),
    ("compare gird", "unknown environment 'gird'"),
    ("compare grid --engines numba,fortran", "unknown engine 'fortran'"),
    ("compare grid --engines ,", "unknown engine ''"),
    ("compare grid --engines dict,dict", "the same contender stands twice"),
    ("compare grid grid", "the same contender stands twice"),
    ("compare grid --repeats 0", "must be at least 1, not 0"),
    ("compare grid --set alpha=1", "there is no setting 'alpha'"),
    ("compare grid --set lr=7", "lr must be between 0 and 1, not 7"),
    ("compare grid --set steps=-5", "there is no setting 'steps'"),
    ("compare grid --set repeats=3", "there is no setting 'repeats'"),
    ("compare grid --set env.slip=9", "env.slip must be between 0 and 1"),
    ("compare cartpole --algo table --engines dict", "a table needs states"),
    ("compare nowhere.py", "cannot read nowhere.py: no such file"),
    ("compare mine.py --metric (", "is no regular expression"),
    ("compare mine.py --metric lost --repeats 1", "'lost' matches nothing mine.py printed"),
    ("compare mine.py --metric score --repeats 1", "finds 'score', which is no number"),
]


@pytest.mark.parametrize(("words", "message"), OTHERS, ids=[words for words, _ in OTHERS])
def test_other_commands(capsys, here, words, message):
    (here / "mine.py").write_text("print('score 3')\n")
    assert message in complaint(capsys, *words.split())


def test_a_script_in_unfinished_quotes(capsys, here):
    (here / "mine.py").write_text("")
    assert "cannot split" in complaint(capsys, "compare", "mine.py 'one two")


MAPS = {
    "no start": ("...\n..G\n", "has no start"),
    "two starts": ("S.S\n..G\n", "has 2 starts"),
    "no goal": ("S..\n...\n", "has no goal"),
    "ragged": ("S..\n..G.\n", "maze.txt:2: the line has 4 cells, the first has 3"),
    "unknown": ("S.x\n..G\n", "maze.txt:1: unknown character 'x' in column 3"),
    "binary": ("S\0\n", "is no text file"),
    "empty": ("\n\n", "is empty"),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps(capsys, here, name):
    text, message = MAPS[name]
    (here / "maze.txt").write_text(text)
    assert message in complaint(capsys, "train", "maze.txt")


def test_a_goal_out_of_reach_is_a_warning(capsys, here):
    (here / "maze.txt").write_text("S#G\n.#.\n")
    words = ["train", "maze.txt", "--engine", "dict", "--steps", "50", "--set", "eval_max_steps=9"]
    assert main(words) == 0
    assert "the goal cannot be reached from the start\n" in capsys.readouterr().err


ENV = """
class Mine:
    actions = 2
    observation = 3
    max_steps = 9
    state = {{"x": "int64"}}

    def reset(state, rng):
        state.x = 0

    {step}

    def observe(state, obs):
        {observe}
"""
STEP = "def step(state, action, rng):\n        {}"
FILES = {
    "no Python": ("class Mine\n", "mine.py:1: this is no Python"),
    "raises": ("import nothing_of_that_name\n", "importing it raised ModuleNotFoundError"),
    "no class": ("Mine = 3\n", "'Mine' is no class"),
    "another name": ("class Mein: pass\n", "has no 'Mine'; did you mean 'Mein'"),
    "no step": (ENV.format(step="", observe="obs[0] = state.x"), "step"),
    "step raises": (
        ENV.format(step=STEP.format("raise ValueError('no')"), observe="obs[0] = state.x"),
        "ValueError",
    ),
    "nan": (
        ENV.format(step=STEP.format("return float('nan'), False"), observe="obs[0] = state.x"),
        "NaN",
    ),
    "unknown field": (
        ENV.format(step=STEP.format("state.y = 1; return 0.0, False"), observe="obs[0] = state.x"),
        "y",
    ),
    "outside": (
        ENV.format(step=STEP.format("return 0.0, False"), observe="obs[5] = state.x"),
        "obs",
    ),
    "no state": (
        ENV.format(step=STEP.format("return 0.0, False"), observe="obs[0] = 7"),
        "7",
    ),
}


@pytest.mark.parametrize("engine", ["dict", "numba", "numpy"])
@pytest.mark.parametrize("name", FILES)
def test_environments_of_ones_own(capsys, here, name, engine):
    text, message = FILES[name]
    (here / "mine.py").write_text(text)
    found = complaint(capsys, "train", "mine.py:Mine", "--steps", "500", "--engine", engine)
    assert message in found
    assert "mine.py" in found or "Mine" in found


def test_engines_that_are_not_installed_say_the_command(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    for engine, extra in (("torch", "torch"), ("cupy", "gpu")):
        found = complaint(capsys, "train", "grid", "--steps", "9", "--engine", engine)
        assert f"pip install 'qlearn[{extra}]'" in found


@pytest.mark.parametrize("command", ["eval RUN", "train --resume RUN --steps 900"])
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "{", "is damaged"),
        ("run.json", '{"format": 9}', "newer qlearn"),
        ("run.json", '{"format": 1}', "is damaged: it has no 'env'"),
        ("checkpoints/last.json", "{", "is damaged"),
        ("checkpoints/last.json", '{"format": 9}', "newer qlearn"),
        ("checkpoints/last.safetensors", "cut", "is damaged"),
    ],
)
def test_damaged_runs(capsys, here, command, name, text, message):
    run = train("grid", engine="dict", steps=300, out=here / "r").path
    (run / name).write_text(text)
    assert message in complaint(capsys, *command.replace("RUN", str(run)).split())


def test_a_run_whose_map_has_gone(capsys, here):
    (here / "maze.txt").write_text("S.G\n")
    run = train("maze.txt", engine="dict", steps=300, out=here / "r").path
    (here / "maze.txt").unlink()
    assert "cannot read the map" in complaint(capsys, "eval", str(run))


def test_a_run_whose_map_has_grown(capsys, here):
    (here / "maze.txt").write_text("S.G\n")
    run = train("maze.txt", engine="dict", steps=300, out=here / "r").path
    (here / "maze.txt").write_text("S..G\n")
    assert "does not fit its run.json" in complaint(capsys, "eval", str(run))


def test_a_place_that_cannot_be_written(capsys, here):
    (here / "file").write_text("")
    words = ("train", "grid", "--engine", "dict", "--steps", "50", "--out", "file/run")
    assert "cannot write" in complaint(capsys, *words)


def test_json_does_not_change_how_mistakes_are_told(capsys):
    assert "did you mean 'grid'" in complaint(capsys, "train", "gird", "--json")


def test_records_of_other_shapes_do_not_break_the_list(capsys, here):
    run = train("grid", engine="dict", steps=100, out=here / "runs" / "r").path
    record = RunFolder.open(run).record
    for k, change in enumerate(
        ({"result": None}, {"result": {}}, {"pid": None}, {"started_ns": None})
    ):
        (here / "runs" / f"x{k}").mkdir()
        write_sealed(here / "runs" / f"x{k}" / "run.json", {**record, **change})
    assert main(["runs"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
