from __future__ import annotations

import json
import re

import numpy as np
import pytest
from finite_problems import random_problem

import qlearn
from qlearn.errors import UserError
from qlearn.hardware import generate
from qlearn.hardware.generate import Design, depth, design_of, generated, load, write


def design(problem, **more):
    settings = {
        "agents": 19, "rings": 2, "rounding": "even", "alpha": 0.3, "gamma": 0.9, "epsilon": 0.1,
        "seed": 5,
    }  # fmt: skip
    return Design(problem, **(settings | more))


def constants(text: str) -> dict[str, int]:
    """Every whole number of the package, as any reader of SystemVerilog would take it."""
    found = {}
    for name, value in re.findall(r"localparam \w+ (?:\[\d+:0\] )?(\w+) = ([^;]+);", text):
        base = 16 if "'h" in value else 10
        found[name] = int(re.sub(r"\d+'[hd]", "", value), base)
    return found


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("actions", "width", "stages"), [(4, 16, 16), (4, 32, 17), (6, 16, 18), (2, 8, 14), (1, 8, 14), (16, 18, 20), (16, 19, 21)]
)  # fmt: skip
def test_stages_of_the_pipeline(actions, width, stages):
    assert depth(actions, width) == stages


def test_the_same_bytes_twice(tmp_path):
    for name in ("one", "two"):
        generate.generate("gym:FrozenLake-v1", tmp_path / name, seed=3)
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    generate.generate("gym:FrozenLake-v1", tmp_path / "one", seed=3)
    assert one == contents(tmp_path / "one")
    made = json.loads(one["manifest.json"])
    assert sorted(one) == made["files"]
    assert str(tmp_path).encode() not in b"".join(one.values())


def test_the_package_says_what_was_chosen():
    problem = random_problem(1, "Q6.12", states=21, actions=5, outcomes=3, starts=2)
    found = constants(generated(design(problem))["ql_parameters.sv"])
    assert found["WIDTH"] == 18
    assert found["FRACTION"] == 12
    assert found["CF"] == 17
    assert found["ROUNDING"] == 1
    assert (found["ACTIONS"], found["ACTION_BITS"]) == (5, 3)
    assert (found["STATES"], found["STATE_BITS"]) == (21, 5)
    assert (found["AGENTS"], found["AGENT_BITS"]) == (19, 5)
    assert (found["RINGS"], found["RING_BITS"]) == (2, 1)
    assert found["STARTS"] == len(problem.starts)
    assert found["OUTCOME_WIDTH"] == 1 + 18 + 5
    assert found["ENVIRONMENT_WIDTH"] == 3 * 24 + 2 * 17
    assert found["INITIAL"] == 0
    assert (found["ALPHA"], found["GAMMA"]) == (39322, 117965)
    assert (found["EPSILON"], found["SEED"]) == (6554, 5)


def test_the_memory_of_the_environment_reads_back():
    problem = random_problem(2, "Q8.8", states=9, actions=3, outcomes=3)
    lines = generated(design(problem))["environment.hex"].split()
    assert len(lines) == 16 * 4
    bits = 1 + 16 + 4
    for state in range(9):
        for action in range(3):
            line = int(lines[state * 4 + action], 16)
            for k in range(3):
                outcome = (line >> (k * bits)) % (1 << bits)
                reward = (outcome >> 4) % (1 << 16)
                assert outcome % 16 == problem.to[state, action, k]
                assert (reward ^ 0x8000) - 0x8000 == problem.reward[state, action, k]
                assert outcome >> 20 == problem.ended[state, action, k]
            for k in range(2):
                threshold = (line >> (3 * bits + 17 * k)) % (1 << 17)
                assert threshold == problem.threshold[state, action, k]
            assert line >> (3 * bits + 34) == 0
    assert (problem.reward < 0).any()
    assert {lines[s * 4 + 3] for s in range(16)} | set(lines[36:]) == {"0" * len(lines[0])}


def test_the_memory_of_starts_reads_back():
    problem = random_problem(3, starts=7)
    lines = generated(design(problem))["starts.hex"].split()
    assert [int(line, 16) for line in lines] == problem.starts.tolist()


