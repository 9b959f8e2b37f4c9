"""Planted faults, and a trial that finds them: a small circuit against its specification.

A check that passes says something only if it would not pass of a circuit that is wrong. So faults
of the kinds that one makes are planted, one at a time, and each has to be caught.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qlearn.envs.model import Model
from qlearn.hardware import tools
from qlearn.hardware.beats import packed
from qlearn.hardware.generate import Design, generated
from qlearn.hardware.problem import tabulated
from qlearn.hardware.word import Word

FORMAL = Path(__file__).with_name("formal")
BENCH = "trial.v"
FLAT = "flat.v"
LEAST_UPDATES = 1000  # of a ring in a trial


@dataclass(frozen=True)
class Fault:
    """One place of one module, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str
    rounding: str = "even"  # of the trial that is to find it

    def plant(self, rtl: Path) -> None:
        text = (rtl / self.file).read_text()
        places = text.count(self.old)
        if places != 1:
            raise RuntimeError(f"the fault '{self.name}' fits {places} places of {self.file}")
        (rtl / self.file).write_text(text.replace(self.old, self.new))


FAULTS = (
    Fault("the new value is not forwarded to the row", "agent_ring.sv",
          "if (learns[WRITE] && write_stays) forwarded[write_action] = q_new;", ""),
    Fault("largest as if without a sign", "max_selector.sv",
          "$signed(value_at[level][2*i+1]) > $signed(value_at[level][2*i])",
          "value_at[level][2*i+1] > value_at[level][2*i]"),
    Fault("ties go to the highest index", "max_selector.sv",
          "> $signed(value_at[level][2*i]);", ">= $signed(value_at[level][2*i]);"),
    Fault("cut off instead of rounded", "q_update_unit.sv",
          "0, 1:    addend = HALF;", "0, 1:    addend = '0;"),
    Fault("half is always rounded up", "q_update_unit.sv",
          "tie = ROUNDING == 1 &&", "tie = ROUNDING == 4 &&"),
    Fault("the sum is one bit too narrow", "q_update_unit.sv",
          "SUM_WIDTH = WIDTH + 20;", "SUM_WIDTH = WIDTH + 17;"),
    Fault("the lowest value is one too high", "q_update_unit.sv",
          "{(WIDTH - 1) {~rounded[SUM_WIDTH-CF-1]}}};",
          "{(WIDTH - 2) {~rounded[SUM_WIDTH-CF-1]}}, 1'b1};"),
    Fault("an ended episode has a future", "q_update_unit.sv",
          "(over ? '0 : SUM_WIDTH'(expected))", "SUM_WIDTH'(expected)"),
    Fault("greedy and random action swapped", "epsilon_greedy.sv",
          "explore ? random : greedy", "explore ? greedy : random"),
    Fault("explores once too often in 65536", "epsilon_greedy.sv",
          "{1'b0, word[15:0]} < epsilon", "{1'b0, word[15:0]} <= epsilon"),
    Fault("the row of another agent", "agent_ring.sv",
          "delay #(.WIDTH(ACTIONS * WIDTH), .STAGES(WORLD))",
          "delay #(.WIDTH(ACTIONS * WIDTH), .STAGES(WORLD + 1))"),
    Fault("written for the agent before", "agent_ring.sv",
          "delay #(.WIDTH(AGENT_BITS), .STAGES(WRITE - READ))",
          "delay #(.WIDTH(AGENT_BITS), .STAGES(WRITE - READ + 1))"),
    Fault("the reward of another slot", "agent_ring.sv",
          "delay #(.WIDTH(WIDTH + 1), .STAGES(UPDATE - READ))",
          "delay #(.WIDTH(WIDTH + 1), .STAGES(UPDATE - READ + 1))"),
    Fault("all actions' tables are written", "agent_ring.sv",
          "learns[WRITE] && write_action == action_t'(a)", "learns[WRITE]"),
    Fault("the stream of choices stands still", "agent_ring.sv",
          ".advance(learns[CHOOSE])", ".advance(1'b0)"),
    Fault("all rings draw the same", "agent_ring.sv",
          "32'(4 * RING + stream + 1)", "32'(stream + 1)"),
    Fault("stopped before the last updates are written", "agent_ring.sv",
          "if (!running) phase <= DRAIN;", "if (!running) phase <= IDLE;"),
    Fault("rounds by other bits of the stream", "agent_ring.sv",
          "rounding_word[16:0]", "rounding_word[17:1]", "stochastic"),
    Fault("a start by the wrong half of the word", "environment.sv",
          "(.word(word[31:16]), .number)", "(.word(word[15:0]), .number)"),
    Fault("no start after the end", "environment.sv",
          "restarted || (stepped && outcome[k].ended)", "restarted"),
    Fault("the last of the possible outcomes, not the first", "environment.sv",
          "for (int k = OUTCOMES - 2; k >= 0; k--)", "for (int k = 0; k <= OUTCOMES - 2; k++)"),
    Fault("alpha for 1 - alpha", "host_port.sv", "18'd131072 - alpha;", "alpha;"),
    Fault("gamma for alpha gamma", "host_port.sv", "<= raised[34:17];", "<= gamma;"),
)  # fmt: skip


