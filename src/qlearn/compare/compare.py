"""`compare`: targets times engines, measured in turn; a row for each, who has won, a report."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from qlearn.compare import picture, report, sides
from qlearn.compare.contenders import Contender, Cost, Measurement, ScriptContender
from qlearn.compare.measure import ratio, spread, turns
from qlearn.compare.targets import Asked, contenders
from qlearn.compare.verdict import verdict
from qlearn.errors import UserError
from qlearn.runs.files import writable
from qlearn.runs.folder import runs_folder

DEFAULT_REPEATS = 10

Measured = dict[str, list[Measurement]]


def compare(
    *targets: str,
    engines: Sequence[str] = (),
    repeats: int = DEFAULT_REPEATS,
    metric: str | None = None,
    lower_is_better: bool = False,
    headless: bool = False,
    profile: bool = False,
    line: bool = False,
    plot: str | Path | None = None,
    seed: int | None = None,
    steps: int | None = None,
    episodes: int | None = None,
    algo: str = "auto",
    out: str | Path | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Measures every target on every engine; the object of `qlearn compare --json`.

    Repeat k trains with seed `seed + k`. Contenders run in turn, forwards then backwards, each
    time in a fresh process, after one turn that does not count; speedups are against the first
    row. `profile` and `line` profile each once more when all times are taken.
    """
    if not targets:
        raise UserError("compare what? qlearn compare grid --engines dict,numba")
    if repeats < 1:
        raise UserError(f"repeats must be at least 1, not {repeats}")
    say = say or (lambda _: None)
    asked = Asked(engines, algo, steps, episodes, seed, metric, headless, settings)
    compared = contenders(targets, asked)
    path = writable(Path(out)) if out else _report_path()
    drawn = picture.path(plot) if plot is not None else None
    measured = _measure(compared, repeats, seed or 0, say)
    found, seconds = _found(compared, measured, lower_is_better)
    if profile or line:
        found["profiles"] = sides.profiles(compared, line, headless, seed or 0, say)
    report.write(path, found, seconds)
    found["report"] = str(path.absolute())
    if drawn is not None:
        picture.write(drawn, found, seconds)
        found["plot"] = str(drawn)
    return found


def _measure(
    compared: Sequence[Contender], repeats: int, seed: int, say: Callable[[str], None]
) -> Measured:
    by_name = {contender.name: contender for contender in compared}
    for contender in compared:
        contender.prepare()
    measured: Measured = {name: [] for name in by_name}
    for turn, order in turns(list(by_name), repeats):
        for name in order:
            found = by_name[name].measure(seed + max(0, turn))
            if turn >= 0:
                measured[name].append(found)
        say("warmed up" if turn < 0 else f"turn {turn + 1} of {repeats}")
    return measured


def _found(
    compared: Sequence[Contender], measured: Measured, lower_is_better: bool
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The report, and each contender's seconds turn by turn.

    Nobody can look into a script: beside one, a training counts with its imports, too.
    """
    whole = any(isinstance(contender, ScriptContender) for contender in compared)
    costs = {name: [_cost(m, whole) for m in of] for name, of in measured.items()}
    seconds = {name: [cost.seconds for cost in of] for name, of in costs.items()}
    scores = {name: [m.metric for m in of] for name, of in measured.items()}
    decided = verdict(seconds, scores, lower_is_better)
    base = next(iter(seconds.values()))
    rows = [_row(name, of, costs[name], base) for name, of in measured.items()]
    found = {
        "rows": rows,
        "compared": "total_seconds" if whole else "train_seconds",
        "winner": decided.winner,
        "verdict": decided.words,
    }
    return found, seconds


def _cost(measurement: Measurement, whole: bool) -> Cost:
    return measurement.total if whole else (measurement.training or measurement.total)


def _row(
    name: str, of: Sequence[Measurement], costs: Sequence[Cost], base: Sequence[float]
) -> dict[str, Any]:
    seconds = [cost.seconds for cost in costs]
    errors = [m.max_error_to_optimum for m in of if m.max_error_to_optimum is not None]
    memory = [m.peak_memory_mb for m in of if m.peak_memory_mb is not None]
    optimal = [m.policy_optimal for m in of if m.policy_optimal is not None]
    return {
        "name": name,
        "engine": of[0].engine,
        "seconds": spread(seconds),
        "speedup": ratio(base, seconds),
        "cpu_seconds": spread([cost.cpu_seconds for cost in costs]),
        "total_seconds": spread([m.total.seconds for m in of]),
        "steps_per_second": _rate(of, "env_steps"),
        "updates_per_second": _rate(of, "updates"),
        "peak_memory_mb": max(memory) if memory else None,
        "compile_seconds": of[0].compile_seconds,
        "metric": _median([m.metric for m in of]),
        "max_error_to_optimum": max(errors) if errors else None,
        "policy_optimal": all(optimal) if optimal else None,
    }


def _rate(of: Sequence[Measurement], counted: str) -> float | None:
    """So many in a second of training."""
    counts = [(getattr(m, counted), m.training) for m in of]
    return _median([count / cost.seconds for count, cost in counts if count and cost])


def _median(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return statistics.median(known) if known else None


def _report_path() -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return runs_folder() / "reports" / f"compare-{stamp}.html"
