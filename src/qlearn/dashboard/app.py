"""The routes: a page, what it asks, and what it may change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from qlearn.dashboard import codec, compare, steer
from qlearn.dashboard.play import Player
from qlearn.dashboard.security import Access, App, Guard, Refused
from qlearn.dashboard.series import AXES
from qlearn.dashboard.store import NotThere, Store
from qlearn.dashboard.stream import Hub
from qlearn.errors import UserError

STATIC = Path(__file__).parent / "static"
FEWEST_POINTS, MOST_POINTS = 2, 5000
MOST_KEYS, MOST_RUNS = 100, 200


class Api(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return codec.dumps(content)


def make_app(home: str | Path, access: Access | None = None, hub: Hub | None = None) -> App:
    """The whole application over one folder of runs."""
    access = access or Access()
    hub = Hub(Store(home)) if hub is None else hub
    app = Starlette(
        routes=_routes(access, hub, hub.store, Player()),
        exception_handlers={
            NotThere: _failed(404),
            UserError: _failed(400),
            HTTPException: _http_failed,
            Refused: _refused,
            Exception: _failed(500),
        },
    )
    return Guard(app, access)


def _routes(access: Access, hub: Hub, store: Store, player: Player) -> list[Any]:
    def page(request: Request) -> Response:
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        text = text.replace("{{token}}", escape(access.token))
        return HTMLResponse(text)

    def palette(request: Request) -> Response:
        found = resources.files("qlearn.watching") / "palette.json"
        return Response(found.read_bytes(), media_type="application/json")

    def runs(request: Request) -> Response:
        return Api({"home": str(store.home), "runs": store.rows()})

    def run(request: Request) -> Response:
        return Api(store.about(request.path_params["name"]))

    def series(request: Request) -> Response:
        given = request.query_params
        axis = _one_of(given, "x", AXES)
        keys = [key for key in given.get("keys", "").split(",") if key][:MOST_KEYS]
        points = int(_number(given, "points", 800, FEWEST_POINTS, MOST_POINTS))
        low = _number(given, "from", -float("inf"))
        high = _number(given, "to", float("inf"))
        found = store.series(request.path_params["name"])
        return Api(found.chart(keys, axis, points, low, high))

    async def stream(request: Request) -> Response:
        listener = hub.join(_names(request))
        return StreamingResponse(
            _told(hub, listener),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    def clip(request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        path = store.clip(name, file)
        return _packed(path.read_bytes(), request)

    async def play(request: Request) -> Response:
        asked = await _body(request)
        seed, best = asked.get("seed", 0), asked.get("best", False)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise UserError("a seed is a whole number from 0 to 2**63 - 1")
        if not isinstance(best, bool):
            raise UserError("best is true or false")
        folder = store.folder(request.path_params["name"])
        return _packed(await player.play(folder, seed, best), request)

    async def change(request: Request) -> Response:
        asked, name = await _body(request), request.path_params["name"]
        return Api(await steer.change(store, name, asked))

    async def do(request: Request) -> Response:
        asked, name = await _body(request), request.path_params["name"]
        return Api(await steer.do(store, name, asked))

    def compared(request: Request) -> dict[str, Any]:
        metric = request.query_params.get("metric", "eval.mean")[:100]
        names = _names(request)
        if not names:
            raise UserError("compare which runs? runs=a,b")
        return compare.compare(store, names, metric, _one_of(request.query_params, "x", AXES))

    def compare_json(request: Request) -> Response:
        return Api(compared(request))

    def compare_csv(request: Request) -> Response:
        return Response(
            compare.csv(compared(request)),
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": 'attachment; filename="compare.csv"'},
        )

    return [
        Route("/", page),
        Route("/api/palette", palette),
        Route("/api/runs", runs),
        Route("/api/run/{name:path}", run),
        Route("/api/series/{name:path}", series),
        Route("/api/stream", stream),
        Route("/api/clip/{name:path}/{file}", clip),
        Route("/api/play/{name:path}", play, methods=["POST"]),
        Route("/api/set/{name:path}", change, methods=["POST"]),
        Route("/api/do/{name:path}", do, methods=["POST"]),
        Route("/api/compare", compare_json),
        Route("/api/compare.csv", compare_csv),
        Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
    ]


async def _told(hub: Hub, listener: Any) -> AsyncIterator[bytes]:
    try:
        async for message in listener.messages():
            yield message
    finally:
        hub.leave(listener)


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = codec.loads(await request.body())
    except ValueError:
        raise UserError("what was sent is no JSON") from None
    if not isinstance(found, dict):
        raise UserError("what was sent is no JSON object")
    return found


def _packed(data: bytes, request: Request) -> Response:
    """A file of gzip as it is; every browser unpacks it."""
    headers = {"content-encoding": "gzip", "vary": "accept-encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        raise HTTPException(406, "a clip is sent as gzip only; accept that encoding")
    return Response(data, media_type="application/json", headers=headers)


def _names(request: Request) -> list[str]:
    """`runs=a,b`, split before it is decoded: a name may hold a comma."""
    for part in request.url.query.split("&"):
        key, _, value = part.partition("=")
        if key == "runs":
            names = [unquote(name.replace("+", " ")) for name in value.split(",") if name]
            if len(names) > MOST_RUNS:
                raise UserError(f"at most {MOST_RUNS} runs at a time")
            return list(dict.fromkeys(names))
    return []


def _one_of(given: Mapping[str, str], key: str, known: tuple[str, ...]) -> str:
    value = given.get(key, known[0])
    if value not in known:
        raise UserError(f"{key} is one of {', '.join(known)}")
    return value


def _number(
    given: Mapping[str, str],
    key: str,
    default: float,
    low: float = -float("inf"),
    high: float = float("inf"),
) -> float:
    try:
        value = float(given.get(key, default))
    except ValueError:
        raise UserError(f"{key} is no number") from None
    if value != value:
        raise UserError(f"{key} is no number")
    return min(max(value, low), high)


def _failed(status: int) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        why = str(error) if status < 500 else f"this is a fault of qlearn: {type(error).__name__}"
        return Api({"error": " ".join(why.split())[:1000]}, status)

    return answer


def _http_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 304:
        return Response(status_code=304)
    return Api({"error": error.detail or "refused"}, error.status_code, error.headers)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return Api({"error": error.why}, error.status)
