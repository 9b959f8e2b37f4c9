from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sites import Site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "runs"
    place.mkdir()
    return place


@pytest.fixture
def site(home: Path) -> Iterator[Site]:
    found = Site(home)
    yield found
    found.runner.close()
