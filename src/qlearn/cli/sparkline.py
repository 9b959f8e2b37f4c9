"""A curve in one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-=+*#@"  # where the terminal cannot show blocks


def sparkline(values: Sequence[float], width: int, blocks: str = BLOCKS) -> str:
    """The values from left to right, lowest to highest block; means where there are too many."""
    values = [value for value in values if value == value and abs(value) != float("inf")]
    if not values or width < 1:
        return ""
    columns = min(width, len(values))
    edges = [k * len(values) // columns for k in range(columns + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    lowest, highest = min(means), max(means)
    if lowest == highest:
        return blocks[len(blocks) // 2] * columns
    scale = (len(blocks) - 1) / (highest - lowest)
    return "".join(blocks[round((mean - lowest) * scale)] for mean in means)
