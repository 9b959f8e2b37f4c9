"""`qlearn.profile`: runs a script under the sampler, and says what its time went into and why."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from qlearn.errors import UserError
from qlearn.profiling import findings as found
from qlearn.profiling import own, process, rules
from qlearn.profiling.facts import build
from qlearn.profiling.findings import Finding
from qlearn.profiling.instead import instead
from qlearn.profiling.process import NothingMeasured
from qlearn.profiling.raw import Raw
from qlearn.profiling.report import flame as flames
from qlearn.profiling.report import html as pages
from qlearn.profiling.summary import summary
from qlearn.runs.files import writable
from qlearn.runs.folder import runs_folder

__all__ = ["NothingMeasured", "profile"]

MOST_PROOFS = 12

Measured = tuple[dict[str, Any], Raw, Sequence[str]]  # report, raw measurement, stages of samples


def profile(
    target: str | Path,
    arguments: Sequence[str] = (),
    *,
    line: bool = False,
    memory: bool = False,
    flame: bool = False,
    torch: bool = False,
    functions: bool = False,
    prove: bool = False,
    headless: bool = False,
    seconds: float | None = None,
    html: str | Path | None = None,
    training: Mapping[str, Any] | None = None,
    output: TextIO | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Profiles a script (`FILE.py`), or a training of ours (an environment, a run).

    Gives the object of `qlearn profile --json`. `seconds` stops it then, with all that was
    measured so far; `training` is what `qlearn.train` is called with, where that is not the
    target's default; `output` is where what the script prints goes, if not to standard output.
    """
    if seconds is not None and not seconds > 0.0:
        raise UserError(f"seconds must be above 0, not {seconds:g}")
    options = {
        "functions": functions,
        "line": line,
        "memory": memory,
        "headless": headless,
        "torch": torch,
        "seconds": seconds,
    }
    page = None if html is None else writable(Path(html))
    words = _words(target)
    if words[0].endswith(".py"):
        argv = [*words[1:], *map(str, arguments)]
        script = _script(words[0])
        folder = _new_folder()
        how = (prove, say or (lambda _: None))
        report, raw, stage_of = _profile_script(script, argv, options, folder, output, *how)
    else:
        asked = dict(training) if training else own.training_of(str(target), seconds)
        folder = _new_folder()
        report, raw, stage_of = own.profile(str(target), asked, folder, options, output)
    report["folder"] = str(folder)
    report["options"] = _typed(options, memory=memory, flame=flame, prove=prove)
    _write(report, raw, stage_of, folder, flame, page or folder / "report.html")
    return report


def _profile_script(
    script: Path,
    argv: Sequence[str],
    options: dict[str, Any],
    folder: Path,
    output: TextIO | None,
    prove: bool,
    say: Callable[[str], None],
) -> Measured:
    code = process.run(script, argv, options, folder, output)
    raw = process.left_behind(folder, str(script), code)
    facts = build(raw)
    findings = found.collect(facts, rules.all_rules())
    if prove:
        _prove(findings[:MOST_PROOFS], say)
        findings = found.by_worth(findings)
    report = {"target": str(script), "argv": argv, "exit_code": process.exit_code(code)}
    report |= summary(facts, facts.stages, findings)
    if prove:
        say("training the same here")
        report["instead"] = instead(facts, folder)
    return report, raw, facts.attribution.of_samples


def _prove(findings: Sequence[Finding], say: Callable[[str], None]) -> None:
    """A small measurement for each finding whose rule knows one."""
    from qlearn.profiling.proof import measure

    for finding in findings:
        proof = getattr(rules.rule(finding.rule), "proof", lambda _: None)(finding)
        if proof is not None:
            say(f"measuring {finding.rule}, line {finding.line}")
            finding.proof = measure(proof)


def _words(target: str | Path) -> list[str]:
    """A script and its arguments where they stand in one text, as for `compare`."""
    text = str(target)
    if not text.strip():
        raise UserError("profile what? qlearn profile my_script.py")
    if Path(text).is_file():
        return [text]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"cannot split {text!r} into words: {error}") from None


def _script(name: str) -> Path:
    if not Path(name).is_file():
        raise UserError(f"cannot read {name}: no such file")
    return Path(name)


def _new_folder() -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    reports = runs_folder() / "reports"
    for count in range(1000):
        folder = reports / (f"profile-{stamp}-{count}" if count else f"profile-{stamp}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot write to {reports}: {error.strerror}") from None
        return folder
    raise UserError(f"cannot find a free name in {reports}")


def _typed(options: dict[str, Any], **more: bool) -> list[str]:
    """The options as they would be typed."""
    flags = [f"--{name}" for name, on in {**options, **more}.items() if on is True]
    return flags + ([f"--seconds={options['seconds']:g}"] if options["seconds"] else [])


def _write(
    report: dict[str, Any],
    raw: Raw,
    stage_of: Sequence[str],
    folder: Path,
    flame: bool,
    page: Path,
) -> None:
    """The page and whatever else opens in a tool; `artifacts` of the report names them all."""
    speedscope, graph = folder / "profile.speedscope.json", folder / "flame.html"
    report["artifacts"] = {"html": str(page.absolute()), "raw": str(folder / process.RAW)}
    report["artifacts"] |= {name: str(path) for name, path in raw.artifacts.items()}
    if flame:
        report["artifacts"] |= {"speedscope": str(speedscope), "flame": str(graph)}
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        pages.write(page, report, raw, stage_of)
        if flame:
            flames.write_speedscope(speedscope, raw, str(report["target"]))
            pages.write_flame(graph, report, raw, stage_of)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or page}: {error.strerror}") from None
