"""Scenes: what they hold, and that it is what the state says."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from watched import optimal, wanderer

from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import find
from qlearn.watching.palette import palettes, step_of
from qlearn.watching.scenes import scene_of
from qlearn.watching.shapes import number

KINDS = {
    "rect": {"x", "y", "w", "h"},
    "circle": {"x", "y", "r"},
    "line": {"points", "width", "stroke"},
    "text": {"x", "y", "text", "size", "fill", "anchor"},
    "image": {"x", "y", "w", "h", "data"},
}


def state_of(game):
    return game.copy.state.as_dict()


def check(scene):
    """Plain JSON of known shapes, in known roles, inside of its frame."""
    assert json.loads(json.dumps(scene)) == scene
    roles = palettes()["light"]
    for shape in scene["shapes"]:
        assert KINDS[shape["kind"]] <= set(shape)
        assert {shape[key] for key in ("fill", "stroke") if key in shape} <= set(roles)
        places = shape.get("points") or [[shape["x"], shape["y"]]]
        for x, y in places:
            assert 0 <= x <= scene["width"]
            assert 0 <= y <= scene["height"]
        if "w" in shape:
            assert shape["x"] + shape["w"] <= scene["width"]
            assert shape["y"] + shape["h"] <= scene["height"]
    return scene["shapes"]


# The palette.


def luminance(colour):
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_light_and_dark_have_the_same_roles():
    assert set(palettes()["light"]) == set(palettes()["dark"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme):
    colours = palettes()[theme]
    for behind in ("ground", "panel"):
        for role in ("ink", "soft", "accent", "good", "bad", "warm", "cool"):
            assert contrast(colours[role], colours[behind]) >= 4.5, (role, behind)
        for role in ("food", "head", "wall"):
            assert contrast(colours[role], colours[behind]) >= 3.0, (role, behind)
    for k in range(10):
        assert contrast(colours["ink"], colours[f"value{k}"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_ramps_go_one_way(theme):
    colours = palettes()[theme]
    for ramp in ("value", "body"):
        steps = [luminance(colours[f"{ramp}{k}"]) for k in range(10)]
        assert steps == sorted(steps, reverse=theme == "light")


def test_steps_of_a_ramp():
    assert [step_of(value, 0, 10, 10) for value in (-5, 0, 0.9, 5, 9.99, 10, 50)] == [
        0, 0, 0, 5, 9, 9, 9,
    ]  # fmt: skip
    assert step_of(3.0, 3.0, 3.0, 10) == 5


def test_numbers_as_a_person_reads_them():
    assert [number(value) for value in (4.578, 31.23, -1240.3, -0.001)] == [
        "4.58", "31.2", "−1,240", "0.00",  # noqa: RUF001
    ]  # fmt: skip


# Every built-in environment.


@pytest.mark.parametrize("target", ["grid", "cartpole", "snake", "gym:FrozenLake-v1"])
def test_any_state_is_a_scene(target):
    environment = find(target)
    game, chooser = PlainGame(environment, autoreset=False), np.random.default_rng(1)
    game.reset()
    check(scene_of(environment, state_of(game)))
    for step in range(12):
        action = int(chooser.integers(environment.actions))
        q = chooser.normal(size=environment.actions).tolist()
        shapes = check(scene_of(environment, state_of(game), q, action, f"step {step}"))
        said = [shape["text"] for shape in shapes if shape["kind"] == "text"]
        assert set(environment.action_names) <= set(said)
        assert {number(value) for value in q} <= set(said)
        if any(game.step(action)[1:]):
            break


def test_bars_go_from_end_to_end_of_their_span():
    environment = find("cartpole")
    game = PlainGame(environment)
    game.reset()
    scene = scene_of(environment, state_of(game), [1.0, 3.0], 1, span=(1.0, 3.0))
    bars = [shape for shape in scene["shapes"] if shape.get("h") == 6]
    whole = bars[0]["w"]
    assert [(bar["w"], bar["fill"]) for bar in bars[1::2]] == [(6, "track"), (whole, "accent")]


def test_the_pole_stands_as_the_state_says():
    environment = find("cartpole")
    state = {"position": 2.4, "velocity": 0.0, "angle": 0.1, "spin": 0.0, "steps": 3}
    pole = next(
        shape
        for shape in scene_of(environment, state)["shapes"]
        if shape["kind"] == "line" and shape["stroke"] == "accent"
    )
    (x, y), (top_x, top_y) = pole["points"]
    assert np.arctan2(top_x - x, y - top_y) == pytest.approx(0.1, abs=2e-3)
    upright = scene_of(environment, state | {"position": 0.0})
    middle = upright["width"] / 2
    assert any(
        shape["kind"] == "line" and shape["stroke"] == "accent" and shape["points"][0][0] == middle
        for shape in upright["shapes"]
    )
    assert x > middle + 200


# Snake.


def covered(shapes, size):
    """The cells that the body's lines go through."""
    pad, cell = 28, (380 - 24) / size
    cells = set()
    for shape in shapes:
        if shape["kind"] != "line":
            continue
        places = [[round((each - pad) / cell - 0.5) for each in place] for place in shape["points"]]
        for (x, y), (to_x, to_y) in pairwise(places):
            assert x == to_x or y == to_y
            for column in range(min(x, to_x), max(x, to_x) + 1):
                for row in range(min(y, to_y), max(y, to_y) + 1):
                    cells.add(row * size + column)
    return cells


