"""Runs side by side: what is alike but for its seed is a group, with an interval over its seeds.

The middle is the interquartile mean, its 95 % interval by a stratified bootstrap: seeds are drawn
again within each environment (Agarwal et al., 2021).
"""

from __future__ import annotations

import csv as csv_module
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qlearn.dashboard.downsample import downsample
from qlearn.dashboard.store import Store
from qlearn.errors import UserError

GRID = 100  # points of a curve
RESAMPLES, CURVE_RESAMPLES = 2000, 500
AT_ONCE = 2_000_000  # numbers that are resampled at a time
LAST_SHARE = 0.1  # of the points of a noisy metric make its final score


@dataclass
class Group:
    env: str
    algo: str
    engine: str
    config: dict[str, Any]
    label: str = ""
    names: list[str] = field(default_factory=list)
    seeds: list[Any] = field(default_factory=list)
    curves: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    finals: list[float] = field(default_factory=list)


def compare(store: Store, names: Sequence[str], metric: str, axis: str) -> dict[str, Any]:
    """The answer of /api/compare."""
    groups = _groups(store, names, metric, axis)
    _name(groups)
    keys = dict.fromkeys(key for name in names for key in store.series(name).names())
    return {
        "metric": metric,
        "x": axis,
        "metrics": list(keys),
        "groups": [_told(group) for group in groups],
        "methods": _methods(groups),
    }


def _groups(store: Store, names: Sequence[str], metric: str, axis: str) -> list[Group]:
    found: dict[str, Group] = {}
    for name in names:
        row, record = store.row(name), store.record(name)
        if row["status"] == "damaged":
            raise UserError(f"{name}: {row['error']}")
        config = record.get("config")
        config = config if isinstance(config, dict) else {}
        alike = [row["env"], record.get("env_options"), row["algo"], row["engine"], config]
        key = json.dumps(alike, sort_keys=True, default=str)
        group = found.setdefault(key, Group(row["env"], row["algo"], row["engine"], config))
        group.names.append(name)
        group.seeds.append(row["seed"])
        x, y = store.series(name).points(metric, axis)
        if len(y):
            group.curves.append((x, y))
            group.finals.append(_final(row, metric, y))
    return list(found.values())


def _final(row: dict[str, Any], metric: str, y: np.ndarray) -> float:
    if metric.startswith("eval."):
        done = row["status"] == "done" and metric == "eval.mean" and row["last"] is not None
        return float(row["last"] if done else y[-1])
    return float(y[-max(1, int(LAST_SHARE * len(y))) :].mean())


def _name(groups: Sequence[Group]) -> None:
    """What tells one from the others, and no more."""
    many = len({group.env for group in groups}) > 1
    for group in groups:
        like = [
            other
            for other in groups
            if (other.env, other.algo, other.engine) == (group.env, group.algo, group.engine)
        ]
        own = {
            key: value
            for key, value in group.config.items()
            if any(other.config.get(key) != value for other in like)
        }
        said = [f"{group.algo} on {group.engine}", *(f"{k}={v}" for k, v in own.items())]
        group.label = ", ".join([*([group.env] if many else []), *said])[:200]


def _told(group: Group) -> dict[str, Any]:
    return {
        "label": group.label,
        "env": group.env,
        "algo": group.algo,
        "engine": group.engine,
        "runs": group.names,
        "seeds": group.seeds,
        "interval": len(group.finals) > 1,
        "curve": _curve(group),
        "final": {"scores": group.finals, **_summary([np.array(group.finals)])},
    }


def _curve(group: Group) -> dict[str, Any]:
    """The group's middle where all its runs have points: nobody's curve is prolonged."""
    if not group.curves:
        return {"x": [], "mean": [], "low": [], "high": []}
    low = max(x[0] for x, _ in group.curves)
    high = min(x[-1] for x, _ in group.curves)
    if low > high:
        return {"x": [], "mean": [], "low": [], "high": []}
    grid = np.linspace(low, high, GRID if high > low else 1)
    values = np.stack([_on(grid, x, y) for x, y in group.curves])
    begin, end = interval([values], CURVE_RESAMPLES)
    return {"x": grid, "mean": iqm(values), "low": begin, "high": end}


def _on(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if len(x) > 2 * GRID:
        few = downsample(x, y, GRID)
        x, y = few["x"], few["mean"]
    return np.interp(grid, x, y)


def _methods(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """One method over several environments, each scored from its worst run here (0) to its best."""
    scored = [group for group in groups if group.finals]
    if len({group.env for group in scored}) < 2:
        return []
    spans = {
        env: (
            min(min(group.finals) for group in scored if group.env == env),
            max(max(group.finals) for group in scored if group.env == env),
        )
        for env in {group.env for group in scored}
    }
    strata: dict[str, dict[str, list[float]]] = {}
    for group in scored:
        low, high = spans[group.env]
        shares = [(score - low) / (high - low) if high > low else 1.0 for score in group.finals]
        method = strata.setdefault(f"{group.algo} on {group.engine}", {})
        method.setdefault(group.env, []).extend(shares)
    return [
        {"label": name, "envs": list(found), **_summary([np.array(s) for s in found.values()])}
        for name, found in strata.items()
    ]


def _summary(strata: Sequence[np.ndarray]) -> dict[str, Any]:
    scores = np.concatenate(strata)
    if not len(scores):
        return dict.fromkeys(("mean", "median", "iqm", "low", "high"))
    low, high = interval([stratum[:, None] for stratum in strata], RESAMPLES)
    return {
        "mean": float(scores.mean()),
        "median": float(np.median(scores)),
        "iqm": float(iqm(scores[:, None])[0]),
        "low": float(low[0]),
        "high": float(high[0]),
    }


def iqm(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half along the last axis but one; edges count in part."""
    count = values.shape[-2]
    place = np.arange(count)
    weights = np.minimum(place + 1, 0.75 * count) - np.maximum(place, 0.25 * count)
    weights = np.maximum(weights, 0.0)
    return np.sort(values, axis=-2).swapaxes(-1, -2) @ (weights / weights.sum())


def interval(strata: Sequence[np.ndarray], resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % bootstrap interval of the IQM over strata of (runs, points), by points."""
    chance = np.random.default_rng(0)
    size = sum(stratum.size for stratum in strata)
    chunk = max(1, min(resamples, AT_ONCE // max(1, size)))
    means = []
    for begin in range(0, resamples, chunk):
        count = min(chunk, resamples - begin)
        drawn = [s[chance.integers(len(s), size=(count, len(s)))] for s in strata]
        means.append(iqm(np.concatenate(drawn, axis=1)))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0)
    return low, high


def csv(found: dict[str, Any]) -> str:
    """One line for a point of a group's curve, and one for its final scores."""
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    head = ("group", "environment", "algorithm", "engine", "seeds", "what")
    writer.writerow((*head, found["x"], "iqm", "low", "high"))
    for group in found["groups"]:
        own = [_cell(group[key]) for key in ("label", "env", "algo", "engine")]
        own.append(str(len(group["seeds"])))
        curve, final = group["curve"], group["final"]
        for row in zip(*(curve[key] for key in ("x", "mean", "low", "high")), strict=True):
            writer.writerow((*own, _cell(found["metric"]), *(f"{float(v):.9g}" for v in row)))
        said = [f"{final[k]:.9g}" if final[k] is not None else "" for k in ("iqm", "low", "high")]
        writer.writerow((*own, "final", "", *said))
    return out.getvalue()


def _cell(text: Any) -> str:
    """A spreadsheet must not take a run's name for a formula."""
    text = str(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
