"""One cocotb simulation, in a process of its own: `python -m qlearn.hardware.cosimulate FOLDER TOP`.

cocotb's runner prints, exits, and behaves otherwise under pytest, which is no way for a function to
behave. The simulation starts in `rtl/`, where the memories' files are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

from qlearn.hardware.tools import sources


def main(folder: Path, top: str, bench: str, waves: bool) -> None:
    rtl, build = (
        folder / "rtl",
        folder / "build" / "cocotb",
    )  # one for all benches: what is the same is compiled once
    sys.path.insert(0, str(folder / "tb"))
    runner = get_runner("verilator")
    runner.build(
        sources=[rtl / name for name in sources(rtl)],
        hdl_toplevel=top,
        build_dir=build,
        always=True,
        waves=waves,
        timescale=("1ns", "1ps"),
        build_args=["-Wno-fatal", "-O3", "-CFLAGS", "-O0"],
    )
    runner.test(
        test_module=bench,
        hdl_toplevel=top,
        build_dir=build,
        test_dir=rtl,
        waves=waves,
        results_xml=str(build / "results.xml"),
        # Where pytest is installed, cocotb would have it rewrite every module, numba's included.
        extra_env={"COCOTB_REWRITE_ASSERTION_FILES": ""},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:] == ["waves"])
