"""Painted scenes and films, read back."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from watched import balancer, wanderer

from qlearn.errors import UserError
from qlearn.watching import films, shapes
from qlearn.watching.clip import play
from qlearn.watching.films import chosen_frames, write_film
from qlearn.watching.paint import paint
from qlearn.watching.palette import palettes


def rgb(role, theme="light"):
    colour = palettes()[theme][role]
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))


def painted(*given, **how):
    return paint({"width": 40, "height": 20, "shapes": list(given)}, **how)


@pytest.fixture(scope="module")
def pole():
    return play(balancer(), most_steps=30)


# Painting.


def test_shapes_lie_where_they_say_in_the_colours_of_their_roles():
    image = painted(
        shapes.rect(10, 0, 10, 20, fill="accent"),
        shapes.circle(30, 10, 4, "good", "bad", 2),
        shapes.line([(0, 5), (8, 5)], 2, "warm"),
    )
    assert image.size == (40, 20)
    assert image.getpixel((15, 10)) == rgb("accent")
    assert image.getpixel((9, 10)) == rgb("ground")
    assert image.getpixel((30, 10)) == rgb("good")
    assert image.getpixel((34, 10)) == rgb("bad")
    assert image.getpixel((36, 10)) == rgb("ground")
    assert image.getpixel((4, 5)) == rgb("warm")


def test_later_shapes_lie_over_earlier_and_may_be_faint():
    image = painted(
        shapes.rect(0, 0, 40, 20, fill="panel"),
        shapes.rect(0, 0, 20, 20, fill="accent", alpha=0.25),
    )
    mixed = 0.75 * np.array(rgb("panel")) + 0.25 * np.array(rgb("accent"))
    assert np.abs(np.array(image.getpixel((10, 10))) - mixed).max() <= 1
    assert image.getpixel((30, 10)) == rgb("panel")


def test_dark_and_large():
    image = painted(shapes.rect(0, 0, 20, 20, fill="panel"), dark=True, scale=2.0)
    assert image.size == (80, 40)
    assert image.getpixel((20, 20)) == rgb("panel", "dark")
    assert image.getpixel((60, 20)) == rgb("ground", "dark")


def test_text_begins_and_ends_where_it_is_anchored():
    for anchor, columns in (("start", slice(20, 40)), ("end", slice(0, 20))):
        ink = np.asarray(painted(shapes.text(20, 15, "III", 10, anchor=anchor)).convert("L")) < 128
        assert ink.any()
        assert ink[:, columns].sum() == ink.sum()


def test_letters_that_the_font_lacks_are_replaced():
    minus, hyphen = (
        np.asarray(painted(shapes.text(5, 15, said, 12))) for said in ("\N{MINUS SIGN}1", "-1")
    )
    assert np.array_equal(minus, hyphen)


# Which frames.


@pytest.mark.parametrize(
    ("fps", "fastest", "skip"), [(50.0, 25.0, 2), (12.0, 25.0, 1), (25.0, 25.0, 1), (60.0, 25.0, 3)]
)
def test_a_film_shows_as_much_as_viewers_can(fps, fastest, skip):
    which, speed = chosen_frames({"frames": [None] * 100}, fps, fastest)
    assert which == sorted({*range(0, 100, skip), 99})
    assert speed == pytest.approx(fps / skip)
    assert speed <= fastest


# GIF.


def test_a_gif_holds_the_game(pole, tmp_path):
    assert write_film(pole, tmp_path / "pole.gif") == 16
    with Image.open(tmp_path / "pole.gif") as film:
        assert (film.format, film.size, film.n_frames) == ("GIF", (640, 352), 16)
        assert film.info["duration"] == 40
        assert film.info["loop"] == 0
        for k in (0, 9, 15):
            film.seek(k)
            frame = film.convert("RGB")
            assert np.abs(np.array(frame.getpixel((2, 2))) - rgb("ground")).max() <= 3
            exact = paint(
                {**pole["frames"][2 * k]["scene"],
                 "shapes": [*pole["ground"], *pole["frames"][2 * k]["scene"]["shapes"]]}
            )  # fmt: skip
            assert np.abs(np.asarray(frame, int) - np.asarray(exact, int)).mean() < 0.7
        assert film.info["duration"] == 1200  # the end stands still


@pytest.mark.parametrize("learner", [balancer(), wanderer(seed=5)])
def test_ten_seconds_take_less_than_two_megabytes(learner):
    clip = play(learner, most_steps=60)
    data, frames = films.gif(clip.content, None, True)
    with Image.open(io.BytesIO(data)) as film:
        assert film.n_frames == frames
        seconds = sum(_durations(film)) / 1000 - films.REST
    assert len(data) / seconds < 200_000


def _durations(film):
    for k in range(film.n_frames):
        film.seek(k)
        yield film.info["duration"]


# MP4.


def test_an_mp4_holds_the_game(pole, tmp_path):
    av = pytest.importorskip("av")
    written = write_film(pole, tmp_path / "pole.mp4", fps=5.0, dark=True)
    assert written == 31 + round(5 * films.REST)
    data = (tmp_path / "pole.mp4").read_bytes()
    assert len(data) < 1_000_000
    assert data.index(b"moov") < data.index(b"mdat")  # begins before it is loaded
    with av.open(str(tmp_path / "pole.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (1280, 704)
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert len(frames) == written
    ground = frames[20][4:12, 4:12].reshape(-1, 3).mean(axis=0)
    assert np.abs(ground - rgb("ground", "dark")).max() < 6


# What is missing.


def test_other_files_are_no_films(pole, tmp_path):
    with pytest.raises(UserError, match=r"a \.gif or an \.mp4"):
        write_film(pole, tmp_path / "pole.avi")


@pytest.mark.parametrize(("kind", "missing", "what"), [
    ("gif", "PIL", "Pillow"), ("mp4", "PIL", "Pillow"), ("mp4", "av", "PyAV"),
])  # fmt: skip
def test_without_its_libraries_a_film_says_what_to_install(monkeypatch, kind, missing, what):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else name)
    with pytest.raises(UserError) as said:
        films.insist(kind)
    assert str(said.value) == f"{what} is not installed: pip install 'qlearn[watch]'"


def test_a_gif_needs_no_pyav(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "av" else name)
    films.insist("gif")


def test_recording_needs_no_pillow():
    code = "import sys; sys.modules['PIL'] = None; import qlearn.watching.recorder"
    subprocess.run([sys.executable, "-c", code], check=True)
