"""Pictures by Matplotlib: no window, no state of Matplotlib's own that a user would notice."""

from __future__ import annotations

import io
from typing import Any

from qlearn.errors import missing_extra

DPI = 200
SMALL, NORMAL = 8, 9  # points
INK, PALE = "#22272e", "#d5d9de"


def figure(width: float, height: float) -> Any:
    """An empty figure of so many inches; pyplot, which may open windows, is never imported."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None
    made = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(made)
    return made


def png(made: Any) -> bytes:
    """The same figure is the same bytes: no date, no version inside."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def svg(made: Any) -> bytes:
    """As a drawing whose letters are text; the same figure is the same bytes here, too."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "qlearn", "svg.fonttype": "none"}):
        made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