@pytest.mark.parametrize("size", [6, 10])
def test_the_snakes_lines_cover_its_cells_and_no_other(size):
    environment = find("snake", {"size": size, "start_length": 5})
    chooser = np.random.default_rng(size)
    game = PlainGame(environment, seed=3)
    game.reset()
    longest = 0
    for _ in range(150):
        game.step(int(chooser.integers(3)))
        state = state_of(game)
        occupied = set(np.flatnonzero(state["slot"][: size * size] == -1).tolist())
        assert covered(scene_of(environment, state)["shapes"], size) == occupied
        longest = max(longest, len(occupied))
    assert longest > 5


def test_the_snake_fades_towards_its_tail():
    environment = find("snake", {"start_length": 8})
    game = PlainGame(environment)
    game.reset()
    roles = [
        shape["stroke"]
        for shape in scene_of(environment, state_of(game))["shapes"]
        if shape["kind"] == "line"
    ]
    assert len(roles) > 5
    assert roles == sorted(roles)
    assert roles[-1] == "body9"


# Boards.


def on_board(**options):
    environment = find("grid", {"reward": "arrival", **options})
    return environment, optimal(environment)


def test_a_cells_tip_tells_its_values_and_its_update():
    environment, table = on_board()
    shapes = check(scene_of(environment, {"cell": 0}, table=table, discount=0.9))
    tips = {
        shape["tip"].split("\n")[0]: shape["tip"].split("\n")[1:]
        for shape in shapes
        if "tip" in shape
    }
    assert len(tips) == 25
    said = tips["start, row 1, column 1"]
    best = int(np.argmax(table[0]))
    names = environment.action_names
    assert said[:4] == [f"{name} {number(q)}" for name, q in zip(names, table[0], strict=True)]
    assert said[4].startswith(f"update of {names[best]}: ")
    assert said[4].endswith(f"= {number(table[0].max())}, off by 0.00")
    assert tips["hole, row 2, column 1"] == []


def test_an_update_off_the_target_says_by_how_much():
    environment, table = on_board(slip=0.3)
    table[0, np.argmax(table[0])] += 0.25
    tip = next(
        shape["tip"]
        for shape in scene_of(environment, {"cell": 0}, table=table, discount=0.9)["shapes"]
        if "tip" in shape
    )
    off = float(tip.rsplit(" ", 1)[1].replace("\N{MINUS SIGN}", "-"))
    assert off < -0.1


def test_cells_are_shaded_by_value_and_arrows_lead_to_the_goal():
    environment, table = on_board()
    shapes = scene_of(environment, {"cell": 0}, table=table)["shapes"]
    cells = [shape for shape in shapes if "tip" in shape]
    best = table.max(axis=1)
    values = [
        (best[k], int(cell["fill"][5:])) for k, cell in enumerate(cells) if "value" in cell["fill"]
    ]
    assert len(values) == 20
    values.sort()
    assert [step for _, step in values] == sorted(step for _, step in values)
    assert values[-1][1] == 9
    assert sum(shape["kind"] == "line" and shape["stroke"] == "ink" for shape in shapes) == 20
    assert [cell["fill"] for cell in cells].count("bad") == 4


def test_nothing_learned_is_nothing_shaded():
    shapes = check(scene_of(find("grid"), {"cell": 0}))
    assert not any("value" in shape.get("fill", "") for shape in shapes)
    assert not any(shape["kind"] == "line" for shape in shapes)


@pytest.mark.parametrize("side", [60, 300])
def test_large_boards_stay_small_scenes(tmp_path, side):
    chooser = np.random.default_rng(side)
    cells = np.where(chooser.random((side, side)) < 0.2, "#", ".")
    cells[0, 0], cells[-1, -1] = "S", "G"
    path = tmp_path / "large.txt"
    path.write_text("\n".join("".join(row) for row in cells))
    environment = find(str(path))
    table = chooser.random((side * side, 4))
    scene = scene_of(environment, {"cell": side * side - 1}, table=table)
    shapes = check(scene)
    assert sum(shape.get("fill") == "good" for shape in shapes) == 1
    assert len(shapes) < 16_500
    assert scene["width"] < 900


# Everything else.


def test_other_environments_are_drawn_as_their_text():
    environment = find("examples/my_env.py:Lander")
    game = PlainGame(environment)
    game.reset()
    shapes = check(scene_of(environment, state_of(game), [0.1] * environment.actions, 0))
    assert any(shape.get("font") == "mono" for shape in shapes)


def test_a_terminals_colours_are_no_text():
    environment = find("gym:Taxi-v4")
    shapes = check(scene_of(environment, {"place": 314}))
    drawn = [shape["text"] for shape in shapes if shape.get("font") == "mono"]
    assert len(drawn) == 7
    assert {len(line) for line in drawn} == {11}


def test_wanderers_snake_on_absolute_moves():
    learner = wanderer("snake", actions="absolute")
    game = PlainGame(learner.environment)
    game.reset()
    check(scene_of(learner.environment, state_of(game), [0.0, 1.0, 2.0, 3.0], 2))
