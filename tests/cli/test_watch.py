"""`qlearn watch`: games in the terminal, boards, learning curves."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qlearn.cli.main import main
from qlearn.runs import curve
from qlearn.runs.folder import RunFolder
from qlearn.runs.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A table that has learned the classic board."""
    out = tmp_path_factory.mktemp("runs") / "learned"
    return train("grid", steps=20_000, eval_every=5_000, out=out).path


@pytest.fixture(scope="module")
def taxi(tmp_path_factory):
    """A table whose states are no board; played as it is, nothing is compiled for it."""
    out = tmp_path_factory.mktemp("runs") / "taxi"
    settings = {"env.native": False, "envs": 4, "eval_episodes": 2, "eval_max_steps": 50}
    return train("gym:Taxi-v4", engine="numpy", steps=1_000, out=out, **settings).path


@pytest.fixture(autouse=True)
def no_runs_of_anyone(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "100")


def watch(*arguments) -> int:
    return main(["watch", *map(str, arguments)])


def complaint(capsys, *arguments) -> str:
    """The one line on standard error of a command that ends with exit code 2."""
    assert watch(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    return said.err.strip()


def image_in(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), np.float64)


def report_of(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


# Played in the terminal.


def test_chance_plays_an_environment(capsys):
    assert watch("grid", "--player", "random", "--max-steps", 5) == 0
    out = capsys.readouterr().out
    assert out.startswith("@ . . . .\nO . . O .\n")
    assert "frames, score" in out.splitlines()[-1]


def test_chance_plays_the_same_game_again_by_its_seed(capsys):
    games = []
    for seed in (3, 3, 4):
        assert watch("snake", "--player", "random", "--seed", seed, "--max-steps", 30) == 0
        games.append(capsys.readouterr().out)
    assert games[0] == games[1] != games[2]


def test_a_run_plays_its_greedy_policy(run, capsys):
    assert watch(run) == 0
    out = capsys.readouterr().out
    assert "the end" in out
    assert out.splitlines()[-1] == "10 frames, score -7"


def test_a_games_json_is_alone_on_standard_output(run, capsys):
    assert watch(run, "--terminal", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"file": None, "frames": 10, "return": -7.0}
    assert "the end" in said.err


def test_chance_may_play_in_a_runs_environment(run, capsys):
    assert watch(run, "--player", "random", "--max-steps", 3, "--json") == 0
    assert report_of(capsys)["frames"] == 4


def test_without_a_keyboard_nobody_can_play_by_it(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert "--player random" in complaint(capsys, "grid", "--player", "keyboard")


# Films.


def test_a_game_becomes_a_gif(run, tmp_path, capsys):
    file = tmp_path / "game.gif"
    assert watch(run, "--gif", file, "--json") == 0
    assert report_of(capsys) == {"file": str(file), "frames": 10, "return": -7.0}
    with Image.open(file) as film:
        assert (film.format, film.n_frames) == ("GIF", 10)


def test_light_or_dark_as_fast_as_one_likes(run, tmp_path, capsys):
    file = tmp_path / "game.gif"
    assert watch(run, "--gif", file, "--dark", "--fps", 5, "--best-game", "--best") == 0
    said = capsys.readouterr()
    assert said.out == f"{file}: 10 frames, score -7\n"
    with Image.open(file) as film:
        assert film.info["duration"] == 200
        assert max(film.convert("RGB").getpixel((2, 2))) < 60


def test_a_game_becomes_an_mp4(run, tmp_path, capsys):
    av = pytest.importorskip("av")
    file = tmp_path / "game.mp4"
    assert watch(run, "--mp4", file, "--json", "--max-steps", 3) == 0
    said = capsys.readouterr()
    assert "cut off after 3 steps" in said.err
    report = json.loads(said.out)
    with av.open(str(file)) as film:
        assert sum(1 for _ in film.decode(video=0)) == report["frames"]


def test_a_terminal_may_show_the_best_game(run, capsys):
    assert watch(run, "--terminal", "--best-game", "--json") == 0
    assert report_of(capsys)["return"] == -7.0


def test_a_terminal_cannot_show_gymnasiums_own(taxi, capsys):
    assert "cannot be drawn in a terminal" in complaint(capsys, taxi, "--terminal")


def test_the_browser_opens_at_the_run(run, capsys, monkeypatch):
    server = pytest.importorskip("qlearn.dashboard.server")
    asked = {}

    def serve(home, announce, **how):
        asked.update(how, home=home)
        announce("http://127.0.0.1:1/")

    monkeypatch.setattr(server, "serve", serve)
    assert watch(run, "--browser") == 0
    assert asked["home"] == run.parent
    assert asked["page"] == f"#/run/{run.name}"
    assert "http://127.0.0.1:1/" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--gif", "x.gif"], ["--mp4", "x.mp4"], ["--browser"]])
def test_an_environment_alone_has_no_game_to_film(tmp_path, capsys, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    assert "qlearn train grid makes one" in complaint(capsys, "grid", *how)


@pytest.mark.parametrize(("option", "name"), [("--gif", "x.png"), ("--mp4", "x"), ("--gif", "")])
def test_a_films_name_says_what_it_is(run, capsys, option, name):
    assert f"must end in .{option[2:]}" in complaint(capsys, run, option, name)


def test_one_game_is_the_best_or_the_worst(run, capsys):
    assert "not allowed with" in complaint(capsys, run, "--best-game", "--worst-game")


# The board as text.


def test_board_shows_values_and_arrows_that_lead_to_the_goal(run, capsys):
    assert watch(run, "--board") == 0
    drawn = capsys.readouterr().out.splitlines()
    upper = [line.split("│")[1:-1] for line in drawn[1:15:3]]
    lower = [line.split("│")[1:-1] for line in drawn[2:15:3]]
    steps = {"⇑": (-1, 0), "⇓": (1, 0), "⇐": (0, -1), "⇒": (0, 1)}
    row = column = moves = 0
    value = -100.0
    while "G" not in upper[row][column]:
        assert float(lower[row][column]) > value  # it gets better on the way
        value = float(lower[row][column])
        down, right = steps[upper[row][column].replace("S", "").strip()]
        row, column, moves = row + down, column + right, moves + 1
    assert (row, column, moves) == (4, 4, 8)
    assert drawn[-1] == "from the start the greedy policy reaches the goal in 8 moves"


def test_boards_json_is_alone_on_standard_output(run, capsys):
    assert watch(run, "--board", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"file": None, "frames": 1, "return": None}
    assert "S start" in said.err


def test_quiet_board_is_still_shown_where_it_is_the_result(run, capsys):
    assert watch(run, "--board", "--quiet") == 0
    assert "S start" in capsys.readouterr().out
    assert watch(run, "--board", "--quiet", "--json") == 0
    assert "S start" not in capsys.readouterr().err


def test_a_narrow_terminal_gets_a_narrow_board(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "12")
    assert watch(run, "--board") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1][::2].startswith("O")
    assert "arrows only" in out


def test_a_terminal_without_arrows_gets_ascii(run, monkeypatch):
    bare = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", bare)
    assert watch(run, "--board") == 0
    bare.flush()
    assert b"+-------+" in bare.buffer.getvalue()


def test_the_best_table_is_shown_where_it_is_asked_for(run, tmp_path, capsys):
    spoiled = tmp_path / "spoiled"
    shutil.copytree(run, spoiled)
    for kind in ("json", "safetensors"):
        (spoiled / "checkpoints" / f"last.{kind}").unlink()
    assert watch(spoiled, "--board", "--best") == 0
    assert "reaches the goal" in capsys.readouterr().out
    assert "no last checkpoint" in complaint(capsys, spoiled, "--board")


# Pictures.


def test_png_is_a_picture_of_the_board(run, tmp_path, capsys):
    file = tmp_path / "board.png"
    assert watch(run, "--png", file, "--json") == 0
    assert report_of(capsys) == {"file": str(file), "frames": 1, "return": None}
    image = image_in(file)
    assert image.shape == (1050, 1050, 3)
    assert len(np.unique(image @ [1, 256, 65536])) > 100


def test_curve_is_a_picture_of_the_training(run, tmp_path, capsys):
    file = tmp_path / "curve.PNG"
    assert watch(run, "--curve", file) == 0
    assert capsys.readouterr().out.strip() == str(file)
    image = image_in(file)
    assert image.shape == (760, 1200, 3)
    for colour in (curve.TRAINING, curve.GREEDY):
        wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert np.any(np.all(image == wanted, axis=-1))


def test_a_file_named_relatively_lies_in_the_current_folder(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert watch(run, "--png", "here.png", "--json") == 0
    assert report_of(capsys)["file"] == str(tmp_path / "here.png")
    assert os.listdir(tmp_path) == ["here.png"]


def test_curve_marks_every_greedy_evaluation_once(run):
    folder = RunFolder.open(run)
    rows = curve.read_metrics(run / "metrics.jsonl")
    trained, greedy = curve.training_returns(rows), curve.greedy_means(rows, folder.record)
    assert greedy[:, 0].tolist() == [5_000, 10_000, 15_000, 20_000]
    assert greedy[-1, 1] == -7.0
    assert len(trained) > 100
    assert trained[-1, 0] == 20_000
    assert trained[-50:, 1].mean() > trained[:5, 1].mean()


def test_curve_of_a_run_cut_off_in_the_middle_of_a_line(run, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text((run / "metrics.jsonl").read_text()[:-20] + "\n7\n")
    assert len(curve.read_metrics(path)) == len(curve.read_metrics(run / "metrics.jsonl")) - 1


def test_curve_leaves_out_what_is_damaged(run, tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = (run / "metrics.jsonl").read_bytes()
    path.write_bytes(b'\xff\xfe{"env_steps": 1}\n' + b"[" * 100_000 + b"\n" + whole)
    rows = curve.read_metrics(path)
    assert rows == curve.read_metrics(run / "metrics.jsonl")
    odd = [{"return": 1.0}, {"env_steps": "1", "return": 2.0}, {"env_steps": 1, "return": 1e999},
           {"env_steps": 1, "eval": 3}, {"env_steps": 1, "eval": {"mean": 1, "std": 1}}]  # fmt: skip
    assert len(curve.training_returns([*odd, *rows])) == len(curve.training_returns(rows))
    assert len(curve.greedy_means([*odd, *rows], {})) == len(curve.greedy_means(rows, {}))


def test_curve_of_returns_over_many_decades(run, tmp_path, capsys):
    steep = tmp_path / "steep"
    shutil.copytree(run, steep)
    rows = [{"env_steps": k, "return": -1e6 / k**2} for k in range(1, 60)]
    (steep / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert watch(steep, "--curve", tmp_path / "steep.png") == 0
    assert image_in(tmp_path / "steep.png").std() > 1.0


def test_smoothing_keeps_straight_lines_and_both_ends():
    line = np.linspace(-3.0, 9.0, 100)
    assert curve.smoothed(line) == pytest.approx(line)
    assert curve.smoothed(np.array([4.0])).tolist() == [4.0]


def test_any_run_has_a_curve(taxi, tmp_path):
    assert watch(taxi, "--curve", tmp_path / "curve.png", "--quiet") == 0
    assert image_in(tmp_path / "curve.png").std() > 1.0


# What cannot be shown.


def test_a_run_without_a_board_says_what_has_one(taxi, tmp_path, capsys):
    for how in (["--board"], ["--png", tmp_path / "x.png"]):
        said = complaint(capsys, taxi, *how)
        assert "gym:Taxi-v4, which is no board" in said
        assert "grid, a map FILE.txt, gym:FrozenLake-v1" in said
    assert os.listdir(tmp_path) == []


def test_a_run_of_another_algorithm_says_what_works(run, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    RunFolder.open(other).update(algo="pqn")
    assert "learned grid by pqn; --board and --png show tables of grid" in complaint(
        capsys, other, "--board"
    )


def test_an_environment_has_learned_nothing_to_show(tmp_path, capsys):
    for how in (["--board"], ["--png", tmp_path / "x.png"], ["--curve", tmp_path / "x.png"]):
        assert "qlearn train grid makes one" in complaint(capsys, "grid", *how)


def test_no_curve_before_an_episode_has_ended(run, tmp_path, capsys):
    young = tmp_path / "young"
    shutil.copytree(run, young)
    (young / "metrics.jsonl").unlink()
    folder = RunFolder.open(young)
    del folder.record["result"]
    folder.save()
    assert "young has no curve yet" in complaint(capsys, young, "--curve", tmp_path / "x.png")


@pytest.mark.parametrize("option", ["--png", "--curve"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x.jpg", "must end in .png, not"),
        ("x", "must end in .png, not"),
        ("", "must end in .png, not"),
        ("none/x.png", "there is no folder"),
        ("folder.png", "is a folder"),
    ],
)
def test_files_that_cannot_be_written(run, tmp_path, capsys, monkeypatch, option, name, problem):
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    assert problem in complaint(capsys, run, option, name)


def test_a_folder_that_takes_no_files(run, tmp_path, capsys, monkeypatch):
    def refused(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("qlearn.runs.files.open", refused, raising=False)
    said = complaint(capsys, run, "--curve", tmp_path / "x.png")
    assert said.endswith("x.png: Permission denied")


@pytest.mark.parametrize("option", ["--png", "--curve"])
def test_without_matplotlib_it_says_what_to_install(run, tmp_path, capsys, monkeypatch, option):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = complaint(capsys, run, option, tmp_path / "x.png")
    assert said == "qlearn: matplotlib is not installed: pip install 'qlearn[plot]'"
    assert os.listdir(tmp_path) == []


def test_one_way_of_looking_at_a_time(run, capsys):
    assert "not allowed with" in complaint(capsys, run, "--board", "--png", "x.png")


def test_a_run_is_shown_in_its_own_environment(run, capsys):
    assert "--set is for ENV" in complaint(capsys, run, "--board", "--set", "env.slip=0.2")


def test_what_is_neither_run_nor_environment(capsys):
    assert "nor an environment: grid" in complaint(capsys, "nothing", "--board")


def test_pictures_open_no_windows():
    assert "matplotlib.pyplot" not in sys.modules
