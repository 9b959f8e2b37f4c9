"""Serves until Ctrl-C, or until nobody needs it any more."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qlearn.errors import UserError, missing_extra

EXTRA, NEEDED = "dashboard", ("starlette", "uvicorn", "orjson")
PORT, PORTS_TRIED = 8700, 20
GRACE_SECONDS = 60.0  # after a run's end, or after the last page was closed
LOOK_SECONDS = 2.0


def serve(
    home: str | Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    page: str = "",
    browser: bool = True,
    announce: Callable[[str], None] = print,
    of_run: str | None = None,
) -> None:
    """The page over the runs below `home`, until Ctrl-C.

    `port` None is the usual one or the next that is free, 0 any. `page` is what follows the
    address, such as `#/run/NAME`. With `of_run` it ends by itself, a minute after that run has
    ended and the last page is closed.
    """
    try:
        import uvicorn

        from qlearn.dashboard.app import make_app
        from qlearn.dashboard.security import Access
        from qlearn.dashboard.store import Store
        from qlearn.dashboard.stream import Hub
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise missing_extra(error.name, EXTRA) from None
    if not Path(home).is_dir():
        raise UserError(f"there is no folder {home}")
    listening = _listen(host, port)
    access = Access(host, listening.getsockname()[1])
    store = Store(home)
    hub = Hub(store)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            hub.close()  # streams end, or it would wait for them
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            make_app(home, access, hub),
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=32 * 2**10,
        )
    )
    url = link(access, page)
    threading.Thread(target=store.read_ahead, name="ahead", daemon=True).start()
    if of_run is not None:
        threading.Thread(target=_watch, args=(server, hub, of_run), daemon=True).start()
    try:
        announce(url)
        if browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        hub.close()
        listening.close()


def page_of(name: str) -> str:
    """What follows the address, to open at a run."""
    return f"#/run/{quote(name)}"


def link(access: Any, page: str) -> str:
    """With the token where other machines can ask, too."""
    host = access.host if access.host not in ("0.0.0.0", "::") else socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    token = "" if access.only_here else f"?token={access.token}"
    return f"http://{shown}:{access.port}/{token}{page}"


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket on the port asked for, or on the first that is free from the usual one."""
    usual = [*range(PORT, PORT + PORTS_TRIED), 0]
    for candidate in usual if port is None else [port]:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, candidate, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except (OSError, UnicodeError):
            raise UserError(f"--host: '{host}' is no address of this machine") from None
        found = socket.socket(family, kind, protocol)
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(2048)
            return found
        except OSError as error:
            found.close()
            why = error.strerror or str(error)
            if candidate == port:
                raise UserError(f"cannot listen at {host}:{port}: {why}") from None
    raise UserError(f"cannot listen at {host}: {why}")


def _watch(server: Any, hub: Any, name: str) -> None:
    """Ends the server when its run has ended and nobody has looked for a while."""
    needed = time.monotonic()
    while time.monotonic() - needed < GRACE_SECONDS:
        time.sleep(LOOK_SECONDS)
        try:
            running = hub.store.row(name)["status"] == "running"
        except UserError:
            running = False
        if running or hub.listening:
            needed = time.monotonic()
    hub.close()
    server.should_exit = True


def _has_screen() -> bool:
    """Where there is none, `webbrowser` would start one in the terminal."""
    if sys.platform.startswith(("win", "darwin")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
