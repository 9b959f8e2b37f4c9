"""Runs made of files alone, and the application asked in this process, without a socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from qlearn.dashboard.app import make_app
from qlearn.dashboard.security import Access
from qlearn.dashboard.store import Store
from qlearn.dashboard.stream import Hub
from qlearn.runs.files import write_sealed
from qlearn.runs.folder import FILE, FORMAT

PORT = 8700
HOST = f"127.0.0.1:{PORT}"


def row(steps: int, **more: Any) -> dict[str, Any]:
    machine = {"seconds": steps / 1000, "steps_per_second": 1000.0}
    return {
        "env_steps": steps,
        "updates": steps,
        "episodes": steps // 10,
        **more,
        "machine": machine,
    }


def judged(steps: int, mean: float) -> dict[str, Any]:
    report = {"episodes": 16, "mean": mean, "std": 2.0, "min": mean - 3, "max": mean + 3}
    return {"env_steps": steps, "eval": report, "machine": {"seconds": steps / 1000}}


def event(steps: int, kind: str, **more: Any) -> dict[str, Any]:
    machine = {"seconds": steps / 1000, "time": 1e9 + steps}
    return {"env_steps": steps, "event": kind, **more, "machine": machine}


def write_run(home: Path, name: str, rows: list[Any] = (), **record: Any) -> Path:  # type: ignore[assignment]
    folder = home / name
    (folder / "checkpoints").mkdir(parents=True)
    whole = {
        "format": FORMAT, "status": "done", "started": f"2026-01-01T00:00:{len(list(home.iterdir())):02}",
        "env": "grid", "env_name": "grid", "env_options": {}, "algo": "table", "engine": "numba",
        "seed": 0, "pid": os.getpid(), "config": {"lr": 0.1, "steps": 10_000, "episodes": 0},
        "run_config": {}, "live": {"epsilon": {"value": 0.1, "kind": "schedule"}}, **record,
    }  # fmt: skip
    write_sealed(folder / FILE, whole)
    append(folder, rows)
    return folder


def append(folder: Path, rows: list[Any]) -> None:
    with open(folder / "metrics.jsonl", "a") as file:
        file.writelines(json.dumps(one) + "\n" for one in rows)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


class Site:
    """An application over one folder; asks as our own page would, unless told otherwise."""

    def __init__(self, home: Path, host: str = "127.0.0.1") -> None:
        self.home = home
        self.access = Access(host, PORT, token="the-token")
        self.store = Store(home)
        self.hub = Hub(self.store)
        self.app = make_app(home, self.access, self.hub)
        self.runner = asyncio.Runner()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={"host": HOST, **headers})

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        own = {
            "host": HOST,
            "origin": f"http://{HOST}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-qlearn-token": self.access.token,
        }
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.ask("POST", path, {**own, **given}, body)

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        return self.runner.run(self._ask(method, path, headers, body))

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        sent: list[Any] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope_of(method, path, headers), receive, send)
        assert sent[0]["type"] == "http.response.start"
        found = [(key.decode(), value.decode()) for key, value in sent[0]["headers"]]
        assert len(dict(found)) == len(found), "a header stands there twice"
        return Answer(
            sent[0]["status"], dict(found), b"".join(part.get("body", b"") for part in sent[1:])
        )


def scope_of(method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    place, _, query = path.partition("?")
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": unquote(place), "raw_path": place.encode(), "root_path": "",
        "query_string": query.encode(), "server": ("127.0.0.1", PORT), "client": ("127.0.0.1", 1),
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
    }  # fmt: skip
