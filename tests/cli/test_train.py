"""`qlearn train` and `eval`: options, settings, seeds, going on, rewards of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qlearn.cli.main import main
from qlearn.runs.folder import find_run


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def answer(capsys, *words):
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def config(report):
    return json.loads((Path(report["run"]) / "run.json").read_text())


DICT = ("train", "grid", "--engine", "dict")


def test_options_and_settings_say_the_same(capsys):
    one = answer(capsys, *DICT, "--steps", "1k", "--seed", "7")
    other = answer(capsys, "train", "grid", "--set", "steps=1_000", "seed=7", "engine=dict")
    for key in ("seed", "engine", "env_steps", "eval", "episodes"):
        assert one[key] == other[key]


def test_episodes_are_counted(capsys):
    found = answer(capsys, *DICT, "--episodes", "30")
    assert found["episodes"] == 30


def test_settings_reach_the_learner_the_run_and_the_environment(capsys):
    found = answer(
        capsys, *DICT, "--steps", "600", "--set", "lr=0.25", "epsilon=1->0.05@0.5", "rule=sarsa",
        "discount=0.8", "eval_every=200", "--set", "env.slip=0.1", "env.max_steps=30",
    )  # fmt: skip
    record = config(found)
    assert record["config"]["lr"] == "0.25"
    assert (record["config"]["rule"], record["config"]["discount"]) == ("sarsa", 0.8)
    assert record["run_config"]["eval_every"] == 200
    assert record["env_options"] == {"slip": "0.1", "max_steps": "30"}


def test_copies_are_for_the_batched_engines(capsys):
    found = answer(capsys, "train", "grid", "--engine", "numpy", "--envs", "10", "--steps", "995")
    assert found["env_steps"] == 1000


def test_seeds_give_runs_and_a_summary(capsys, tmp_path):
    found = answer(capsys, *DICT, "--steps", "300", "--seeds", "3", "--seed", "5",
                   "--out", f"{tmp_path}/many")  # fmt: skip
    assert found.keys() == {"runs", "summary"}
    assert [one["seed"] for one in found["runs"]] == [5, 6, 7]
    assert found["summary"].keys() == {"mean", "median", "iqm", "low", "high"}
    assert main([*DICT, "--steps", "300", "--seeds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["seed 0", "seed 1"]
    assert "interquartile mean" in lines[2]


def test_a_run_goes_where_out_says_and_not_over_another(capsys, tmp_path):
    found = answer(capsys, *DICT, "--steps", "100", "--out", f"{tmp_path}/here")
    assert found["run"] == f"{tmp_path}/here"
    assert main([*DICT, "--steps", "100", "--out", f"{tmp_path}/here"]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_resume_goes_on_and_says_when_there_is_nothing_to_do(capsys):
    answer(capsys, *DICT, "--steps", "500")
    assert main(["train", "--resume", "last"]) == 0
    assert "is finished; a larger --steps or --episodes would go on" in capsys.readouterr().err
    assert answer(capsys, "train", "--resume", "last", "--steps", "900")["env_steps"] == 900
    assert find_run("last").record["config"]["steps"] == 900


@pytest.mark.parametrize("words", ["--algo pqn", "--seed 4", "--init 3"])
def test_a_resumed_run_keeps_what_it_was_made_of(capsys, words):
    answer(capsys, *DICT, "--steps", "200")
    assert main(["train", "--resume", "last", "--steps", "400", *words.split()]) == 2
    key = words.split()[0][2:]
    error = capsys.readouterr().err
    assert f"a resumed run keeps its own settings, {key} too" in error
    assert error.count("\n") == 1


def test_options_without_effect_are_said_in_one_line_each(capsys):
    words = ["--threads", "2", "--device", "cuda", "--init", "7"]
    assert main([*DICT, "--steps", "200", *words]) == 0
    said = capsys.readouterr().err.splitlines()[:-1]
    assert [line.split(" ", 3)[3].split()[0] for line in said] == ["uses", "runs", "draws"]
    found = answer(capsys, *DICT, "--set", "steps=200", "threads=1", "init=7")
    record = config(found)
    assert (record["threads"], record["init"]) == (1, "7")


def test_evaluations_are_counted_in_steps_or_in_episodes(capsys):
    found = answer(capsys, *DICT, "--episodes", "40", "--set", "eval_every=10ep")
    assert config(found)["run_config"]["eval_every"] == "10ep"
    lines = (Path(found["run"]) / "metrics.jsonl").read_text().splitlines()
    judged = [json.loads(line)["episodes"] for line in lines if "eval" in json.loads(line)]
    assert judged == [10, 20, 30, 40, 40]


def test_a_reward_of_ones_own_is_learnt_from_and_the_score_stays(capsys, tmp_path):
    """Paid for every step, the agent learns to stay; the score is the board's."""
    (tmp_path / "mine.py").write_text(
        "def staying(before, action, after, reward, terminated):\n"
        "    return -10.0 if terminated else 1.0\n"
    )
    found = answer(capsys, *DICT, "--steps", "4000", "--set",
                   f"env.reward={tmp_path}/mine.py:staying", "eval_max_steps=60")  # fmt: skip
    assert found["eval"]["mean"] == -60.0
    assert found["eval"]["cut_off"] == found["eval"]["episodes"] == 100


def test_eval_cuts_off_what_never_ends_and_counts_it(capsys, tmp_path):
    (tmp_path / "maze.txt").write_text("S.#\n..#\n##G\n")
    answer(capsys, "train", f"{tmp_path}/maze.txt", "--engine", "dict", "--steps", "200",
           "--set", "eval_max_steps=20")  # fmt: skip
    found = answer(capsys, "eval", "last", "--episodes", "4", "--max-steps", "33")
    assert (found["cut_off"], found["mean_length"], found["mean"]) == (4, 33.0, -33.0)
    assert main(["eval", "last", "--episodes", "4", "--max-steps", "33"]) == 0
    assert "4 episodes did not end by themselves and were cut off" in capsys.readouterr().out


def test_what_a_person_reads(capsys):
    assert main([*DICT, "--steps", "2000"]) == 0
    captured = capsys.readouterr()
    assert "grid by table on dict: greedy mean" in captured.out
    assert "2,000 steps" in captured.out
    assert f"run: {find_run('last').path}" in captured.err


def test_runs_shows_every_status(capsys, home):
    answer(capsys, *DICT, "--steps", "100")
    (home / "broken").mkdir()
    (home / "broken" / "run.json").write_text("{")
    assert main(["runs"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[3] for row in rows] == ["failed", "done"]
    assert rows[0][4] == ""
    assert rows[1][4].endswith(" s")
    assert main(["runs", str(home)]) == 0


def test_eval_beyond_the_time_limit(tmp_path, monkeypatch):
    from qlearn import train

    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path))
    options = {"env.buckets": "3x4x8x8", "env.max_steps": 30}
    run = train("cartpole", algo="table", steps=200_000, **options)
    assert run.evaluate(20).lengths.max() == 30
    assert run.evaluate(20, max_steps=200).lengths.max() > 30
    assert run.evaluate(20, max_steps=20).cut_off == 20
