from __future__ import annotations

import pytest

from qlearn.errors import UserError
from qlearn.hardware import tools
from qlearn.hardware.generate import generate
from qlearn.hardware.mutants import FAULTS, Fault, trial
from qlearn.hardware.verify import TOOLS, caught_by, proofs_of, unbroken, verify

needs_proofs = pytest.mark.skipif(
    not tools.has(*TOOLS, "iverilog", "vvp"), reason="needs qlearn[hardware] and Icarus Verilog"
)


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    """Small words: the proofs of 16, 18 and 32 bits are `qlearn hardware verify`'s own."""
    folder = tmp_path_factory.mktemp("design")
    generate("grid", folder, word="Q4.4")
    return folder


@pytest.fixture(scope="module")
def report(design):
    return verify(design, fast=True)


def test_faults_apply(design):
    """Each fits exactly one place of the modules as they are now."""
    twins = [proof.twin for proof in proofs_of(trial("even"))]
    assert len(FAULTS) >= 12
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in [*FAULTS, *twins]:
        text = (design / "rtl" / fault.file).read_text()
        assert text.count(fault.old) == 1, fault.name
        assert fault.old != fault.new


@pytest.mark.parametrize("old", ["nothing like it", "q"])
def test_a_fault_that_does_not_fit_one_place_is_an_error(old, design):
    fault = Fault("none", "q_table.sv", old, "")
    with pytest.raises(RuntimeError, match=r"the fault 'none' fits \d+ places of q_table.sv"):
        fault.plant(design / "rtl")


@needs_proofs
def test_every_proof_holds_and_every_twin_fails(report):
    assert [proof for proof in report["proofs"] if not proof["passed"]] == []
    kinds = [proof["kind"] for proof in report["proofs"]]
    assert kinds == ["proof", "twin"] * 8 + ["simulation"]


@needs_proofs
def test_planted_faults_are_caught(report):
    assert report["survivors"] == []
    assert report["caught"] == report["mutants"] == len(report["faults"])
    assert {fault["caught_by"] for fault in report["faults"]} >= {"simulation"}


@needs_proofs
@pytest.mark.parametrize("rounding", ["half_up", "floor", "stochastic"])
def test_the_trial_finds_no_fault_where_there_is_none(rounding, design, tmp_path):
    assert unbroken(rounding, design / "rtl", tmp_path / "work")["passed"]


@needs_proofs
def test_what_differs_anyway_catches_nothing(design, tmp_path):
    fault = Fault("spacing", "q_table.sv", "read <= memory", "read  <= memory")
    assert caught_by(fault, [], design / "rtl", tmp_path / "work") is None
    fault = FAULTS[0]
    assert caught_by(fault, [], design / "rtl", tmp_path / "work") == "simulation"
    assert caught_by(fault, [], design / "rtl", tmp_path / "work", trusted=False) is None


@needs_proofs
def test_a_fault_of_the_design_itself_fails(tmp_path):
    """It is the folder's modules that are verified, not this package's."""
    generate("grid", tmp_path)
    Fault("", "agent_ring.sv", ".advance(learns[CHOOSE])", ".advance(1'b0)").plant(tmp_path / "rtl")
    assert not unbroken("even", tmp_path / "rtl", tmp_path / "work")["passed"]


def test_a_missing_tool_is_one_line(design, monkeypatch):
    def nothing(name):
        raise tools.missing(name)

    monkeypatch.setattr(tools, "find", nothing)
    with pytest.raises(UserError, match=r"^[^\n]*qlearn\[hardware\][^\n]*$"):
        verify(design)


def test_a_folder_without_a_design_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no design"):
        verify(tmp_path)
