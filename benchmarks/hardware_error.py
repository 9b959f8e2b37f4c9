"""Fixed point against real numbers on the same trace, for words and ways of rounding.

Every agent's table, after all its updates, beside the table of Q-learning in real numbers that saw
the same states, actions, rewards and next states; the largest difference must not pass the bound
that src/qlearn/hardware/error.py derives. Rewards are those of arrival (1 at the goal), for
Q4.12 ends at 8 and the classic board pays 10.
"""

from __future__ import annotations

import sys
from typing import Any

from _report import parser, record
from qlearn.hardware.error import distance
from qlearn.hardware.generate import design_of
from qlearn.hardware.word import ROUNDINGS

WORDS = ("Q8.8", "Q4.12", "Q16.16")
TARGETS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("grid", {"reward": "arrival"}, {"alpha": 0.5, "gamma": 0.9}),
    ("gym:FrozenLake-v1", {}, {"alpha": 0.1, "gamma": 0.95}),
)
UPDATES = 2_000_000


def measured(target: str, options: dict[str, Any], rates: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for word in WORDS:
        for rounding in ROUNDINGS:
            design = design_of(target, word, rounding=rounding, options=options, **rates)
            ring = design.ring(fast=True)
            trace = ring.run(UPDATES)
            found = distance(
                design.problem, rounding, design.alpha, design.gamma, trace, ring.table
            )
            rows.append({"word": word, "rounding": rounding, **found._asdict()})
            print(
                f"  {word:7} {rounding:11} max {found.max_error:.6f}  mean {found.mean_error:.6f}"
                f"  bound {found.bound:.6f}  policy {found.policy_agreement:.1%}"
            )
    return rows


def main() -> int:
    wanted = parser(__doc__).parse_args()
    tables = []
    for target, options, rates in TARGETS:
        print(f"\n{target}, {UPDATES:,} updates, {rates}")
        rows = measured(target, options, rates)
        tables.append({"target": target, "updates": UPDATES, **options, **rates, "rows": rows})
    record("hardware_error", {"tables": tables}, wanted.record)
    passed = [row for table in tables for row in table["rows"] if row["max_error"] > row["bound"]]
    return len(passed)


if __name__ == "__main__":
    sys.exit(main())
