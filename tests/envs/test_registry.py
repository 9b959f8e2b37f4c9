"""From what a person types to an environment, or to one line that helps."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import qlearn
from qlearn.envs import registry
from qlearn.errors import UserError

CORRIDOR = '''
from steps import LENGTH, forward

class Corridor:
    """Walk to the end."""
    actions = 2
    observation = (1,)
    max_steps = 50
    state = {"x": "int64"}

    def reset(state, rng):
        state.x = 0

    def step(state, action, rng):
        state.x += forward(action)
        return float(state.x), state.x >= LENGTH

    def observe(state, obs):
        obs[0] = state.x
'''
STEPS = "LENGTH = 9\n\ndef forward(action):\n    return action + 1\n"


@pytest.fixture
def corridor(tmp_path):
    (tmp_path / "corridor.py").write_text(CORRIDOR)
    (tmp_path / "steps.py").write_text(STEPS)
    yield tmp_path
    sys.modules.pop("steps", None)
    sys.path[:] = [path for path in sys.path if path != str(tmp_path)]


def refused(target, **options):
    with pytest.raises(UserError) as caught:
        registry.find(target, options)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_built_in_environments_by_name(name):
    environment = registry.find(name)
    assert (environment.name, environment.kind, environment.target) == (name, "builtin", name)
    assert environment.description


def test_the_catalogue_lists_every_built_in():
    rows = registry.catalogue()
    assert {row["name"] for row in rows} >= set(registry.BUILTIN)
    for row in rows:
        assert {"name", "kind", "actions", "observation", "description"} <= set(row)


def test_gymnasiums_cartpole_is_our_compiled_twin():
    environment = registry.find("gym:CartPole-v1", {"max_steps": 77})
    assert environment.compiled
    assert environment.max_steps == 77
    assert environment.functions == registry.find("cartpole").functions


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("snak", "unknown environment 'snak'; did you mean 'snake'?"),
        ("zzz", "unknown environment 'zzz'; known: "),
        ("", "unknown environment ''"),
        ("nowhere.txt", "cannot read the map "),
        ("nowhere.py:A", "cannot read nowhere.py: No such file"),
        ("nowhere.py", "which class of nowhere.py? write nowhere.py:Name"),
    ],
)
def test_targets_that_cannot_be(target, said):
    assert refused(target).startswith(said)


def test_options_that_cannot_be():
    assert "did you mean 'size'" in refused("snake", sise=3)
    assert "env.slip must be between 0 and 1" in refused("grid", slip=1.5)
    assert "env.reward must be one of classic, arrival" in refused("grid", reward="fast")
    assert "env.reward must name a function" in refused("cartpole", reward="fast")


def test_engines_that_cannot_be():
    with pytest.raises(UserError, match="unknown engine 'nunba'; did you mean 'numba'"):
        qlearn.make("grid", engine="nunba")


# A user's own file


@pytest.mark.parametrize("engine", ["numba", "python"])
def test_a_file_of_ones_own(corridor, engine):
    batch = qlearn.make(f"{corridor}/corridor.py:Corridor", envs=2, engine=engine)
    batch.reset()
    for _ in range(4):
        observations, rewards, *_ = batch.step([0, 1])
    assert observations[:, 0].tolist() == [4.0, 8.0]
    assert rewards.tolist() == [4.0, 8.0]
    *_, terminated, _, _ = batch.step([0, 1])
    assert terminated.tolist() == [False, True]
    assert batch.environment.kind == "file"
    assert batch.environment.description == "Walk to the end."


def test_a_target_is_kept_so_that_it_is_found_from_anywhere(corridor, monkeypatch):
    monkeypatch.chdir(corridor)
    assert registry.find("corridor.py:Corridor").target == f"{corridor}/corridor.py:Corridor"


def test_an_edited_helper_is_noticed_by_the_next_run(corridor):
    code = (
        "import qlearn\n"
        "batch = qlearn.make('corridor.py:Corridor')\n"
        "batch.reset()\n"
        "print(batch.step([1])[1][0], batch.step([1])[2][0])\n"
    )

    def run():
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=corridor, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.split()

    assert run() == ["2.0", "False"]
    (corridor / "steps.py").write_text(STEPS.replace("action + 1", "action + 4"))
    assert run() == ["5.0", "True"]
    (corridor / "steps.py").write_text(STEPS.replace("9", "4"))
    assert run() == ["2.0", "True"]
    (corridor / "steps.py").write_text(STEPS)
    assert run() == ["2.0", "False"]


def test_an_edited_file_is_read_again_in_the_same_process(corridor):
    path = corridor / "corridor.py"
    assert registry.find(f"{path}:Corridor").max_steps == 50
    path.write_text(CORRIDOR.replace("50", "60"))
    assert registry.find(f"{path}:Corridor").max_steps == 60


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path):
    for name, steps in (("a", 3), ("b", 4)):
        (tmp_path / name).mkdir()
        text = CORRIDOR.replace("50", str(steps)).replace("from steps import LENGTH, forward", "")
        (tmp_path / name / "own.py").write_text(text)
    found = [registry.find(f"{tmp_path}/{name}/own.py:Corridor").max_steps for name in "ab"]
    assert found == [3, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:\n", ":1: this is no Python: "),
        ("x = 1\n  y = 2\n", ":2: this is no Python: unexpected indent"),
        ("\0", "this is no Python"),
        ("x = 1\nraise ValueError('no\\nway')\n", ":2: importing it raised ValueError: no"),
        ("import nowhere_at_all\n", ":1: importing it raised ModuleNotFoundError"),
        ("raise SystemExit(3)\n", ":1: importing it raised SystemExit: 3"),
        ("raise KeyError()\n", ":1: importing it raised KeyError: no reason given"),
        ("class Other:\n    pass\n", " has no 'Corridor'; known: Other"),
        ("class Coridor:\n    pass\n", " has no 'Corridor'; did you mean 'Coridor'?"),
        ("", " has no 'Corridor'"),
        ("Corridor = 3\n", ": 'Corridor' is no class"),
        ("def Corridor():\n    pass\n", ": 'Corridor' is no class"),
        ("class Corridor:\n    pass\n", ":1: the class has no `actions`"),
    ],
)
def test_files_that_cannot_be(tmp_path, text, said):
    path = tmp_path / "own.py"
    path.write_text(text)
    assert said in refused(f"{path}:Corridor")


def test_a_binary_file_and_a_folder_are_no_python(tmp_path):
    (tmp_path / "own.py").write_bytes(bytes(range(256)))
    assert "this is no Python" in refused(f"{tmp_path}/own.py:A")
    (tmp_path / "folder.py").mkdir()
    assert "cannot read" in refused(f"{tmp_path}/folder.py:A")


def test_a_mistake_in_a_helper_file_is_told_with_the_helpers_line(corridor):
    (corridor / "steps.py").write_text("LENGTH = 9\nforward = 1 / 0\n")
    said = refused(f"{corridor}/corridor.py:Corridor")
    assert said == f"{corridor}/steps.py:2: importing it raised ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "text",
    ["def own(before, action, after):\n    return 0.0\n", "own = 3\n", "class own:\n    pass\n"],
)
def test_learning_rewards_that_cannot_be(tmp_path, text):
    path = tmp_path / "rewards.py"
    path.write_text(text)
    said = refused("cartpole", reward=f"{path}:own")
    assert said.endswith("must be a function of (before, action, after, reward, terminated)")


def test_a_file_gives_the_same_arrays_as_ever(corridor):
    batches = [
        qlearn.make(f"{corridor}/corridor.py:Corridor", envs=5, engine=engine)
        for engine in ("numba", "python")
    ]
    actions = np.random.default_rng(0).integers(2, size=(60, 5))
    for batch in batches:
        batch.reset()
        for row in actions:
            batch.step(row)
    np.testing.assert_array_equal(batches[0].last_return, batches[1].last_return)
    np.testing.assert_array_equal(batches[0].episodes, batches[1].episodes)
    assert (batches[0].episodes > 5).all()


# What is imported


def modules_after(code):
    code += "\nimport sys; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.splitlines()[-1].split()}


HEAVY = {"torch", "numba", "gymnasium", "matplotlib", "numpy", "scipy", "llvmlite"}


def test_importing_qlearn_imports_nothing_heavy():
    loaded = modules_after("import qlearn; dir(qlearn); qlearn.UserError")
    assert "qlearn" in loaded
    assert not loaded & HEAVY


def test_playing_imports_no_torch_gymnasium_or_matplotlib():
    loaded = modules_after("import qlearn; qlearn.make('grid', engine='python').reset()")
    assert "numpy" in loaded
    assert not loaded & {"torch", "numba", "gymnasium", "matplotlib"}


def test_unknown_names_of_the_package_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'qlearn' has no attribute 'nothing'"):
        qlearn.nothing  # noqa: B018
    assert {"make", "UserError"} <= set(dir(qlearn))
