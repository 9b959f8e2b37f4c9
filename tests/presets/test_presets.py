"""Presets: each is a readable file whose settings exist; what the user says goes first."""

from __future__ import annotations

import json

import pytest

from qlearn import presets
from qlearn.algorithms import registry
from qlearn.cli.main import main
from qlearn.errors import UserError


@pytest.mark.parametrize("name", presets.names())
def test_every_setting_of_a_preset_is_one(name):
    preset = presets.read(name)
    assert preset.env
    config = registry.configure(preset.algo, preset.settings)
    config.check("fused") if preset.algo == "dqn" else config.check()


def test_a_preset_names_its_environment_and_the_user_goes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path))
    argv = ["train", "--preset", "mountaincar", "--steps", "2000", "--set", "tau=0.5", "--json"]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["env"] == "gym:MountainCar-v0"
    assert report["algo"] == "dqn"
    config = json.loads((tmp_path / report["run"] / "run.json").read_text())["config"]
    assert (config["tau"], config["lr"], config["steps"]) == (0.5, "4e-3->1e-4", 2000)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("mountain", None, "auto"), "there is no preset 'mountain'.*mountaincar"),
        (("../x", None, "auto"), "there is no preset"),
        (("strong", "cartpole", "auto"), "is for snake, not cartpole"),
        (("mountaincar", "cartpole", "auto"), "is for gym:MountainCar-v0, not cartpole"),
        (("mountaincar", None, "table"), "is for dqn, not table"),
    ],
)
def test_mistakes_are_one_line(asked, said):
    with pytest.raises(UserError, match=said) as raised:
        presets.apply(*asked, {})
    assert "\n" not in str(raised.value)


def test_the_second_word_of_a_preset_is_enough():
    assert presets.read("quick") == presets.read("snake-quick")
    env, algo, settings = presets.apply("quick", None, "auto", {"steps": 3})
    assert (env, algo, settings["steps"]) == ("snake", "pqn", 3)
