"""Every command and every Python block that the documents show is run here."""

from __future__ import annotations

import os
import re
import shlex
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


def scripts() -> list:
    return [
        pytest.param(block, id=f"{document.name}-{number}")
        for document in DOCUMENTS
        for number, block in enumerate(blocks(document, "python"))
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder like a clone, with a map and a trained run."""
    folder = tmp_path
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "maze.txt").write_text(MAP)
    assert run("qlearn train grid", folder).returncode == 0
    return folder


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    words = shlex.split(command)
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


@pytest.mark.parametrize("script", scripts())
def test_python_in_a_document_works(script: str, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=home, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_the_documents_show_something() -> None:
    assert sum(len(commands(document)) for document in DOCUMENTS) > 20
    assert len(scripts()) > 3


def test_ci_calls_the_command_that_the_readme_shows() -> None:
    marked = (ROOT / "README.md").read_text().split("<!-- test -->")[1].split("```")[1]
    assert "pytest" in marked
    assert "<!-- test -->" in (ROOT / ".ci" / "run").read_text()
