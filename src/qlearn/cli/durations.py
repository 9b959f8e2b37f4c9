"""Times as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.52 s`, `41 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 10.0:
        return f"{seconds:.2g} s" if seconds < 1.0 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
