"""Every word and every way of rounding in lockstep: the circuit beside its specification.

For each target at least 100,000 updates are compared one by one, and cycles are counted. Then the
specification goes on alone, to see after how many updates of a ring all its agents' policies are
optimal; an agent that learns with a constant rate where chance decides never settles, so nothing is
looked for there. Where no policy becomes optimal the warnings of `generate` tell why.

All 64 designs take a quarter of an hour of a quiet machine. `--square` takes 16 of them, every target
with every word, every word with every rounding, every target with every rounding. A row that is
recorded takes the place of an older one of the same design.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import RESULTS, parser, record
from qlearn.hardware.generate import generate, load
from qlearn.hardware.simulate import simulate, until_optimal
from qlearn.hardware.word import ROUNDINGS

NAME = "hardware_lockstep"
WORDS = ("Q8.8", "Q4.12", "Q12.4", "Q16.16")
UPDATES = 100_000
AT_MOST = 1.01  # cycles an update


Row = dict[str, Any]
Keep = Callable[[str, Row], None]


def random_map(rows: int, columns: int, seed: int, share: float) -> str:
    """A map of which so large a share is holes and walls, a way from S to G left free."""
    chance = random.Random(seed)
    field = [
        [chance.choice("O#") if chance.random() < share else "." for _ in range(columns)]
        for _ in range(rows)
    ]
    row, column = 0, 0
    while (row, column) != (rows - 1, columns - 1):
        field[row][column] = "."
        down = column == columns - 1 or (row < rows - 1 and chance.random() < 0.5)
        row, column = row + down, column + (not down)
    field[0][0], field[-1][-1] = "S", "G"
    return "\n".join("".join(line) for line in field) + "\n"


# A name, the target or its map, and the environment's options.
TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "grid": ("grid", {}),
    "random 7x9 map": (random_map(7, 9, 1, 0.3), {}),
    "slippery 16x16 map": (random_map(16, 16, 2, 0.2), {"slip": 0.2}),
    "Taxi": ("gym:Taxi-v4", {}),
}


def simulated(home: Path, word: str, rounding: str, target: str, options: dict[str, Any],
              updates: int) -> Row:  # fmt: skip
    made = generate(target, home, word=word, rounding=rounding, options=options)
    found = simulate(home, updates, simulators=("lockstep",))
    design = load(home)
    searched = design.problem.model.deterministic
    return {
        "word": word,
        "rounding": rounding,
        "agents": design.agents,
        **{name: found[name] for name in ("updates", "mismatches", "cycles", "cycles_per_update")},
        "optimal_searched": searched,
        "optimal_after": until_optimal(design) if searched else None,
        "warnings": made["warnings"],
    }


def rows_of(name: str, updates: int, square: bool, keep: Keep) -> list[Row]:
    """One folder for all designs of a target: what they share is compiled once."""
    target, options = TARGETS[name]
    shift = list(TARGETS).index(name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if "\n" in target:
            map_file = Path(folder) / "map.txt"
            map_file.write_text(target)
            target = str(map_file)
        for i, word in enumerate(WORDS):
            for j, rounding in enumerate(ROUNDINGS):
                if square and (i + j + shift) % len(ROUNDINGS):
                    continue
                row = simulated(Path(folder) / "D", word, rounding, target, options, updates)
                print(said(row), flush=True)
                rows.append(row)
                keep(name, row)
    return rows


def keeper(wanted: bool) -> Keep:
    """Records row by row, for they take long."""
    file = RESULTS / f"{NAME}.json"
    tables = json.loads(file.read_text())["tables"] if file.is_file() else []
    known = {
        (table["name"], row["word"], row["rounding"]): row
        for table in tables
        for row in table["rows"]
    }

    def keep(name: str, row: Row) -> None:
        known[name, row["word"], row["rounding"]] = row
        found = [
            {
                "name": name,
                "target": target,
                "options": options,
                "rows": [
                    known[name, word, rounding]
                    for word in WORDS
                    for rounding in ROUNDINGS
                    if (name, word, rounding) in known
                ],
            }
            for name, (target, options) in TARGETS.items()
        ]
        record(NAME, {"tables": found}, wanted)

    return keep


def said(row: Row) -> str:
    optimal = "not searched"
    if row["optimal_searched"]:
        after = row["optimal_after"]
        optimal = "never" if after is None else f"after {after:,}"
    return (
        f"  {row['word']:7} {row['rounding']:11} {row['updates']:>9,} updates"
        f" {row['mismatches']:>3,} mismatches {row['cycles']:>9,} cycles"
        f" ({row['cycles_per_update']:.4f})  optimal: {optimal:16}"
        f" {len(row['warnings'])} warnings"
    )


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--updates", type=int, default=UPDATES)
    options.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    options.add_argument("--square", action="store_true", help="16 of the 64 designs")
    wanted = options.parse_args()
    keep = keeper(wanted.record)
    rows = []
    for name in wanted.targets:
        print(f"\n{name}", flush=True)
        rows += rows_of(name, wanted.updates, wanted.square, keep)
    wrong = [r for r in rows if r["mismatches"] or r["cycles_per_update"] > AT_MOST]
    print(f"\n{len(rows)} designs, {len(wrong)} that are not what they should be")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
