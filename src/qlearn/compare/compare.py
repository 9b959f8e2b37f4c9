"""`compare`: targets times engines, measured in turn; a row for each, and a report."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from qlearn.algorithms import registry
from qlearn.compare import report
from qlearn.compare.contenders import EngineContender, Measurement, ScriptContender, script
from qlearn.compare.measure import ratio, spread
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.runs.folder import find_run, runs_folder

Contender = EngineContender | ScriptContender

DEFAULT_EPISODES = 10_000
STEPS_AN_EPISODE = 10_000  # where a budget in episodes is cut off, as in training


def compare(
    *targets: str,
    engines: Sequence[str] = (),
    repeats: int = 5,
    metric: str | None = None,
    headless: bool = False,
    seed: int = 0,
    steps: int | None = None,
    episodes: int | None = None,
    algo: str = "auto",
    out: str | Path | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Measures every target on every engine; the rows and the report of `qlearn compare --json`.

    Repeat k trains with seed `seed + k`. Contenders run in turn, forwards then backwards, after
    one turn that does not count; speedups are against the first row.
    """
    if not targets:
        raise UserError("compare what? qlearn compare grid --engines dict,numba")
    if repeats < 1:
        raise UserError(f"repeats must be at least 1, not {repeats}")
    budget = {"steps": steps, "episodes": episodes}
    contenders: list[Contender] = []
    for target in targets:
        contenders += _contenders(target, engines, algo, budget, settings, metric, headless)
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names):
        raise UserError("the same contender stands twice; name each target and engine once")
    measured = _measure(contenders, repeats, seed, say or (lambda _: None))
    rows = [_row(contender, measured, contenders[0]) for contender in contenders]
    path = Path(out) if out else _report_path()
    report.write(path, rows, {name: [m.seconds for m in of] for name, of in measured.items()})
    return {"rows": rows, "report": str(path.absolute())}


def _contenders(
    target: str,
    engines: Sequence[str],
    algo: str,
    budget: dict[str, int | None],
    settings: dict[str, Any],
    metric: str | None,
    headless: bool,
) -> list[Contender]:
    first = target.split()[0] if target.split() else target
    if first.endswith(".py"):
        return [script(target, metric, headless)]
    budgeted = any(amount is not None for amount in budget.values())
    job = _job_of_run(target) if _is_run(target) else _job_of(target, algo, settings, budgeted)
    for key, amount in budget.items():
        if amount is not None:
            job["settings"][key] = amount
    if budget["episodes"] is not None and budget["steps"] is None:
        job["settings"]["steps"] = budget["episodes"] * STEPS_AN_EPISODE
    chosen = list(engines) or [job["engine"]]
    for engine in chosen:  # every name is looked at before the first is started
        environment = find(job["env"], job["env_options"])
        registry.choose(environment, job["algo"], engine, job["settings"])
    return [
        EngineContender(f"{target} {engine}" if len(chosen) > 1 or engines else target,
                        {**job, "engine": engine}, engine)
        for engine in chosen
    ]  # fmt: skip


def _is_run(target: str) -> bool:
    return (
        target == "last"
        or (Path(target) / "run.json").is_file()
        or (runs_folder() / target / "run.json").is_file()
    )


def _job_of_run(target: str) -> dict[str, Any]:
    record = find_run(target).record
    return {
        "env": record["env"],
        "env_options": record["env_options"],
        "algo": record["algo"],
        "engine": record["engine"],
        "settings": dict(record["config"]),
    }


def _job_of(target: str, algo: str, settings: dict[str, Any], budgeted: bool) -> dict[str, Any]:
    options = {
        key[4:]: value for key, value in settings.items() if key.startswith(("env.", "env_"))
    }
    own = {key: value for key, value in settings.items() if not key.startswith(("env.", "env_"))}
    if not budgeted and "steps" not in own and "episodes" not in own:
        own |= {"episodes": DEFAULT_EPISODES, "steps": DEFAULT_EPISODES * STEPS_AN_EPISODE}
    return {"env": target, "env_options": options, "algo": algo, "engine": "auto", "settings": own}


def _measure(
    contenders: Sequence[Contender], repeats: int, seed: int, say: Callable[[str], None]
) -> dict[str, list[Measurement]]:
    measured: dict[str, list[Measurement]] = {contender.name: [] for contender in contenders}
    try:
        for contender in contenders:
            contender.start()
        for turn in range(repeats + 1):
            order = contenders if turn % 2 == 0 else list(reversed(contenders))
            for contender in order:
                found = contender.measure(seed + max(0, turn - 1))
                if turn > 0:
                    measured[contender.name].append(found)
            say(f"turn {turn} of {repeats}" if turn else "warmed up")
    finally:
        for contender in contenders:
            contender.close()
    return measured


def _row(
    contender: Contender, measured: dict[str, list[Measurement]], base: Contender
) -> dict[str, Any]:
    mine = measured[contender.name]
    seconds = [m.seconds for m in mine]
    based = [m.seconds for m in measured[base.name]]

    def median_of(amounts: list[Any]) -> float | None:
        known = [a for a in amounts if a is not None]
        return statistics.median(known) if known else None

    def rate(name: str) -> float | None:
        return median_of(
            [None if getattr(m, name) is None else getattr(m, name) / m.seconds for m in mine]
        )

    errors = [m.max_error_to_optimum for m in mine if m.max_error_to_optimum is not None]
    optimal = [m.policy_optimal for m in mine if m.policy_optimal is not None]
    return {
        "name": contender.name,
        "engine": contender.engine,
        "seconds": spread(seconds),
        "speedup": ratio(based, seconds),
        "steps_per_second": rate("env_steps"),
        "updates_per_second": rate("updates"),
        "peak_memory_mb": max(m.peak_memory_mb for m in mine),
        "compile_seconds": mine[0].compile_seconds,
        "metric": median_of([m.metric for m in mine]),
        "max_error_to_optimum": max(errors) if errors else None,
        "policy_optimal": all(optimal) if optimal else None,
    }


def _report_path() -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return runs_folder() / "reports" / f"compare-{stamp}.html"
