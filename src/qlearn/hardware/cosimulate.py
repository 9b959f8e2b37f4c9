"""One cocotb simulation, in a process of its own: `python -m qlearn.hardware.cosimulate ...`.

cocotb's runner prints, exits, and behaves otherwise under pytest, which is no way for a function to
behave. The simulation starts in `rtl/`, where the memories' files are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from qlearn.hardware import tools

# Verilator's own library, which no design changes, and which takes longer than most designs.
LIBRARY = tuple(
    f"verilated{part}.o" for part in ("", "_dpi", "_vpi", "_vcd_c", "_threads", "_timing")
)


def cosimulated(
    home: Path, top: str, bench: str, environment: dict[str, str], waves: bool = False
) -> str:
    """Builds `top` for cocotb, runs a bench of tb/ on it, and gives what was said."""
    build = home / "build" / "cocotb"
    build.mkdir(parents=True, exist_ok=True)
    compile_model(home, top, build)
    arguments = ["-m", "qlearn.hardware.cosimulate", str(home), top, bench, str(build)]
    return tools.run(Path(sys.executable).name, [*arguments, "waves" * waves], home, environment)


def compile_model(home: Path, top: str, build: Path) -> None:
    """Always able to write waves: a second library of Verilator's takes longer than that."""
    from cocotb_tools import config

    rtl = home / "rtl"
    tools.verilator(
        [
            *("-cc", "--exe", "--vpi", "--timescale", "1ns/1ps", "-Wno-fatal", "-O3"),
            *("--prefix", "Vtop", "-o", top, "--top-module", top, "-Mdir", build),
            *("--trace", "-CFLAGS", "-O0"),  # compiling takes longer than what it is for
            *("-LDFLAGS", f"-Wl,-rpath,{config.libs_dir} -L{config.libs_dir}"),
            *("-LDFLAGS", "-lcocotbvpi_verilator"),
            config.share_dir / "lib" / "verilator" / "verilator.cpp",
            home / "tb" / "visible.vlt",
            *tools.sources(rtl),
        ],
        rtl,
    )
    kept = [word for name in LIBRARY if (build / name).exists() for word in ("-o", name)]
    jobs = f"-j{os.cpu_count() or 1}"
    arguments = ["-f", "Vtop.mk", jobs, *kept]
    tools.run("make", arguments, build, tools.verilator_environment())


def run_bench(home: Path, top: str, bench: str, build: Path, waves: bool) -> None:
    from cocotb_tools.runner import get_runner

    sys.path.insert(0, str(home / "tb"))
    runner: Any = get_runner("verilator")
    runner.test(
        test_module=bench,
        hdl_toplevel_lang="verilog",
        hdl_toplevel=top,
        build_dir=build,
        test_dir=home / "rtl",
        waves=waves,
        results_xml=str(build / "results.xml"),
        # Where pytest is installed, cocotb would have it rewrite every module, numba's included.
        extra_env={"COCOTB_REWRITE_ASSERTION_FILES": ""},
    )


if __name__ == "__main__":
    folder, top_module, bench_module, built, waved = sys.argv[1:]
    run_bench(Path(folder), top_module, bench_module, Path(built), bool(waved))
