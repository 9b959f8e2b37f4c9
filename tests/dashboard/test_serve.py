"""The command, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import types
from urllib.request import Request, urlopen

import pytest
from sites import append, row, write_run

import qlearn
from qlearn.cli.main import main
from qlearn.dashboard import beside, server
from qlearn.dashboard.security import Access
from qlearn.dashboard.store import Store
from qlearn.dashboard.stream import Hub
from qlearn.runs.folder import RunFolder
from qlearn.runs.watchers import Watcher


def start(home, *more: str) -> tuple[subprocess.Popen, dict[str, str]]:
    words = [
        sys.executable,
        "-m",
        "qlearn",
        "serve",
        str(home),
        "--no-open",
        "--json",
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [*words, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, json.loads(process.stdout.readline())


async def listen(port: int, runs: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/stream?runs={runs} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
    return reader, writer


def test_a_hundred_pages_at_a_time_and_an_end(home):
    folder = write_run(home, "a", [row(10)], status="running")
    process, told = start(home)
    assert told["dir"] == str(home)
    url = told["url"]
    port = int(url.rstrip("/").rpartition(":")[2])
    assert b"<html" in urlopen(url).read()

    async def look_on():
        pages = await asyncio.gather(*(listen(port, "a") for _ in range(100)))
        for reader, _ in pages:
            await asyncio.wait_for(reader.readuntil(b'"rows":1}'), 30)
        append(folder, [row(20)])
        for reader, _ in pages:
            await asyncio.wait_for(reader.readuntil(b'"rows":2}'), 30)
        assert json.load(urlopen(url + "api/series/a"))["rows"] == 2
        assert urlopen(Request(url + "api/runs", headers={"accept": "x" * 2000})).status == 200
        _, broken = await asyncio.open_connection("127.0.0.1", port)
        broken.write(b"\x16\x03\x01 no http at all\r\n\r\n")
        assert json.load(urlopen(url + "api/runs"))["runs"][0]["env_steps"] == 20
        process.send_signal(signal.SIGINT)
        await asyncio.gather(*(asyncio.wait_for(reader.read(), 30) for reader, _ in pages))

    asyncio.run(look_on())
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "", "")
    assert (home / "a").is_dir()


def test_a_dashboard_that_is_killed_is_nothing_to_the_training(home):
    process, told = start(home)

    class Killer(Watcher):
        def logged(self, training, row):
            if process.poll() is None:
                assert json.load(urlopen(told["url"] + "api/run/watched"))["row"]["name"]
                process.kill()
                process.wait()

    how = {"engine": "dict", "steps": 3000, "eval_every": 1000}
    watched = qlearn.train("grid", **how, out=home / "watched", watchers=[Killer()])
    alone = qlearn.train("grid", **how, out=home / "alone")
    assert process.returncode == -signal.SIGKILL
    process.communicate()
    assert watched.status == "done"
    assert watched.report["eval"] == alone.report["eval"]


def test_it_ends_when_nobody_needs_it(home, monkeypatch):
    write_run(home, "a")
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.01)
    addresses: list[str] = []
    server.serve(home, port=0, browser=False, announce=addresses.append, of_run="a", page="#/run/a")
    assert addresses[0].startswith("http://127.0.0.1:")
    assert addresses[0].endswith("/#/run/a")


def test_it_stays_while_the_run_is_trained_or_somebody_looks(home, monkeypatch):
    folder = write_run(home, "a", status="running")
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.0)
    hub, looks = Hub(Store(home)), []
    stopped = types.SimpleNamespace(should_exit=False)

    def sleep(_):
        looks.append(hub.store.row("a")["status"])
        if len(looks) == 3:
            hub._listeners.add("somebody")
            RunFolder.open(folder).update(status="done")
        if len(looks) == 6:
            hub._listeners.clear()

    clock = iter(range(10_000))
    monkeypatch.setattr(
        server, "time", types.SimpleNamespace(sleep=sleep, monotonic=lambda: next(clock))
    )
    monkeypatch.setattr(server, "GRACE_SECONDS", 1.5)
    server._watch(stopped, hub, "a")
    assert stopped.should_exit
    assert looks[:3] == ["running"] * 3
    assert len(looks) >= 6


def test_a_token_stands_in_the_link_to_another_address():
    assert server.link(Access("127.0.0.1", 80), "#/") == "http://127.0.0.1:80/#/"
    far = Access("192.168.0.7", 8700)
    assert server.link(far, "#/run/a") == f"http://192.168.0.7:8700/?token={far.token}#/run/a"
    assert server.link(Access("::1", 1), "") == "http://[::1]:1/"
    assert len({Access().token for _ in range(10)}) == 10
    assert len(Access().token) >= 32


def test_a_port_that_is_taken(home, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["serve", str(home), "--no-open", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"cannot listen at 127.0.0.1:{port}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["serve", "/nowhere/at/all"], ["serve", ".", "--port", "70000"], ["serve", ".", "--host", "no such host"]]
)  # fmt: skip
def test_what_cannot_be_served_is_one_line(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_usual_port_or_the_next(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(server, "PORT", other.getsockname()[1])
        found = server._listen("127.0.0.1", None)
    assert found.getsockname()[1] != server.PORT
    found.close()


def test_without_the_extra_it_says_what_to_install(home, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(home), "--no-open"]) == 2
    assert "qlearn[dashboard]" in capsys.readouterr().err
    monkeypatch.setattr(beside, "find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"qlearn\[dashboard\]"):
        beside.Beside()


def test_the_server_beside_a_training_is_started_once(home, monkeypatch):
    folder = write_run(home, "a b")
    started = []

    class Process:
        def __init__(self, words, **how):
            started.append((words, how))

        def poll(self):
            return None

    monkeypatch.setattr(beside.subprocess, "Popen", Process)
    watcher = beside.Beside()
    training = types.SimpleNamespace(folder=types.SimpleNamespace(path=folder))
    watcher.begins(training)
    watcher.begins(training)
    assert [words[1:] for words, _ in started] == [
        ["-m", "qlearn", "serve", str(home), "--of-run", "a b"]
    ]
    assert started[0][1]["start_new_session"] == (os.name == "posix")
