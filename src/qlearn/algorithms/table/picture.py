"""A board as a picture: colours are values; arrows, numbers and marks as far as there is room."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qlearn import plotting
from qlearn.algorithms.table.board import NO_ARROW, Board, decimals_of, number, summary, taken_by
from qlearn.envs.builtin.grid import DOWN, FREE, GOAL, HOLE, LEFT, RIGHT, UP, WALL

LARGEST, ROOMIEST, NARROWEST = 8.0, 0.8, 0.32  # inches: a board; a cell at most; with a number
ARROWS_UP_TO = 64  # rows or columns; above, cells are a few pixels
LEAST = 4.0  # inches of width that a title and a legend need
COLOURS, NOTHING = "viridis", "#f4f5f7"
WALL_COLOUR, HOLE_COLOUR, GOAL_COLOUR, WAY_COLOUR = "#9aa2ad", "#111418", "#ffc61a", "#e5332a"
ARROW = 0.44  # of a cell
MINUS = "\N{MINUS SIGN}"
STEPS = {UP: (0.0, 1.0), DOWN: (0.0, -1.0), LEFT: (-1.0, 0.0), RIGHT: (1.0, 0.0)}


class Frame(NamedTuple):
    """Where everything lies, in inches; a cell is a whole number of pixels."""

    cell: float
    board: tuple[float, float]  # width, height
    page: tuple[float, float]
    corner: tuple[float, float]  # of the board, lower left


def png(board: Board, title: str) -> bytes:
    rows, columns = board.layout.kinds.shape
    frame = _frame(rows, columns)
    page = plotting.figure(*frame.page)
    axes = page.add_axes(_share(frame, *frame.corner, *frame.board))
    image = _paint(axes, board)
    if max(rows, columns) <= ARROWS_UP_TO:
        _draw_arrows(axes, board, frame)
    if frame.cell < NARROWEST and len(board.way) > 1:
        _draw_way(axes, board, frame)
    _draw_marks(axes, board, frame)
    if frame.cell >= NARROWEST:
        _write_values(axes, board, frame)
    _finish(axes, rows, columns)
    _colour_bar(page, board, frame, image)
    _say(page, board, frame, title)
    return plotting.png(page)


def _frame(rows: int, columns: int) -> Frame:
    pixels = max(1, int(min(LARGEST / max(rows, columns), ROOMIEST) * plotting.DPI))
    cell = pixels / plotting.DPI
    board = (columns * cell, rows * cell)
    page = (max(board[0], LEAST) + 1.25, max(board[1], 1.2) + 1.25)
    left = 0.2 + (max(board[0], LEAST) - board[0]) / 2
    below = 0.72 + (page[1] - 1.25 - board[1]) / 2
    return Frame(cell, board, page, (_on_pixels(left), _on_pixels(below)))


def _on_pixels(inches: float) -> float:
    return round(inches * plotting.DPI) / plotting.DPI


def _share(frame: Frame, x: float, y: float, width: float, height: float) -> tuple:
    wide, high = frame.page
    return (x / wide, y / high, width / wide, height / high)


def _paint(axes: Any, board: Board) -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    kinds = board.layout.kinds
    map_ = colormaps[COLOURS].with_extremes(bad=NOTHING)
    low, high = colour_range(board.values)
    image = axes.imshow(
        board.values, cmap=map_, vmin=low, vmax=high, interpolation="nearest", aspect="auto"
    )
    others = np.where(kinds == FREE, np.nan, kinds)
    marks = ListedColormap([WALL_COLOUR, HOLE_COLOUR, GOAL_COLOUR])
    if max(kinds.shape) <= ARROWS_UP_TO:  # there holes and goals are drawn, not painted
        others = np.where(kinds == WALL, others, np.nan)
    axes.imshow(others, cmap=marks, vmin=WALL, vmax=GOAL, interpolation="nearest", aspect="auto")
    return image


def _draw_arrows(axes: Any, board: Board, frame: Frame) -> None:
    """With numbers, arrows on the way from the start are coloured; else a line lies below them."""
    taken = taken_by(board) & (frame.cell >= NARROWEST)
    for inside, ink in _inks(board):
        _quiver(axes, board, frame, inside & ~taken, color=ink)
    _quiver(axes, board, frame, taken, color=WAY_COLOUR, edgecolor="white", linewidth=0.7)


def _quiver(axes: Any, board: Board, frame: Frame, inside: np.ndarray, **colours: Any) -> None:
    row, column = np.nonzero(inside & (board.arrows != NO_ARROW))
    if not row.size:
        return
    cells = board.arrows.shape[1]
    ways = ARROW * np.array([STEPS[int(way)] for way in board.arrows[row, column]])
    axes.quiver(
        column, row - _lift(frame), ways[:, 0], ways[:, 1], pivot="mid", angles="uv",
        scale_units="width", scale=cells, units="width", width=0.06 / cells, headwidth=4.2,
        headlength=4, headaxislength=3.6, zorder=4, **colours,
    )  # fmt: skip


def _inks(board: Board) -> list[tuple[np.ndarray, str]]:
    """Dark ink on light cells, light ink on dark ones."""
    low, high = colour_range(board.values)
    dark = (board.values - low) / max(high - low, 1e-300) <= 0.6
    return [(dark, "white"), (~dark, plotting.INK)]


def colour_range(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value that get colours of their own.

    A few cells far from all others (a corner from which only a hole can be reached) would leave
    one colour for the rest: beyond three times the middle half's width, they share the end's.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    first, third = np.percentile(known, (25, 75))
    reach = 3.0 * (third - first)
    usual = known[(known >= first - reach) & (known <= third + reach)]
    return float(usual.min()), float(usual.max())


def _lift(frame: Frame) -> float:
    """Arrows make room for the numbers below them."""
    return 0.14 if frame.cell >= NARROWEST else 0.0


def _draw_way(axes: Any, board: Board, frame: Frame) -> None:
    from matplotlib import patheffects

    rows, columns = np.divmod(np.array(board.way), board.layout.kinds.shape[1])
    wide = float(np.clip(frame.cell * 72 * 0.3, 1.4, 5.0))
    casing = patheffects.withStroke(linewidth=wide + 1.0, foreground="white")
    axes.plot(
        columns, rows, color=WAY_COLOUR, linewidth=wide, zorder=3,
        solid_joinstyle="round", solid_capstyle="round", path_effects=[casing],
    )  # fmt: skip


def _draw_marks(axes: Any, board: Board, frame: Frame) -> None:
    kinds, small = board.layout.kinds, max(board.layout.kinds.shape) <= ARROWS_UP_TO
    size = float(np.clip(frame.cell * 72 * 0.5, 7.0, 30.0))
    for kind, marker, colour, share in (
        (HOLE, "o", HOLE_COLOUR, 1.0),
        (GOAL, "*", GOAL_COLOUR, 1.3),
    ):
        row, column = np.nonzero(kinds == kind)
        if small or (kind == GOAL and row.size <= 20):
            axes.plot(column, row, marker, markersize=size * share if small else 12, color=colour,
                      markeredgecolor=HOLE_COLOUR, markeredgewidth=0.8, clip_on=False, zorder=6)  # fmt: skip
    row, column = divmod(board.layout.start, kinds.shape[1])
    shift = 0.32 if frame.cell >= NARROWEST else 0.0
    axes.plot(column - shift, row - shift, "o", markersize=max(5.0, size * 0.3), color="white",
              markeredgecolor=plotting.INK, markeredgewidth=1.2, clip_on=False, zorder=6)  # fmt: skip


def _write_values(axes: Any, board: Board, frame: Frame) -> None:
    decimals = decimals_of(board.values)
    points = min(plotting.NORMAL, frame.cell * 72 * 0.2)
    for inside, ink in _inks(board):
        for row, column in np.argwhere(inside & np.isfinite(board.values)):
            axes.text(column, row + 0.3, number(board.values[row, column], decimals).replace("-", MINUS),
                      ha="center", va="center", fontsize=points, color=ink)  # fmt: skip


def _finish(axes: Any, rows: int, columns: int) -> None:
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    if max(rows, columns) <= ARROWS_UP_TO:
        for k in range(1, rows):
            axes.axhline(k - 0.5, color="white", linewidth=0.6, zorder=1)
        for k in range(1, columns):
            axes.axvline(k - 0.5, color="white", linewidth=0.6, zorder=1)
    for spine in axes.spines.values():
        spine.set_color(plotting.INK)
        spine.set_linewidth(0.8)


def _colour_bar(page: Any, board: Board, frame: Frame, image: Any) -> None:
    known = board.values[np.isfinite(board.values)]
    if not known.size:
        return
    low, high = colour_range(known)
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
    extend = beyond.get((bool(known.min() < low), bool(known.max() > high)), "neither")
    x = frame.corner[0] + frame.board[0] + 0.14
    high = max(frame.board[1], 1.2)
    bar = page.add_axes(_share(frame, x, 0.72, 0.14, high))
    page.colorbar(image, cax=bar, extend=extend)
    bar.tick_params(labelsize=plotting.SMALL, width=0.6, length=3, colors=plotting.INK)
    bar.set_ylabel("value of the greedy action", fontsize=plotting.SMALL, color=plotting.INK)
    bar.yaxis.get_offset_text().set_fontsize(plotting.SMALL)
    for spine in bar.spines.values():
        spine.set_linewidth(0.6)


def _say(page: Any, board: Board, frame: Frame, title: str) -> None:
    wide, high = frame.page
    middle = (0.2 + max(frame.board[0], LEAST) / 2) / wide
    page.text(middle, 1 - 0.27 / high, title, ha="center", va="center",
              fontsize=plotting.NORMAL + 1, color=plotting.INK)  # fmt: skip
    page.text(middle, 0.55 / high, summary(board), ha="center", va="center",
              fontsize=plotting.SMALL, color=plotting.INK)  # fmt: skip
    page.legend(
        handles=_legend(board), loc="center", bbox_to_anchor=(middle, 0.24 / high), ncols=6,
        frameon=False, fontsize=plotting.SMALL, handletextpad=0.35, columnspacing=1.1,
        handlelength=1.3, borderpad=0.0, labelcolor=plotting.INK,
    )  # fmt: skip


def _legend(board: Board) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def dot(label: str, marker: str, colour: str, size: float) -> Any:
        return Line2D([], [], linestyle="", marker=marker, color=colour, markersize=size,
                      markeredgecolor=HOLE_COLOUR, markeredgewidth=0.8, label=label)  # fmt: skip

    kinds = board.layout.kinds
    unknown = (kinds == FREE) & (board.arrows == NO_ARROW)
    entries = [
        (dot("start", "o", "white", 5), True),
        (dot("goal", "*", GOAL_COLOUR, 9), np.any(kinds == GOAL)),
        (dot("hole", "o", HOLE_COLOUR, 6), np.any(kinds == HOLE)),
        (Patch(facecolor=WALL_COLOUR, label="wall"), np.any(kinds == WALL)),
        (Line2D([], [], color=WAY_COLOUR, linewidth=1.8, label="greedy way"), len(board.way) > 1),
        (Patch(facecolor=NOTHING, edgecolor=plotting.PALE, label="nothing learned"),
         bool(unknown.any())),
    ]  # fmt: skip
    return [entry for entry, there in entries if there]
