"""The small machine against the specification of a ring with a single agent (cocotb).

It is held up now and then: that may cost time, and nothing else.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time

from qlearn.hardware.fast import FastRing
from qlearn.hardware.generate import bits_for, load

FIELDS = ("state", "action", "reward", "next", "ended", "q")
SHOWN = 5  # differences that are written out
PERIOD = 10  # ns
PATIENCE = 200  # clocks, and more than an update takes
HELD_UP_EVERY, HELD_UP_FOR = 37, 100  # updates, clocks


@cocotb.test()
async def lockstep(dut) -> None:
    design = load(os.environ["HARDWARE_DESIGN"])
    updates = int(os.environ["HARDWARE_UPDATES"])
    ring = FastRing(
        design.problem, design.word, design.rounding, design.alpha, design.gamma, design.epsilon,
        design.seed, agents=1,
    )  # fmt: skip
    trace = ring.run(updates)
    masks = [
        (1 << bits) - 1
        for bits in (
            bits_for(design.problem.states),
            bits_for(design.problem.actions),
            design.word.width,
            bits_for(design.problem.states),
            1,
            design.word.width,
        )
    ]
    wanted = zip(
        trace.state, trace.action, trace.reward, trace.next, trace.ended, trace.q_new, strict=True
    )

    Clock(dut.clk, PERIOD, "ns").start(start_high=False)
    dut.run.value, dut.rst.value = 0, 1
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value, dut.run.value = 0, 1

    cycles, wrong = 0, []
    mismatches = 0
    for update, values in enumerate(wanted):
        cycles += await next_update(dut)
        beat = [int(getattr(dut, f"trace_{name}").value) for name in FIELDS]
        expected = [int(value) & mask for value, mask in zip(values, masks, strict=True)]
        if beat != expected:
            mismatches += 1
            wrong.append(f"update {update}: {beat} in the circuit, {expected} in the specification")
        if update % HELD_UP_EVERY == 0:
            wrong += await held_up(dut)
    found = {
        "updates": updates,
        "cycles": cycles,
        "mismatches": max(mismatches, len(wrong)),
        "wrong": wrong[:SHOWN],
    }
    Path(os.environ["HARDWARE_RESULT"]).write_text(json.dumps(found))


async def next_update(dut) -> int:
    """Waits for the next update; gives the clocks that it took."""
    before = get_sim_time("ns")
    await with_timeout(RisingEdge(dut.trace_valid), PATIENCE * PERIOD, "ns")
    await FallingEdge(dut.clk)
    return round((get_sim_time("ns") - before) / PERIOD)


async def held_up(dut) -> list[str]:
    """Without `run` nothing may happen."""
    dut.run.value = 0
    try:
        await with_timeout(RisingEdge(dut.trace_valid), HELD_UP_FOR * PERIOD, "ns")
    except SimTimeoutError:
        await FallingEdge(dut.clk)
        dut.run.value = 1
        return []
    return ["an update came while it was held up"]
