"""What `qlearn profile` predicts for the classic script, and what following it gives.

    python benchmarks/profile_gain.py [--record] [--episodes 200000]

The prediction is the report's, from the proofs of its findings (`--prove`); what it gives is
`qlearn compare` of examples/classic/q_learning.py and q_learning_mended.py, in fresh processes
that take turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import qlearn
from _report import parser, record

CLASSIC = Path(__file__).parent.parent / "examples" / "classic"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--episodes", type=int, default=200_000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        os.environ["QLEARN_RUNS"] = runs
        measure(asked)


def measure(asked: argparse.Namespace) -> None:
    before, after = CLASSIC / "q_learning.py", CLASSIC / "q_learning_mended.py"
    with open(os.devnull, "w") as nowhere:
        report = qlearn.profile(before, [str(asked.episodes)], prove=True, output=nowhere)
    print(f"profile: {report['predicted_gain']:.2f}x predicted, of which")
    for finding in report["findings"]:
        proof = finding["proof"]
        proven = f"{proof['speedup']:.1f}x where measured" if proof else "no proof"
        print(f"  {finding['rule']:18} line {finding['line']:3} {finding['share']:5.1%}  {proven}")
    targets = [f"{path} {asked.episodes}" for path in (before, after)]
    rows = qlearn.compare(*targets, repeats=asked.repeats)["rows"]
    measured = rows[1]["speedup"]
    print(
        f"compare: {measured['median']:.2f}x [{measured['low']:.2f} .. {measured['high']:.2f}], "
        f"{measured['median'] / report['predicted_gain']:.2f} of the prediction"
    )
    findings = [
        {key: finding[key] for key in ("rule", "line", "share", "gain_limit", "proof")}
        for finding in report["findings"]
    ]
    kept = {
        "episodes": asked.episodes,
        "predicted_gain": report["predicted_gain"],
        "findings": findings,
        "rows": rows,
    }
    record("profile_gain", kept, asked.record)


if __name__ == "__main__":
    main()
