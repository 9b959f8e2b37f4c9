"""What the page asks, and the shape of what it gets."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from urllib.parse import quote

import pytest
from sites import append, event, judged, row, write_run

ODD = [
    "<script>alert(1)</script>",
    "a,b",
    "50% ?x=1#y",
    "naïve ü 日本",
    "a&b=c+d",
    "'\";--",
    "sub/run",
]


def test_the_list(site, home):
    write_run(home, "a", [row(10)])
    found = site.get("/api/runs").json
    assert found["home"] == str(home)
    assert set(found["runs"][0]) >= {
        "name", "env", "algo", "engine", "seed", "status", "share", "env_steps", "train_seconds",
        "best", "last", "started", "error",
    }  # fmt: skip


def test_a_run(site, home):
    write_run(home, "a", [row(10, loss=0.5), event(10, "save", checkpoint="x")])
    (home / "a" / "knobs.json").write_text('{"epsilon": 0.2}')
    found = site.get("/api/run/a").json
    assert found["record"]["algo"] == "table"
    assert found["knobs"] == {"epsilon": 0.2}
    assert found["live"]["epsilon"]["kind"] == "schedule"
    assert {"loss", "steps_per_second"} <= set(found["keys"])
    assert found["events"][0]["event"] == "save"
    assert (found["clips"], found["warnings"], found["status"]) == ([], [], "done")


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_names(site, home, name):
    write_run(home, name, [row(10, loss=0.5), judged(10, 1.0)])
    assert site.get("/api/runs").json["runs"][0]["name"] == name
    path = quote(name)
    assert site.get(f"/api/run/{path}").json["name"] == name
    assert site.get(f"/api/series/{path}?keys=loss").json["series"]["loss"]["mean"] == [0.5]
    group = site.get(f"/api/compare?runs={quote(name, safe='')}").json["groups"][0]
    assert group["runs"] == [name]
    assert site.post(f"/api/set/{path}", {"epsilon": 0.3}).status == 200


def test_a_series(site, home):
    write_run(home, "a", [row(step, loss=float(step)) for step in range(100)])
    found = site.get("/api/series/a?keys=loss,nix,seconds&x=seconds&points=10").json
    assert (found["x"], found["rows"], found["loaded"]) == ("seconds", 100, 1.0)
    assert set(found["series"]) == {"loss", "seconds"}
    lengths = {len(found["series"]["loss"][key]) for key in ("x", "mean", "low", "high")}
    assert lengths == {10}
    near = site.get("/api/series/a?keys=loss&from=10&to=12").json["series"]["loss"]
    assert near["mean"] == [10, 11, 12]


@pytest.mark.parametrize(
    "query", ["x=loss", "points=x", "points=nan", "from=", "to=abc", "keys=a&x=%00"]
)
def test_a_series_that_makes_no_sense(site, home, query):
    write_run(home, "a")
    answer = site.get(f"/api/series/a?{query}")
    assert (answer.status, list(answer.json)) == (400, ["error"])


def test_what_is_not_there(site, home):
    write_run(home, "abcdef")
    for path in (
        "/api/run/abcdex",
        "/api/series/nix",
        "/api/clip/abcdef/1.json.gz",
        "/api/nix",
        "/x",
    ):
        answer = site.get(path)
        assert (answer.status, list(answer.json)) == (404, ["error"])
    assert "did you mean" not in site.get("/api/run/zzz").json["error"]


def test_a_clip_comes_packed(site, home):
    folder = write_run(home, "a")
    (folder / "clips").mkdir()
    for steps in (200, 1000):
        clip = {"format": 1, "env": "grid", "return": steps / 2, "frames": []}
        (folder / "clips" / f"{steps}.json.gz").write_bytes(
            gzip.compress(json.dumps(clip).encode())
        )
    (folder / "clips" / "3000.json.gz").write_bytes(b"\x1f\x8bdamaged")
    (folder / "clips" / "notes.txt").write_text("no clip")
    clips = site.get("/api/run/a").json["clips"]
    assert clips == [
        {"file": "200.json.gz", "env_steps": 200, "return": 100.0},
        {"file": "1000.json.gz", "env_steps": 1000, "return": 500.0},
        {"file": "3000.json.gz", "env_steps": 3000, "return": None},
    ]
    answer = site.get("/api/clip/a/200.json.gz", **{"accept-encoding": "gzip, br"})
    assert (answer.headers["content-encoding"], answer.json["return"]) == ("gzip", 100.0)
    assert site.get("/api/clip/a/notes.txt").status == 404
    assert site.get("/api/clip/a/..%2Frun.json").status == 404


def test_the_palette_is_the_watchers(site):
    assert set(site.get("/api/palette").json) >= {"light", "dark"}


def test_comparing(site, home):
    for seed in range(3):
        write_run(home, f"a{seed}", [judged(100 * k, k + seed) for k in range(5)], seed=seed)
    write_run(home, "=b", [judged(100, 7.0)], config={"lr": 0.5, "steps": 10_000, "episodes": 0})
    found = site.get("/api/compare?runs=a0,a1,a2,%3Db").json
    first, second = found["groups"]
    assert (first["seeds"], first["label"]) == ([0, 1, 2], "table on numba, lr=0.1")
    assert (first["interval"], second["interval"]) == (True, False)
    assert first["final"]["scores"] == [4.0, 5.0, 6.0]
    assert "eval.mean" in found["metrics"]
    table = list(
        csv.reader(io.StringIO(site.get("/api/compare.csv?runs=a0,a1,a2,%3Db").body.decode()))
    )
    assert table[0][-4:] == ["env_steps", "iqm", "low", "high"]
    assert {len(line) for line in table} == {len(table[0])}
    assert [line[-3] for line in table if line[5] == "final"] == ["5", "7"]
    assert site.get("/api/compare").status == 400
    assert site.get("/api/compare?runs=a0,nix").status == 404


class TestPlaying:
    def test_the_worker_answers_a_clip(self, site, home, monkeypatch):
        """Its process is replaced by one that has nothing to import."""
        packed = gzip.compress(b'{"format": 1}')
        self.worker(monkeypatch, f"import sys; sys.stdout.buffer.write({packed!r})")
        write_run(home, "a")
        answer = site.post("/api/play/a", {"seed": 3}, accept_encoding="gzip")
        assert (answer.status, answer.json) == (200, {"format": 1})

    def test_what_it_says_is_one_line(self, site, home, monkeypatch):
        text = "import sys; print('warning\\nno checkpoint yet', file=sys.stderr); sys.exit(2)"
        self.worker(monkeypatch, text)
        write_run(home, "a")
        answer = site.post("/api/play/a", {}, accept_encoding="gzip")
        assert (answer.status, answer.json) == (400, {"error": "no checkpoint yet"})

    @pytest.mark.parametrize(
        "asked", [{"seed": -1}, {"seed": "1"}, {"seed": True}, {"best": 1}, {"seed": 2**63}]
    )
    def test_nonsense_plays_nothing(self, site, home, asked):
        write_run(home, "a")
        assert site.post("/api/play/a", asked).status == 400

    def worker(self, monkeypatch, text: str) -> None:
        import asyncio

        from qlearn.dashboard import play

        start = asyncio.create_subprocess_exec

        async def other(*words, **how):
            assert words[:3] == (sys.executable, "-m", "qlearn.dashboard.play")
            return await start(sys.executable, "-c", text, **how)

        monkeypatch.setattr(play.asyncio, "create_subprocess_exec", other)


def test_a_growing_run_is_seen_to_grow(site, home):
    folder = write_run(home, "a", [row(10, loss=1.0)], status="running")
    assert site.get("/api/series/a?keys=loss").json["rows"] == 1
    append(folder, [row(20, loss=2.0)])
    assert site.get("/api/series/a?keys=loss").json["last"]["loss"] == [20, 2.0]
    assert site.get("/api/runs").json["runs"][0]["env_steps"] == 20
