"""Everybody who listens is told; one thread looks, and none while nobody listens."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from sites import HOST, append, event, row, scope_of, write_run

from qlearn.dashboard import stream as stream_module
from qlearn.errors import UserError


class Page:
    """Listens as a browser does; `close` goes away."""

    def __init__(self, site, query: str) -> None:
        self.heard: list[tuple[str, object]] = []
        self.kept_alive = 0
        self._gone = asyncio.Event()
        scope = scope_of("GET", f"/api/stream?{query}", {"host": HOST})
        self._task = asyncio.create_task(site.app(scope, self._receive, self._send))

    async def _receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message) -> None:
        for part in message.get("body", b"").decode().split("\n\n"):
            if part.startswith(":"):
                self.kept_alive += 1
            if part.startswith("event: "):
                kind, data = part.split("\n")
                self.heard.append((kind[7:], json.loads(data.removeprefix("data: "))))

    async def until(self, kind: str, count: int = 1) -> list[object]:
        for _ in range(500):
            found = [data for name, data in self.heard if name == kind]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"no {count} {kind} in {self.heard}")

    async def close(self) -> None:
        self._gone.set()
        await self._task


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(stream_module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(stream_module, "MOST_SHARE", 1.0)


def lookers() -> int:
    return sum(thread.name == "hub" for thread in threading.enumerate())


def no_lookers() -> bool:
    end = time.monotonic() + 5
    while lookers() and time.monotonic() < end:
        time.sleep(0.01)
    return not lookers()


def test_a_newcomer_is_told_everything_then_what_changes(site, home):
    a = write_run(home, "a,1", [row(10)], status="running")
    b = write_run(home, "b", [row(10)], status="running")

    async def listen():
        page = Page(site, "runs=a%2C1")
        first = (await page.until("runs"))[0]
        assert {one["name"] for one in first} == {"a,1", "b"}
        assert await page.until("rows") == [{"name": "a,1", "rows": 1}]
        append(b, [row(20)])
        assert [one["name"] for one in (await page.until("runs", 2))[1]] == ["b"]
        append(a, [row(20), row(30)])
        assert (await page.until("rows", 2))[1] == {"name": "a,1", "rows": 3}
        append(a, [event(30, "set", knobs={"epsilon": 0.1})])
        assert (await page.until("rows", 3))[2] == {"name": "a,1", "rows": 3}
        (b / "run.json").unlink()
        assert (await page.until("runs", 4))[-1] == [{"name": "b", "gone": True}]
        assert {data["name"] for kind, data in page.heard if kind == "rows"} == {"a,1"}
        late = Page(site, "runs=b")
        assert [one["name"] for one in (await late.until("runs"))[0]] == ["a,1"]
        await page.close()
        await late.close()

    asyncio.run(listen())


def test_one_thread_looks_for_a_hundred_pages_and_none_for_nobody(site, home):
    folder = write_run(home, "a", [row(10)], status="running")
    assert no_lookers()

    async def listen():
        pages = [Page(site, "runs=a") for _ in range(100)]
        await asyncio.gather(*(page.until("rows") for page in pages))
        assert lookers() == 1
        append(folder, [row(20)])
        told = await asyncio.gather(*(page.until("rows", 2) for page in pages))
        assert all(one[-1] == {"name": "a", "rows": 2} for one in told)
        await asyncio.gather(*(page.close() for page in pages))
        assert site.hub.listening == 0

    asyncio.run(listen())
    assert no_lookers()
    asyncio.run(listen_once(site))


async def listen_once(site):
    page = Page(site, "")
    await page.until("runs")
    await page.close()


def test_who_is_slow_hears_the_newest_alone(site):
    async def listen():
        listener = site.hub.join(["a"])
        messages = listener.messages()
        await anext(messages)
        for count in range(1000):
            listener.tell({"a": {"name": "a", "n": count}}, {"a": count, "other": 1})
        await asyncio.sleep(0.01)
        assert json.loads((await anext(messages)).split(b"data: ")[1]) == [{"name": "a", "n": 999}]
        assert json.loads((await anext(messages)).split(b"data: ")[1]) == {"name": "a", "rows": 999}
        site.hub.leave(listener)

    asyncio.run(listen())


def test_silence_is_told_from_death(site, home, monkeypatch):
    write_run(home, "a")
    monkeypatch.setattr(stream_module, "ALIVE_SECONDS", 0.05)

    async def listen():
        page = Page(site, "")
        await page.until("runs")
        await asyncio.sleep(0.2)
        assert page.kept_alive >= 2
        await page.close()

    asyncio.run(listen())


def test_only_so_many_listen(site, monkeypatch):
    monkeypatch.setattr(stream_module, "MOST_LISTENERS", 2)

    async def listen():
        listeners = [site.hub.join([]) for _ in range(2)]
        with pytest.raises(UserError):
            site.hub.join([])
        for listener in listeners:
            site.hub.leave(listener)

    asyncio.run(listen())


def test_closing_ends_every_stream(site, home):
    write_run(home, "a")

    async def listen():
        pages = [Page(site, "runs=a") for _ in range(3)]
        await asyncio.gather(*(page.until("rows") for page in pages))
        site.hub.close()
        await asyncio.wait_for(asyncio.gather(*(page._task for page in pages)), 5)

    asyncio.run(listen())
