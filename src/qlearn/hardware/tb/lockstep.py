"""The circuit against its specification, update by update (cocotb).

Everything goes the way a host goes: registers set, cleared and started through the AXI4-Lite port.
Every update of every ring is compared with the next one of the specification; the rings are
stopped and started again on the way. Afterwards counters and tables are read out and compared.

`HARDWARE_DESIGN` is the design's folder, `HARDWARE_UPDATES` how many updates at least,
`HARDWARE_RESULT` the file for what was found.
"""

from __future__ import annotations

import json
import os
from copy import deepcopy
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from qlearn.hardware.beats import beat_width, fields, packed
from qlearn.hardware.generate import Design, bits_for, load
from qlearn.hardware.model import Ring
from qlearn.hardware.word import coefficients

CONTROL, STATUS, ALPHA, GAMMA, EPSILON, SEED = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
UPDATES_LOW, UPDATES_HIGH, TABLE_ADDRESS, TABLE_DATA = 0x18, 0x1C, 0x20, 0x24
EPISODES, VERSION = 0x28, 0x3C
RUN, CLEAR = 1, 2
SLVERR = 2
PERIOD = 10  # ns
PATIENCE = 10_000  # clocks, and more than any answer takes

CHUNK = 4096  # updates that the specification is asked for at a time
SHOWN = 5  # differences that are written out
AGAIN = 2000  # updates after a new beginning
ENTRIES = 1000  # of the tables, read out one by one through the port


class Host:
    """What sits at the other end of the port."""

    def __init__(self, dut) -> None:
        self.dut = dut

    async def reset(self) -> None:
        for name in ("awaddr", "awvalid", "wdata", "wvalid", "araddr", "arvalid"):
            getattr(self.dut, f"s_axi_{name}").value = 0
        self.dut.s_axi_wstrb.value = 0b1111
        self.dut.s_axi_bready.value = self.dut.s_axi_rready.value = 1
        self.dut.rst.value = 1
        for _ in range(8):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def write(self, address: int, value: int) -> int:
        """Writes a register, or a value to where TABLE_ADDRESS points; gives the response."""
        dut = self.dut
        dut.s_axi_awaddr.value, dut.s_axi_wdata.value = address, value & 0xFFFFFFFF
        dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 1
        await FallingEdge(dut.clk)
        dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 0
        await self.until(dut.s_axi_bvalid)
        response = int(dut.s_axi_bresp.value)
        await FallingEdge(dut.clk)
        return response

    async def read(self, address: int) -> tuple[int, int]:
        """Reads a register: (value, response)."""
        dut = self.dut
        dut.s_axi_araddr.value, dut.s_axi_arvalid.value = address, 1
        await FallingEdge(dut.clk)
        dut.s_axi_arvalid.value = 0
        await self.until(dut.s_axi_rvalid)
        found = int(dut.s_axi_rdata.value), int(dut.s_axi_rresp.value)
        await FallingEdge(dut.clk)
        return found

    async def register(self, address: int) -> int:
        return (await self.read(address))[0]

    async def wait_until_idle(self) -> None:
        for _ in range(PATIENCE):
            if await self.register(STATUS):
                return
        raise AssertionError("the circuit does not come to rest")

    async def until(self, signal) -> None:
        for _ in range(PATIENCE):
            if int(signal.value):
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"{signal._name} does not come")


class Monitor:
    """Compares every update that the circuit shows with the next one of the specification."""

    def __init__(self, dut, design: Design) -> None:
        self.dut, self.design = dut, design
        self.rings = [Expected(design, number) for number in range(design.rings)]
        self.clock = self.cycles = self.updates = self.episodes = self.mismatches = 0
        self.shown: list[str] = []

    async def watch(self) -> None:
        """Runs for ever, and looks at every clock."""
        width = beat_width(self.design)
        mask, valid, ended = (1 << width) - 1, 1 << (width - 1), 1 << self.design.word.width
        while True:
            await FallingEdge(self.dut.clk)
            self.clock += 1
            trace = int(self.dut.trace.value)
            for ring in self.rings:
                beat = trace & mask
                trace >>= width
                if beat & valid:
                    self.updates += 1
                    self.episodes += bool(beat & ended)
                    wanted = ring.beat()
                    if beat != wanted:
                        self.differs(ring.number, beat, wanted)

    def differs(self, ring: int, beat: int, wanted: int) -> None:
        self.mismatches += 1
        if len(self.shown) < SHOWN:
            self.shown.append(
                f"update {self.updates}, ring {ring}: {fields(beat, self.design)} in the circuit,"
                f" {fields(wanted, self.design)} in the specification"
            )

    def seen(self) -> list[Ring]:
        """The specification's rings after exactly the updates that were seen."""
        return [ring.seen() for ring in self.rings]

    def begin_again(self) -> None:
        """After a clear, and what `stored` has written."""
        self.updates = self.episodes = 0
        for ring in self.rings:
            after = ring.seen()
            if ring.number == self.design.rings - 1:
                after.table[-1, -1, 0] = self.design.word.lowest
            if ring.number == 0:
                after.table[0, 0, 0] = self.design.word.highest
            after.clear()
            ring.begin(after)


