"""The learning curve of a run: what it earned while it trained, and its greedy evaluations."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from qlearn import plotting
from qlearn.errors import UserError
from qlearn.runs.folder import RunFolder
from qlearn.runs.rows import rows_of

TRAINING, GREEDY = "#2f6db5", "#d4552b"
SMOOTHED_FROM = 30  # points; fewer are shown as they are
DECADES_FROM = 50.0  # times the usual return
SHARE_SMOOTHED = 0.05  # of all points, on both sides together


def title_of(record: dict[str, Any]) -> str:
    """What was trained, in one line."""
    return (
        f"{record.get('env_name', record.get('env'))}: {record.get('algo')} on"
        f" {record.get('engine')}, seed {record.get('seed')}"
    )


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; one torn off by a crash, or damaged, is left out."""
    try:
        return list(rows_of(path.parent, 0, inf))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def training_returns(rows: list[dict[str, Any]]) -> np.ndarray:
    """(env_steps, mean return of the episodes that ended since the line before)."""
    points = [(row.get("env_steps"), row.get("return")) for row in rows]
    return np.array(list(filter(_drawable, points)), np.float64).reshape(-1, 2)


def greedy_means(rows: list[dict[str, Any]], record: dict[str, Any]) -> np.ndarray:
    """(env_steps, mean, standard error) of the greedy evaluations, the run's last one with them."""
    judged = {}
    for row in [*rows, record.get("result", {})]:
        report = row.get("eval")
        if isinstance(report, dict):
            values = (row.get("env_steps"), *map(report.get, ("mean", "std", "episodes")))
            if _drawable(values) and values[3] > 0:
                judged[values[0]] = values[1], values[2] / np.sqrt(values[3])
    points = [(steps, *report) for steps, report in sorted(judged.items())]
    return np.array(points, np.float64).reshape(-1, 3)


def _drawable(values: tuple[Any, ...]) -> bool:
    """Whether all are numbers, as a line that the disk has changed may not have them."""
    return all(type(value) in (int, float) and abs(value) < 1e100 for value in values)


def png(folder: RunFolder) -> bytes:
    rows = read_metrics(folder.path / "metrics.jsonl")
    trained, greedy = training_returns(rows), greedy_means(rows, folder.record)
    if not len(trained) and not len(greedy):
        raise UserError(
            f"{folder.path.name} has no curve yet: no episode has ended and none was evaluated"
        )
    page = plotting.figure(6.0, 3.8)
    axes = page.add_axes((0.13, 0.14, 0.84, 0.69))
    if len(trained):
        _draw_training(axes, trained)
    if len(greedy):
        axes.errorbar(greedy[:, 0], greedy[:, 1], greedy[:, 2], fmt="o", color=GREEDY,
                      markersize=4.5, markeredgecolor="white", markeredgewidth=0.6, capsize=2,
                      elinewidth=0.9, zorder=4, label="greedy (mean, standard error)")  # fmt: skip
    _scale(axes, np.concatenate([trained[:, 1], greedy[:, 1]]))
    _finish(axes, title_of(folder.record))
    return plotting.png(page)


def _scale(axes: Any, returns: np.ndarray) -> None:
    """Where the first episodes earned hundreds of times less than later ones, decades."""
    usual = float(np.median(np.abs(returns[len(returns) // 2 :])))
    label = "return of an episode"
    if np.abs(returns).max() > DECADES_FROM * max(usual, 1.0):
        axes.set_yscale("symlog", linthresh=max(usual, 1.0))
        label += " (log scale)"
    axes.set_ylabel(label, fontsize=plotting.NORMAL, color=plotting.INK)


def _draw_training(axes: Any, trained: np.ndarray) -> None:
    steps, returns = trained.T
    if len(trained) < SMOOTHED_FROM:
        axes.plot(
            steps, returns, color=TRAINING, linewidth=1.4, label="training (with exploration)"
        )
        return
    axes.plot(steps, returns, color=TRAINING, linewidth=0.7, alpha=0.35)
    axes.plot(steps, smoothed(returns), color=TRAINING, linewidth=1.6,
              label="training (with exploration, smoothed)")  # fmt: skip


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean of a window around each point, narrower towards both ends."""
    half = max(1, round(len(values) * SHARE_SMOOTHED / 2))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    reach = np.minimum(np.minimum(place, len(values) - 1 - place), half)
    return (sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1)


def _finish(axes: Any, title: str) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_title(title, fontsize=plotting.NORMAL + 1, color=plotting.INK, pad=26)
    axes.set_xlabel("environment steps", fontsize=plotting.NORMAL, color=plotting.INK)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.tick_params(labelsize=plotting.SMALL, colors=plotting.INK, width=0.6)
    axes.grid(color=plotting.PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=plotting.SMALL, frameon=False, loc="lower center", ncols=2,
                bbox_to_anchor=(0.5, 1.0), labelcolor=plotting.INK)  # fmt: skip
