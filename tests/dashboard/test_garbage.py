"""Whatever is asked, and whatever lies in the files: an answer in one line, and the server is there."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import HOST, Site, append, judged, row, write_run

EXAMPLES = settings(max_examples=50, deadline=None)
GETS = (
    "/api/run/{}", "/api/series/{}", "/api/clip/{}/{}", "/api/compare", "/api/compare.csv", "/api/runs",
    "/api/palette", "/static/{}", "/{}", "/api/{}", "/api/stream/{}",
)  # fmt: skip
POSTS = ("/api/set/{}", "/api/do/{}", "/api/play/{}", "/api/runs", "/{}")
PIECES = (
    "a",
    "..",
    ".",
    "%2e%2e",
    "%00",
    "%",
    "//",
    "etc",
    "passwd",
    "run.json",
    "\\",
    "%ff",
    "\ud7ff",
)
QUERIES = ("keys", "x", "points", "from", "to", "runs", "metric", "token", "a[]")

texts = st.text(st.characters(codec="utf-8"), max_size=30)
paths = st.one_of(
    texts.map(lambda text: quote(text)),
    st.lists(st.sampled_from(PIECES), max_size=8).map(
        lambda pieces: quote("/".join(pieces), safe="/%")
    ),
)
values = st.one_of(
    texts.map(quote),
    st.sampled_from(("a", "a,a", "nan", "-1e999", "9" * 400, "0x1", "env_steps", "eval.mean")),
)
queries = st.lists(st.tuples(st.sampled_from(QUERIES), values), max_size=5).map(
    lambda pairs: "&".join(f"{key}={value}" for key, value in pairs)
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
NAMES = ("epsilon", "lr", "paused", "do", "seed", "best", "<b>", "__proto__")
changes = st.dictionaries(st.sampled_from(NAMES) | texts, anything, max_size=4)


@pytest.fixture(scope="module")
def site():
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "runs"
        home.mkdir()
        write_run(home, "a", [row(10, loss=1.0), judged(10, 2.0)], status="interrupted")
        (Path(place) / "outside.json").write_text('{"secret": 1}')
        found = Site(home)
        yield found
        found.runner.close()


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    """What is asked of the player is nonsense and starts nothing, or is cut short here."""
    from qlearn.dashboard import app, steer
    from qlearn.errors import UserError

    async def play(*_):
        raise UserError("no game")

    monkeypatch.setattr(app.Player, "play", play)
    monkeypatch.setattr(steer, "SET_SECONDS", 0.02)  # a damaged record may name a living process
    monkeypatch.setattr(steer, "DO_SECONDS", 0.02)


def check(site: Site, answer) -> None:
    assert answer.status < 500, answer.body
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    if answer.status >= 400:
        error = answer.json
        assert list(error) == ["error"]
        assert error["error"]
        assert "\n" not in error["error"]
    assert site.get("/api/runs").json["runs"][0]["name"] == "a"


@given(st.sampled_from(GETS), paths, paths, queries)
@EXAMPLES
def test_any_question(site, shape, first, second, query):
    check(site, site.get(shape.format(first, second) + (f"?{query}" if query else "")))


@given(st.sampled_from(("/api/series/a", "/api/compare", "/api/compare.csv")), queries)
@EXAMPLES
def test_any_query(site, path, query):
    check(site, site.get(f"{path}?{query}"))


@given(st.sampled_from(POSTS), paths | st.just("a"), st.binary(max_size=200) | anything)
@EXAMPLES
def test_any_body(site, shape, path, content):
    check(site, site.post(shape.format(path), content))


@given(st.sampled_from(("/api/set/a", "/api/do/a", "/api/play/a")), changes)
@EXAMPLES
def test_any_change(site, path, content):
    check(site, site.post(path, content))


@given(
    st.sampled_from(("GET", "POST", "HEAD", "PUT")),
    st.dictionaries(
        st.sampled_from(
            ("origin", "cookie", "content-type", "content-length", "x-qlearn-token", "accept-encoding",
             "sec-fetch-site", "range", "if-none-match", "if-modified-since", "transfer-encoding")
        ),
        st.text(st.characters(codec="latin-1"), max_size=40),
    ),
    st.sampled_from(("/", "/static/main.js", "/api/runs", "/api/set/a", "/api/clip/a/1.json.gz")),
)  # fmt: skip
@EXAMPLES
def test_any_header(site, method, headers, path):
    answer = site.ask(method, path, {"host": HOST, **headers})
    assert answer.status < 500
    check(site, site.get("/api/runs"))


@given(st.text(st.characters(codec="latin-1"), max_size=40))
@EXAMPLES
def test_any_host(site, host):
    answer = site.ask("GET", "/api/runs", {"host": host})
    assert answer.status in ((200,) if host == HOST else (200, 421))


FILES = ("run.json", "metrics.jsonl", "knobs.json", "checkpoints/last.json", "clips/1.json.gz")
lines = st.lists(
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(
            ("env_steps", "loss", "eval", "machine", "event", "knobs", "stages", "live", "config", "result",
             "status", "pid", "best", "started", "format", "return")
        ),
        anything,
    ).map(lambda found: json.dumps(found).encode()),
    max_size=6,
).map(b"\n".join)  # fmt: skip


@given(st.sampled_from(FILES), lines)
@settings(max_examples=50, deadline=None)
def test_any_file(site, file, content):
    folder = site.home / "b"
    if not folder.exists():
        write_run(site.home, "b", [row(10, loss=1.0)])
        (folder / "clips").mkdir()
    kept = (folder / "run.json").read_bytes()
    (folder / file).write_bytes(content)
    try:
        for path in (
            "/api/runs",
            "/api/run/b",
            "/api/series/b?keys=loss,eval.mean",
            "/api/compare?runs=b",
        ):
            answer = site.get(path)
            assert answer.status < 500, answer.body
            json.loads(answer.body, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        if file in ("run.json", "knobs.json"):
            assert site.post("/api/set/b", {"epsilon": 0.1}).status < 500
            assert site.post("/api/do/b", {"do": "save"}).status < 500
    finally:
        (folder / file).unlink()
        (folder / "run.json").write_bytes(kept)


def test_a_folder_that_cannot_be_read(site, monkeypatch):
    """Root reads everything: what the system would say is put in its mouth."""
    folder = write_run(site.home, "c", [row(10)])
    append(folder, [row(20)])

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    assert site.get("/api/runs").json["runs"] == []
    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_text", denied)
    found = {one["name"]: one for one in site.get("/api/runs").json["runs"]}
    assert found["c"]["error"] == "cannot read run.json: Permission denied"
    monkeypatch.undo()
