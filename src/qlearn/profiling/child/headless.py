"""Windows that would wait for a person do not: nothing is shown, all else is as it was."""

from __future__ import annotations

import os
from typing import Any

from .after_import import after_import

ENVIRONMENT = {"MPLBACKEND": "Agg", "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


def headless() -> None:
    """In this process; the variables reach those that it starts."""
    os.environ.update(ENVIRONMENT)
    after_import(
        {"matplotlib": no_windows, "matplotlib.pyplot": no_waiting, "pygame.event": no_events}
    )


def nothing(*_: Any, **__: Any) -> None:
    pass


def no_windows(matplotlib: Any) -> None:
    """Whatever backend a script asks for."""
    use = matplotlib.use
    matplotlib.use = lambda backend, **options: use("Agg")


def no_waiting(pyplot: Any) -> None:
    pyplot.show = pyplot.pause = nothing
    pyplot.switch_backend = keeping(pyplot.switch_backend)
    pyplot.waitforbuttonpress = nothing
    pyplot.ginput = lambda *_, **__: []


def keeping(switch_backend: Any) -> Any:
    return lambda backend: switch_backend("Agg")


def no_events(event: Any) -> None:
    """There is nobody to press a key."""
    event.wait = lambda *_, **__: event.poll()