def test_learned_values_are_in_every_agents_bank(tmp_path):
    qlearn.train("grid", algo="table", engine="dict", steps=2000, out=tmp_path / "run")
    made = design_of(str(tmp_path / "run"))
    files = generated(made)
    assert constants(files["ql_parameters.sv"])["INITIAL"] == 1
    assert sorted(name for name in files if name.startswith("initial")) == [
        *(f"initial_{action}.hex" for action in range(4)),
        "initial_table.hex",
    ]
    lines = [int(line, 16) for line in files["initial_table.hex"].split()]
    table = made.ring().table
    for action in range(4):
        words = [int(line, 16) for line in files[f"initial_{action}.hex"].split()]
        bank = np.array([(word ^ 0x8000) - 0x8000 for word in words]).reshape(16, 32)
        np.testing.assert_array_equal(bank[:16, :25], table[:, :, action])
        assert lines[action : 25 * 4 : 4] == words[:25]
    write(made, tmp_path / "out")
    np.testing.assert_array_equal(load(tmp_path / "out").ring().table, table)
    generate.generate("grid", tmp_path / "out")  # nothing of the older design stays
    assert not list((tmp_path / "out" / "rtl").glob("initial_*"))


def test_a_folder_reads_back_as_the_same_design(tmp_path):
    for number, problem in enumerate(
        (random_problem(4, outcomes=2, starts=5), random_problem(5, "Q16.16", actions=6))
    ):
        written = design(problem, rounding="stochastic", rings=3)
        write(written, tmp_path / str(number))
        found = load(tmp_path / str(number))
        for name in ("agents", "rings", "rounding", "alpha", "gamma", "epsilon", "seed", "depth"):
            assert getattr(found, name) == getattr(written, name)
        assert generated(found) == generated(written)
        for a, b in zip(found.ring(2).run(200), written.ring(2).run(200), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_manifest_and_the_readme_tell_what_matters(tmp_path):
    made = generate.generate("gym:Taxi-v4", tmp_path / "taxi", word="Q4.12", rings=2)
    assert made["table_address"]["ring"] == {"low": 3 + 9 + 5, "bits": 1}
    assert made["max_steps"] == 200
    assert made["starts"] == 300
    assert "values can saturate" in " ".join(made["warnings"])
    text = (tmp_path / "taxi" / "README.md").read_text()
    assert "limit of 200 steps an episode is not kept" in text
    assert made["warnings"][0] in text
    assert "ring (1 bit), agent (5 bits), state (9 bits), action (3 bits)" in text
    generate.generate("grid", tmp_path / "grid")
    assert "To know" not in (tmp_path / "grid" / "README.md").read_text()


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"word": "Q2.1"}, "8 to 32 work"),
        ({"alpha": 2.0}, "alpha must be between 0 and 1, not 2"),
        ({"gamma": -1.0}, "gamma must be between 0 and 1"),
        ({"epsilon": 1.5}, "epsilon must be between 0 and 1"),
        ({"seed": 2**32}, "32 bits"),
        ({"seed": -1}, "32 bits"),
        ({"rings": 0}, "rings must be 1 to 256"),
        ({"agents": 15}, "agents must be at least 16"),
        ({"agents": 10_000}, "10,000 agents of 25 states need 19 bits"),
        ({"rounding": "up"}, "unknown rounding 'up'"),
        ({"options": {"slop": 1}}, r"there is no option env\.slop"),
    ],
)
def test_impossible_choices_are_refused_in_a_line(tmp_path, choices, words):
    with pytest.raises(UserError, match=words) as error:
        generate.generate("grid", tmp_path / "out", **choices)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="holds no design"):
        generate.generate("grid", tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        generate.generate("grid", tmp_path / "mine.txt" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_is_no_design_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no design"):
        load(tmp_path)
    generate.generate("grid", tmp_path / "d")
    manifest = tmp_path / "d" / "manifest.json"
    whole = json.loads(manifest.read_text())
    for broken, words in (
        (whole | {"format": 99}, "generate it again"),
        ({"format": 1}, "is damaged"),
        (whole | {"agents": 3}, "agents must be at least"),
        ([], "is damaged"),
    ):
        manifest.write_text(json.dumps(broken))
        with pytest.raises(UserError, match=words):
            load(tmp_path / "d")
    manifest.write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        load(tmp_path / "d")