class Expected:
    """The beats of one ring by the specification, made in chunks."""

    def __init__(self, design: Design, number: int) -> None:
        self.design, self.number = design, number
        self.begin(design.ring(number, fast=True))

    def begin(self, ring: Ring) -> None:
        self.ring, self.before = ring, deepcopy(ring)
        self.beats: list[int] = []
        self.used = 0

    def beat(self) -> int:
        if self.used == len(self.beats):
            self.before = deepcopy(self.ring)
            self.beats, self.used = packed(self.ring.run(CHUNK), self.design), 0
        self.used += 1
        return self.beats[self.used - 1]

    def seen(self) -> Ring:
        """The ring as it is after the beats that were asked for."""
        ring = deepcopy(self.before)
        ring.advance(self.used)
        return ring


async def settings(host: Host, design: Design) -> list[str]:
    """Writes the registers, and reads them back."""
    c = coefficients(design.alpha, design.gamma)
    wanted = {ALPHA: c.alpha, GAMMA: c.gamma, EPSILON: design.ring().epsilon, SEED: design.seed}
    wrong = [
        f"register {register:#x} was {await host.register(register)} after reset, not {value}"
        for register, value in wanted.items()
        if await host.register(register) != value
    ]
    for register, value in wanted.items():
        await host.write(register, value ^ 0x5555)
        if await host.register(register) != value ^ 0x5555:
            wrong.append(f"register {register:#x} does not keep what is written to it")
        await host.write(register, value)
    return wrong


async def learn(host: Host, monitor: Monitor, updates: int) -> list[str]:
    """Runs until so many updates were seen; whole revolutions, so a few more."""
    wrong = []
    start = monitor.clock
    await host.write(CONTROL, RUN)
    while monitor.updates < updates:
        left = (updates - monitor.updates) // len(monitor.rings) + 1
        await Timer(left * PERIOD, "ns")
        await FallingEdge(host.dut.clk)  # the timer may have been before or after this one
        assert monitor.clock - start < 2 * updates + PATIENCE, "the circuit does not learn"
    if await host.write(TABLE_DATA, 0) != SLVERR or (await host.read(TABLE_DATA))[1] != SLVERR:
        wrong.append("the tables were open to the host while agents were learning")
    await host.write(CONTROL, 0)
    await host.wait_until_idle()
    monitor.cycles += monitor.clock - start
    return wrong


async def counters(host: Host, monitor: Monitor) -> list[str]:
    found = {
        "updates": await host.register(UPDATES_LOW) | await host.register(UPDATES_HIGH) << 32,
        "episodes": await host.register(EPISODES),
    }
    wanted = {"updates": monitor.updates, "episodes": monitor.episodes}
    return [] if found == wanted else [f"the counters say {found}, and there were {wanted}"]


async def tables(host: Host, design: Design, monitor: Monitor) -> list[str]:
    """The tables through the port: all of them, or entries all over them if there are many."""
    wanted = np.stack([done.table for done in monitor.seen()])
    step = max(1, wanted.size // ENTRIES) | 1
    wrong = []
    for at in range(0, wanted.size, step):
        place = np.unravel_index(at, wanted.shape)
        await host.write(TABLE_ADDRESS, address(place, design))
        found = signed(await host.register(TABLE_DATA))
        if found != wanted[place]:
            wrong.append(f"table{[int(i) for i in place]} is {found}, not {wanted[place]}")
    return wrong[:SHOWN]


async def stored(host: Host, design: Design) -> list[str]:
    """What the host writes into a table is there, and only there."""
    last = (design.rings - 1, design.agents - 1, design.problem.states - 1, 0)
    wrong = []
    for place, value in ((last, design.word.lowest), ((0, 0, 0, 0), design.word.highest)):
        await host.write(TABLE_ADDRESS, address(place, design))
        await host.write(TABLE_DATA, value)
    for place, value in ((last, design.word.lowest), ((0, 0, 0, 0), design.word.highest)):
        await host.write(TABLE_ADDRESS, address(place, design))
        found = signed(await host.register(TABLE_DATA))
        if found != value:
            wrong.append(f"table{list(place)} is {found} after {value} was written")
    return wrong


def address(place, design: Design) -> int:
    """TABLE_ADDRESS of (ring, agent, state, action)."""
    ring, agent, state, action = map(int, place)
    problem = design.problem
    return (
        (ring << bits_for(design.agents) | agent) << bits_for(problem.states) | state
    ) << bits_for(problem.actions) | action


def signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


@cocotb.test()
async def lockstep(dut) -> None:
    design = load(os.environ["HARDWARE_DESIGN"])
    least = int(os.environ["HARDWARE_UPDATES"])
    Clock(dut.clk, PERIOD, "ns").start(start_high=False)
    host, monitor = Host(dut), Monitor(dut, design)
    await host.reset()
    cocotb.start_soon(monitor.watch())

    wrong = await settings(host, design)
    await host.write(CONTROL, CLEAR)
    for until in (least // 3, least):  # stopped on the way: nothing may be lost by that
        wrong += await learn(host, monitor, until)
    wrong += await counters(host, monitor)
    wrong += await tables(host, design, monitor)
    updates, cycles, episodes = monitor.updates, monitor.cycles, monitor.episodes

    # A new beginning, with other contents.
    wrong += await stored(host, design)
    await host.write(CONTROL, CLEAR)
    monitor.begin_again()
    wrong += await learn(host, monitor, AGAIN)
    wrong += await counters(host, monitor)

    found = {
        "updates": updates,
        "cycles": cycles,
        "episodes": episodes,
        "mismatches": monitor.mismatches + len(wrong),
        "wrong": wrong + monitor.shown,
    }
    Path(os.environ["HARDWARE_RESULT"]).write_text(json.dumps(found))
