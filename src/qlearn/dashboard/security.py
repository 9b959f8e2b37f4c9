"""Who may ask what: this machine's own pages may, a foreign web page may not.

A page from elsewhere can send requests here but not read the answers, unless its name is made to
mean this address (DNS rebinding): therefore the Host header must be one of ours. What changes
something needs a token besides, which only our own page knows, so that no form of a foreign page
can send it. Bound to another address than this machine's own, everything needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from qlearn.dashboard import codec

HTTP = 80  # the port that no address names
MOST_BODY = 64 * 2**10
HEADER = "x-qlearn-token"
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Access:
    """What a request must bring."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, token: str | None = None) -> None:
        self.host, self.port = host, port
        self.token = token or secrets.token_urlsafe(24)
        self.only_here = is_loopback(host)

    @property
    def cookie(self) -> str:
        return f"qlearn_{self.port}"  # cookies do not know ports

    def check(self, scope: Scope) -> None:
        headers = _headers(scope)
        self._check_host(headers)
        is_api = scope["path"].startswith("/api/")
        if scope["method"] not in ("GET", "POST") and (scope["method"] != "HEAD" or is_api):
            raise Refused(405, f"{scope['method'][:20]} is not understood here; GET and POST are")
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and scope["path"] != "/":
            raise Refused(403, "another site's page may not ask this")
        if not self.only_here and not self._knows(scope, headers):
            raise Refused(
                403, "this needs the token: open the whole link that qlearn serve printed"
            )
        if scope["method"] == "POST":
            self._check_change(headers)

    def _check_host(self, headers: dict[str, str]) -> None:
        name, port = _split(headers.get("host", ""))
        if (port or HTTP) != (self.port or HTTP):
            raise Refused(421, "the Host header names another port than this server's")
        if name == self.host.lower() or (self.only_here and is_loopback(name)):
            return
        # No name can be rebound that is an address already, and our own is not a stranger's.
        own = socket.gethostname().lower()
        if not self.only_here and (_is_address(name) or name in (own, f"{own}.local")):
            return
        raise Refused(421, "the Host header is not this server's")

    def _knows(self, scope: Scope, headers: dict[str, str]) -> bool:
        return any(map(self._is_token, (headers.get(HEADER), self._cookie(headers), asked(scope))))

    def _cookie(self, headers: dict[str, str]) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        return found.value if found else None

    def _is_token(self, text: str | None) -> bool:
        return text is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def _check_change(self, headers: dict[str, str]) -> None:
        if not self._is_token(headers.get(HEADER)):
            raise Refused(403, f"a change needs this server's token in the header {HEADER}")
        origin = headers.get("origin")
        if origin is not None:
            scheme, _, place = origin.lower().partition("://")
            if scheme not in ("http", "https") or place != headers["host"].lower():
                raise Refused(403, "a change must come from this server's own page")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "a change is sent as application/json")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:12]) > MOST_BODY:
            raise Refused(413, f"at most {MOST_BODY >> 10} KiB can be sent")


class Guard:
    """Around the whole application: refuses, adds headers, and lets no error out."""

    def __init__(self, app: App, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None
        answer = _Answer(scope, send)
        try:
            self.access.check(scope)
            if scope["path"] == "/" and not self.access.only_here and asked(scope):
                return await answer.enter(self.access)
            await self.app(scope, _limited(receive), answer.send)
        except Refused as refused:
            await answer.refuse(refused.status, refused.why)
        except Exception as error:
            await answer.refuse(500, f"this is a fault of qlearn: {type(error).__name__}")
        return None


class _Answer:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._send, self.begun = send, False
        is_file = scope["path"].startswith("/static/")
        self.cache = b"no-cache" if is_file else b"no-store"  # a file is asked about each time

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            own = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
            own.append((b"cache-control", self.cache))
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await self._send(message)

    async def refuse(self, status: int, why: str) -> None:
        if not self.begun:
            kind = [(b"content-type", b"application/json")]
            await self._whole(status, kind, codec.dumps({"error": why}))

    async def enter(self, access: Access) -> None:
        """The token moves from the address, which is seen and kept, into a cookie.

        Lax: a strict one is not sent where the link was opened from a mail.
        """
        cookie = f"{access.cookie}={access.token}; HttpOnly; SameSite=Lax; Path=/"
        await self._whole(303, [(b"location", b"/"), (b"set-cookie", cookie.encode())], b"")

    async def _whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _limited(receive: Receive) -> Receive:
    """A body that says it is short and is not, too, ends here."""
    left = MOST_BODY

    async def limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise Refused(413, f"at most {MOST_BODY >> 10} KiB can be sent")
        return message

    return limited


def asked(scope: Scope) -> str | None:
    """The token of a printed link."""
    found = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return found["token"][0] if "token" in found else None


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(host: str) -> tuple[str, int]:
    """(name, port) of a Host header; port 0 where none is named."""
    try:
        parts = urlsplit(f"//{host}")
        return (parts.hostname or "").lower(), parts.port or 0
    except ValueError:
        return "", -1


def _headers(scope: Scope) -> dict[str, str]:
    """By name in small letters; what stands twice is refused where it matters."""
    found: dict[str, str] = {}
    for key, value in scope["headers"]:
        name = key.decode("latin-1").lower()
        if name in found and name in ("host", "origin", "content-type", HEADER):
            raise Refused(400, f"the header {name} stands there twice")
        found[name] = value.decode("latin-1")
    return found