def differs(rtl: Path, work: Path, fault: Fault | None, rounding: str) -> bool:
    """Whether the trial of these modules, with a fault, is not what the specification says."""
    design = trial(rounding)
    _circuit(design, rtl, work)
    if fault is not None:
        fault.plant(work)
    seen = _beats(_simulated(work), design)
    return any(beats != _wanted(design, ring, len(beats)) for ring, beats in enumerate(seen))


def trial(rounding: str) -> Design:
    """A small world in which much happens: chance, ends, ties, saturation, staying in place."""
    random = np.random.default_rng(8)
    states, outcomes = 6, 3
    shape = (states, 3, outcomes)
    model = Model(
        to=random.integers(states, size=shape),
        chance=np.full(shape, 1 / outcomes),
        reward=random.integers(-3, 4, size=shape) * 4.0,
        ended=random.random(shape) < 0.15,
        start=np.array([1, 1, 1, 0, 0, 0]) / 3,
    )
    problem = tabulated(model, Word("Q4.4"), name="trial")
    return Design(problem, 16, 2, rounding, 0.25, 0.875, 0.25, 1)


def _circuit(design: Design, rtl: Path, work: Path) -> None:
    """The modules in `rtl` with the sizes and memories of another design."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for module in rtl.glob("*.sv"):
        shutil.copy(module, work)
    for name, text in generated(design).items():
        (work / name).write_text(text)
    shutil.copy(FORMAL / BENCH, work)


def _simulated(work: Path) -> list[str]:
    """The trace of the flattened circuit, a line of bits for each clock."""
    read = tools.read_design("accelerator", tools.sources(work))
    keep = "setattr -set keep 1 accelerator/w:trace"  # nothing in the circuit looks at it
    flat = f"prep -top accelerator -flatten; bwmuxmap; write_verilog -noattr {FLAT}"
    tools.yosys(f"{read}; {keep}; {flat}", work)
    tools.run("iverilog", ["-o", "trial.vvp", BENCH, FLAT], work)
    return tools.run("vvp", ["trial.vvp"], work).split()


def _beats(lines: Sequence[str], design: Design) -> list[list[str]]:
    """The updates of each ring, as bits; an unknown bit is a difference like any other."""
    width = len(lines[0]) // design.rings
    return [
        [beat for beat in (line[at : at + width] for line in lines) if beat[0] != "0"]
        for at in range((design.rings - 1) * width, -1, -width)
    ]


def _wanted(design: Design, ring: int, slots: int) -> list[str]:
    """The same by the specification, and never less than a trial's worth of it."""
    beats = packed(design.ring(ring).run(max(slots, LEAST_UPDATES)), design)
    return [f"{beat:b}" for beat in beats]
