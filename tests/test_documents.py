"""Every command and every Python block that the documents show is run here."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qlearn.hardware import tools

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MAP = "S..O\n.#..\n...G\n"
# The two commands that set everything up are CI's own; this one has an environment of its own.
SET_UP = ("python3 -m venv",)
# What a command may be asked for here, and what it is asked for where it names no budget.
MOST = {"--steps": 2000, "--episodes": 1000, "--repeats": 1, "--seconds": 2, "--updates": 4000}
OF_A_SCRIPT = 5000  # the numbers that scripts are given
BUDGETS = ("--steps", "--episodes", "--seconds", "--until", "--resume")
SIMULATES = tools.has("verilator", "cocotb", "perl", "make", "g++")


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.S)


def commands(document: Path) -> list[str]:
    found = []
    for block in blocks(document, "bash"):
        for line in block.splitlines():
            line = line.split("  #")[0].strip()
            if line and not line.startswith(SET_UP) and line not in found:
                found.append(line)
    return found


SCRIPTED = [document for document in DOCUMENTS if blocks(document, "python")]
# One process for a document's scripts: to import torch for each of them takes longer than they do.
RUNS_SCRIPTS = """
import json, sys, traceback
for number, script in enumerate(json.load(sys.stdin)):
    try:
        exec(compile(script, f"script {number}", "exec"), {"__name__": "__main__"})
    except BaseException:
        sys.exit(f"script {number}: {traceback.format_exc()}")
"""


def in_short(command: str) -> list[str]:
    """The words of a command, with budgets that are enough to see that it works."""
    words = shlex.split(command)
    for number, word in enumerate(words):
        if number and words[number - 1] in MOST:
            words[number] = lowered(word, MOST[words[number - 1]])
        elif ".py " in word or "--" in words[:number]:
            words[number] = " ".join(lowered(part, OF_A_SCRIPT) for part in word.split())
    if words[1] == "train" and not set(BUDGETS) & set(words):
        words += ["--steps", str(MOST["--steps"])]
    return words


def lowered(text: str, most: int) -> str:
    number = re.fullmatch(r"([0-9]+)([km]?)", text)
    if not number:
        return text
    return str(min(int(number[1]) * {"": 1, "k": 10**3, "m": 10**6}[number[2]], most))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a clone, with a map and a trained run."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "maze.txt").write_text(MAP)
    assert run("qlearn train grid --steps 20k", folder).returncode == 0
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, for one document alone."""
    return shutil.copytree(trained, tmp_path / "home", symlinks=True)


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    words = in_short(command)
    assert words[0] == "qlearn", f"{command}: documents show qlearn's own commands"
    return subprocess.run(
        [sys.executable, "-m", "qlearn", *words[1:]],
        cwd=folder,
        env=os.environ | {"QLEARN_RUNS": str(folder / "runs")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_the_commands_of_a_document_work_one_after_the_other(document: Path, home: Path) -> None:
    for command in commands(document):
        if command.startswith("qlearn hardware simulate") and not SIMULATES:
            continue
        done = run(command, home)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert "Traceback" not in done.stderr, command


@pytest.mark.parametrize("document", SCRIPTED, ids=lambda document: document.stem)
def test_the_python_of_a_document_works(document: Path, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNS_SCRIPTS],
        input=json.dumps(blocks(document, "python")),
        cwd=home, env=os.environ | {"QLEARN_RUNS": str(home / "runs")},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_budgets_are_shortened_and_nothing_else() -> None:
    compare = 'qlearn compare "a.py 20k 10" grid --steps 5m --set steps=9 --repeats 5 -- 7000'
    assert in_short(compare) == shlex.split(
        'qlearn compare "a.py 5000 10" grid --steps 2000 --set steps=9 --repeats 1 -- 5000'
    )
    assert in_short("qlearn train grid") == ["qlearn", "train", "grid", "--steps", "2000"]
    assert in_short("qlearn train grid --until 1") == shlex.split("qlearn train grid --until 1")


def test_the_documents_show_something() -> None:
    assert sum(len(commands(document)) for document in DOCUMENTS) > 20
    assert len(SCRIPTED) > 3


def test_ci_calls_the_command_that_the_readme_shows() -> None:
    marked = (ROOT / "README.md").read_text().split("<!-- test -->")[1].split("```")[1]
    assert "pytest" in marked
    assert "<!-- test -->" in (ROOT / ".ci" / "run").read_text()
