"""A training of ours, profiled: its stages are those of the timers that are always on.

What its processor compiled, the sampler cannot look into; the timers can. They cover the training;
imports and compiling around it are the sampler's and the learner's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.profiling import process
from qlearn.profiling.facts import Facts, build
from qlearn.profiling.raw import MAIN, Frame, Raw
from qlearn.profiling.source import library
from qlearn.profiling.summary import summary
from qlearn.runs.folder import FILE, RunFolder, find_run, runs_folder
from qlearn.runs.stages import Stages

DEFAULT_SECONDS = 10.0

# The script that is sampled; all it does is to train.
SCRIPT = '''"""The training that `qlearn profile` looked at."""

import json
import sys

import qlearn

how = json.loads(sys.argv[1])
try:
    qlearn.train(how.pop("env"), say=lambda text: print(text, file=sys.stderr), **how)
except qlearn.UserError as error:
    print(f"qlearn: {error}", file=sys.stderr)
    sys.exit(2)
'''


def training_of(target: str, seconds: float | None) -> dict[str, Any]:
    """What `qlearn.train` is called with: a run's own settings, or an environment's defaults."""
    named = (Path(target) / FILE, runs_folder() / target / FILE)
    if target == "last" or any(path.is_file() for path in named):
        record = find_run(target).whole()
        how = {key: record[key] for key in ("env", "algo", "engine", "seed")}
        how |= {f"env.{key}": value for key, value in record["env_options"].items()}
        # A limit that was not set is written as 0.
        settings = {
            key: value for key, value in record["config"].items() if value or key != "episodes"
        }
        return how | settings | ({"seconds": seconds} if seconds else {})
    try:
        find(target, {})
    except UserError as error:
        raise UserError(f"'{target}' is no script, and {error}") from None
    return {"env": target, "seconds": seconds or DEFAULT_SECONDS}


def profile(
    target: str,
    training: dict[str, Any],
    folder: Path,
    options: dict[str, Any],
    output: TextIO | None,
) -> tuple[dict[str, Any], Raw, list[str]]:
    """The report, the raw measurement and the stages of its samples."""
    run, script = folder / "run", folder / "train.py"
    script.write_text(SCRIPT)
    how = [json.dumps(training | {"out": str(run)})]
    code = process.run(script, how, options | {"seconds": None}, folder, output)
    raw = process.left_behind(folder, target, code)
    facts = build(raw)
    timed = _timed(run)
    report: dict[str, Any] = {"target": target, "argv": [], "exit_code": process.exit_code(code)}
    report |= summary(facts, _with_rest(timed, facts), [])
    report |= {"run": str(run), "working_seconds": sum(timed.values()) or facts.working_seconds}
    report["measured"]["how"] = "timers"
    return report, raw, facts.attribution.of_samples


def _timed(run: Path) -> dict[str, float]:
    """The training's stages by its own timers, and what it compiled."""
    result = RunFolder.open(run).record.get("result", {}) if (run / FILE).is_file() else {}
    seconds = {stage["name"]: stage["seconds"] for stage in result.get("stages", [])}
    if result.get("compile_seconds"):
        seconds["compiling"] = result["compile_seconds"]
    return seconds


def _with_rest(timed: dict[str, float], facts: Facts) -> dict[str, float]:
    """All of the process: imports and compiling around the timers as they were sampled, the rest
    as what nobody timed."""
    if not timed:
        return facts.stages
    around = _sampled_around(facts)
    compiling = max(timed.get("compiling", 0.0), around.get("compiling", 0.0))
    seconds = dict(timed) | {"imports": around.get("imports", 0.0)}
    seconds.pop("compiling", None)
    rest = max(0.0, facts.total_seconds - sum(seconds.values()))
    if compiling:  # the rest of it was within what the timers say
        seconds["compiling"] = min(compiling, rest)
        rest -= seconds["compiling"]
    return seconds | {"other": seconds.get("other", 0.0) + rest}


def _sampled_around(facts: Facts) -> dict[str, float]:
    """Seconds by stage of what the training's timers do not cover."""
    raw, seconds = facts.raw, dict[str, float]()
    timing = {index for index, frame in enumerate(raw.frames) if _times(frame)}
    for sample, stage in zip(raw.samples, facts.attribution.of_samples, strict=True):
        if sample.thread == MAIN and not timing.intersection(sample.stack):
            seconds[stage] = seconds.get(stage, 0.0) + sample.seconds
    return seconds


def _times(frame: Frame) -> bool:
    return library(frame.file) == Stages.__module__ and frame.function == Stages.timed.__qualname__
