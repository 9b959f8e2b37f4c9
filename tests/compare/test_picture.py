"""The picture of a comparison: what is in it, and that the same is drawn as the same bytes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from qlearn.compare import picture
from qlearn.compare.compare import compare
from qlearn.errors import UserError

SECONDS = {"x/a.py": [2.0, 2.2, 2.1], "x/b.py": [1.0, 1.1, 0.9], "grid": [0.01, 0.012, 0.011]}
FOUND = {
    "rows": [
        {"name": name, "speedup": {"median": m, "low": 0.9 * m, "high": 1.1 * m}}
        for name, m in zip(SECONDS, (1.0, 2.1, 190.0), strict=True)
    ],
    "verdict": "grid is 91x as fast as b.py (75 to 110)",
}
STAGES = [
    {"name": name, "share": share, "seconds": share}
    for name, share in (("environment", 0.5), ("target_update", 0.3), ("a new one", 0.2))
]
PROFILES = [{"stages": STAGES}, None, {"stages": STAGES[:1]}]


def texts(page):
    return [
        text.get_text() for axes in page.axes for text in (*axes.get_yticklabels(), *axes.texts)
    ]


def test_every_turn_and_every_pair_is_a_point():
    page = picture.draw(FOUND, SECONDS)
    times, ratios = page.axes
    drawn = [list(line.get_xdata()) for line in times.lines if line.get_marker() == "o"]
    assert drawn == list(SECONDS.values())
    pairs = [list(line.get_xdata()) for line in ratios.lines if line.get_marker() == "o"]
    assert pairs[0] == pytest.approx([2.0, 2.0, 2.1 / 0.9])
    assert len(pairs) == 2  # the first against itself is no news
    intervals = [list(line.get_xdata()) for line in ratios.lines if len(line.get_xdata()) == 2]
    assert [0.9 * 2.1, 1.1 * 2.1] in intervals
    assert [text.get_text() for text in page.texts] == [FOUND["verdict"]]
    assert texts(page)[:3] == ["a.py", "b.py", "grid"]


def test_stages_are_bands_that_end_at_the_whole():
    page = picture.draw({**FOUND, "profiles": PROFILES}, SECONDS)
    bands = page.axes[2].patches
    assert [band.get_width() for band in bands] == pytest.approx([0.5, 0.3, 0.2, 0.5])
    assert bands[2].get_x() + bands[2].get_width() == pytest.approx(1.0)
    assert "environment" in texts(page)
    assert len({band.get_facecolor() for band in bands}) == 3


def test_every_stage_has_a_colour_and_later_ones_of_a_kind_are_paler():
    first, second = (picture._colour(stage) for stage in ("forward", "loss"))
    assert first[1] < second[1]
    assert all(a <= b for a, b in zip(first[0], second[0], strict=True))


@pytest.mark.parametrize("form", [".png", ".svg"])
def test_the_same_is_drawn_as_the_same_bytes(form, tmp_path):
    for name in ("one", "two"):
        picture.write(tmp_path / (name + form), {**FOUND, "profiles": PROFILES}, SECONDS)
    drawn = (tmp_path / f"one{form}").read_bytes()
    assert drawn == (tmp_path / f"two{form}").read_bytes()
    if form == ".png":
        assert drawn.startswith(b"\x89PNG")
    else:
        assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_a_long_heading_is_broken_not_cut():
    page = picture.draw({**FOUND, "verdict": "word " * 40}, SECONDS)
    assert page.texts[0].get_text().count("\n") == 1


@pytest.mark.parametrize("name", ["a.jpg", "a", "none/a.png", "folder.png"])
def test_a_name_that_cannot_be_written_is_told(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    with pytest.raises(UserError, match="--plot"):
        picture.path(name)


def test_compare_draws_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("")
    found = compare("a.py", repeats=1, out="a.html", plot="a.svg")
    assert found["plot"] == str(tmp_path / "a.svg")
    assert b"a.py" in Path("a.svg").read_bytes()
    assert "plot" not in compare("a.py", repeats=1, out="a.html")
