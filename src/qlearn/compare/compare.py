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
    drawn = picture.path(plot) if plot is not None else None
    measured = _measure(compared, repeats, seed or 0, say)
    found = _found(compared, measured, lower_is_better)
    if profile or line:
        found["profiles"] = sides.profiles(compared, line, headless, seed or 0, say)
    seconds = {name: [_cost(m, found).seconds for m in of] for name, of in measured.items()}
    path = Path(out) if out else _report_path()
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
    for turn, name in turns(list(by_name), repeats):
        found = by_name[name].measure(seed + max(0, turn))
        if turn >= 0:
            measured[name].append(found)
        if len(measured[name]) == max(0, turn + 1) ...
    return measured
