"""Short scripts with one planted fault each, and some without: what is found, and what is not."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from warm import forked

from qlearn.profiling import process
from qlearn.profiling.profile import profile

CORPUS = Path(__file__).parent / "corpus"
SCRIPTS = sorted(CORPUS.glob("*.py"))
SECOND_LOOKS = 2  # alone: a machine that is busy with other tests blurs what takes how long
LIBRARIES = {"torch": "torch", "gym": "gymnasium", "plt": "matplotlib"}


def planted(script: Path) -> set[str]:
    """The rules of the first line, `# rule: table-copy`."""
    line = script.read_text().splitlines()[0]
    assert line.startswith("# rule: ")
    return set(line.removeprefix("# rule: ").split(", ")) - {"none"}


def missing(script: Path) -> bool:
    from importlib.util import find_spec

    text = script.read_text()
    needed = [name for name in LIBRARIES.values() if f"import {name}" in text]
    return any(find_spec(name) is None for name in needed)


def test_the_corpus_is_large_enough():
    faulty = [script for script in SCRIPTS if planted(script)]
    assert len(faulty) >= 20
    assert len(SCRIPTS) - len(faulty) >= 10


def test_every_planted_fault_is_found_and_nothing_else(tmp_path, monkeypatch):
    """Precision and recall over all findings; a script's process has the machine to itself."""
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path))
    scripts = [script for script in SCRIPTS if not missing(script)]
    with_torch = [script for script in scripts if "import torch" in script.read_text()]
    without = [script for script in scripts if script not in with_torch]
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 2) // 2)) as pool:
        found = dict(zip(without, pool.map(rules_found, without), strict=True))
    if with_torch:
        with forked() as run, monkeypatch.context() as patched:
            patched.setattr(process, "run", run)
            found |= {script: rules_found(script) for script in with_torch}
    for _ in range(SECOND_LOOKS):
        doubted = [script for script, rules in found.items() if planted(script) != rules.keys()]
        print("looked at again:", ", ".join(script.name for script in doubted) or "none")
        found |= {script: rules_found(script) for script in doubted}
    hits = sum(len(planted(s) & rules.keys()) for s, rules in found.items())
    precision = hits / max(sum(len(rules) for rules in found.values()), 1)
    recall = hits / max(sum(len(planted(s)) for s in scripts), 1)
    print(f"\n{len(scripts)} scripts, {hits} faults found: {precision=:.3f} {recall=:.3f}")
    wrong = {
        script.name: (sorted(planted(script) - rules.keys()), _others(rules, planted(script)))
        for script, rules in found.items()
        if planted(script) != rules.keys()
    }
    assert not wrong, f"(missed, found besides): {wrong}"
    assert precision == recall == 1.0


def rules_found(script: Path) -> dict[str, str]:
    with open(os.devnull, "w") as nowhere:
        report = profile(script, headless=True, output=nowhere)
    if report["exit_code"]:
        pytest.fail(f"{script.name}: {report['end']}")
    return {f["rule"]: f"{f['line']}: {f['evidence']}" for f in report["findings"]}


def _others(rules: dict[str, str], expected: set[str]) -> dict[str, str]:
    return {rule: evidence for rule, evidence in rules.items() if rule not in expected}
