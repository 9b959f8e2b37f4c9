"""Times as people say them."""

from __future__ import annotations

import pytest

from qlearn.cli.durations import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"), (0.0034, "0.0034 s"), (0.5219, "0.52 s"), (1.0, "1.0 s"), (9.94, "9.9 s"),
        (41.3, "41 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)  # fmt: skip
def test_durations(seconds, said):
    assert duration(seconds) == said
