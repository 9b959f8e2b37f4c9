"""Clips: whole greedy games, and their files."""

from __future__ import annotations

import base64
import gzip
import io
import json

import gymnasium
import numpy as np
import pytest
from PIL import Image
from watched import balancer, by_hand, optimal, tabulated, wanderer

from qlearn.algorithms.network.torch_player import TorchPlayer
from qlearn.algorithms.table.greedy import Evaluator
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs.training import train
from qlearn.watching import clip as clips
from qlearn.watching.clip import Clip, heading, play
from qlearn.watching.pictures import png


class Counter(gymnasium.Env):
    """Counts up to what its seed says, and paints how far it is."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = gymnasium.spaces.Box(0.0, 100.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2, start=5)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.end, self.count = int(self.np_random.integers(5, 60)), 0
        return np.array([0.0], np.float32), {}

    def step(self, action):
        assert action == 6
        self.count += 1
        return np.array([self.count], np.float32), 2.0, self.count == self.end, False, {}

    def render(self):
        assert self.render_mode == "rgb_array"
        return np.full((30, 50, 3), 4 * self.count, np.uint8)


class Invisible(Counter):
    metadata = {"render_modes": ["human"]}


class Torn(Counter):
    def render(self):
        raise RuntimeError("the film is torn")


for game in (Counter, Invisible, Torn):
    gymnasium.register(f"watched/{game.__name__}-v0", game, max_episode_steps=40)


def counting(name="Counter"):
    return by_hand(find(f"gym:watched/{name}-v0"), lambda seen: [0.0, 1.0])


def slippery():
    """A board of chance, and the table that is best on it."""
    environment = find("grid", {"reward": "arrival", "slip": 0.4})
    return tabulated(environment, optimal(environment))


# Games.


def test_a_balanced_pole_stands_for_500_steps():
    clip = play(balancer(), seed=4)
    assert clip["return"] == 500.0
    assert (clip["steps"], clip["every"], clip["cut_off"], len(clip["frames"])) == (
        500,
        1,
        False,
        501,
    )
    assert (clip["env"], clip["seed"], clip["game"], clip["env_steps"]) == (
        "cartpole",
        4,
        0,
        12_345,
    )
    assert clip["fps"] == 50.0
    frames = clip["frames"]
    assert sum(frame["reward"] for frame in frames) == 500.0
    assert [frame["step"] for frame in frames] == list(range(501))
    for frame in frames[:-1]:
        assert frame["q"][frame["action"]] == max(frame["q"])
    assert frames[-1]["action"] is frames[-1]["q"] is None
    assert all(frame["scene"]["width"] == clip["width"] for frame in frames)


def test_what_stands_still_is_told_once():
    clip = play(wanderer(seed=2), seed=1)
    squares = [shape for shape in clip["ground"] if shape.get("fill") == "ground"]
    assert len(squares) == 100
    for frame in clip["frames"]:
        assert not any(shape in clip["ground"] for shape in frame["scene"]["shapes"])


def test_the_same_game_is_the_same_clip():
    assert play(balancer(), seed=4).content == play(balancer(), seed=4).content
    assert play(balancer(), seed=4).content != play(balancer(), seed=5).content


def test_long_games_show_every_kth_step(monkeypatch):
    monkeypatch.setattr(clips, "MOST_FRAMES", 100)
    clip = play(balancer(500))
    assert (clip["every"], clip["fps"], clip["steps"]) == (8, 50.0 / 8, 500)
    steps = [frame["step"] for frame in clip["frames"]]
    assert steps == [*range(0, 500, 8), 500]
    assert sum(frame["reward"] for frame in clip["frames"]) == 500.0
    assert [frame["reward"] for frame in clip["frames"][:3]] == [0.0, 8.0, 8.0]


def test_a_game_without_end_is_cut_off():
    assert play(balancer(0), most_steps=70).content["cut_off"]
    clip = play(balancer(0), seconds=0.0)
    assert (clip["cut_off"], clip["steps"], len(clip["frames"])) == (True, 0, 1)


def test_the_games_are_those_of_the_evaluation():
    learner = slippery()
    scores = Evaluator(learner.environment)(learner.values(), 12, 9, 1000).scores
    game = clips.game_of(learner.environment)
    for index, score in enumerate(scores):
        clip = clips.recorded(
            learner, game, clips.artist_for(learner), clips.values_of(learner), 9, index
        )
        assert clip["return"] == score
    assert len(set(scores)) > 2


def test_the_best_and_the_worst_of_twenty():
    learner = slippery()
    evaluator = Evaluator(learner.environment)
    learner.evaluate = lambda *how: evaluator(learner.values(), *how)
    scores = evaluator(learner.values(), 20, 3, 1000).scores
    best, worst = (play(learner, 3, most_steps=1000, choose=which) for which in ("best", "worst"))
    assert best["return"] == scores.max() > scores.min() == worst["return"]
    with pytest.raises(UserError, match="best or the worst"):
        play(learner, choose="middle")


def test_a_network_shades_a_board_too():
    environment = find("grid", {"reward": "arrival"})
    table = optimal(environment)
    learner = by_hand(environment, lambda seen: table[int(seen[0])], discount=0.9)
    clip = play(learner)
    assert clip["return"] == -6.0
    assert sum("value" in shape.get("fill", "") for shape in clip["ground"]) == 20


def test_any_network_is_asked_for_its_values():
    player = TorchPlayer(find("gym:watched/Counter-v0"), lambda net, rows, scale: rows @ net)
    player.take(np.array([[3.0, -1.0]], np.float32))
    assert player.values(np.array([2.0]), None).tolist() == [6.0, -2.0]


def test_a_dicts_games_are_its_tables(tmp_path):
    run = train("grid", engine="dict", steps=2_000, eval_episodes=1, out=tmp_path / "run")
    learner, clip = run.learner(), play(run, seed=0)
    assert clip["return"] == run.evaluate(1).mean
    for frame in clip["frames"][:-1]:
        assert frame["q"][frame["action"]] == max(frame["q"])
    assert clip["frames"][0]["q"] == pytest.approx(learner.values()[0], rel=1e-5)


# Gymnasium's.


def pixels(frame):
    data = next(shape for shape in frame["scene"]["shapes"] if shape["kind"] == "image")["data"]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGB"))


def test_gymnasiums_games_come_as_pictures():
    clip = play(counting(), seed=1)
    assert 5 <= clip["steps"] <= 40
    assert clip["return"] == 2.0 * clip["steps"]
    for frame in clip["frames"]:
        assert pixels(frame).shape == (30, 50, 3)
        assert abs(int(pixels(frame).mean()) - 4 * frame["step"]) <= 2


def test_the_best_of_gymnasiums_games():
    games = [play(counting(), 0, choose=which) for which in ("best", "worst")]
    assert games[0]["return"] == 80.0  # its time limit
    assert games[1]["return"] < 30.0
    assert games[1]["game"] != games[0]["game"]


@pytest.mark.parametrize("name", ["Invisible", "Torn"])
def test_games_without_pictures_say_so_in_one_line(name):
    with pytest.raises(UserError) as said:
        play(counting(name))
    assert "\n" not in str(said.value)
    assert {"Invisible": "no render mode rgb_array", "Torn": "the film is torn"}[name] in str(
        said.value
    )


def test_without_pillow_pictures_are_png():
    given = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    with Image.open(io.BytesIO(png(given))) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), given)


# Files.


def test_a_file_is_read_as_it_was_written(tmp_path):
    clip, path = play(wanderer()), tmp_path / "5.json.gz"
    path.write_bytes(clip.gzipped())
    assert Clip.read(path).content == json.loads(json.dumps(clip.content))
    assert clip.gzipped() == clip.gzipped()


def test_the_heading_is_read_without_the_frames(tmp_path):
    clip, path = play(wanderer()), tmp_path / "5.json.gz"
    packed = clip.gzipped()
    path.write_bytes(packed[: len(packed) // 2])  # half of it is not there yet
    known = {key: value for key, value in clip.content.items() if key not in ("ground", "frames")}
    assert heading(path) == json.loads(json.dumps(known))
    with pytest.raises(UserError, match="is no clip"):
        Clip.read(path)


@pytest.mark.parametrize(
    "data", [b"", b"nothing", gzip.compress(b"[1]"), gzip.compress(b"{}")],
    ids=["empty", "no gzip", "a list", "no key"],
)  # fmt: skip
def test_what_is_no_clip(tmp_path, data):
    path = tmp_path / "x.json.gz"
    path.write_bytes(data)
    for read in (Clip.read, heading):
        with pytest.raises(UserError, match="is no clip"):
            read(path)
