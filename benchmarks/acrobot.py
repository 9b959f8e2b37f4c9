"""Gymnasium's own Acrobot-v1, stepped from Python, with the defaults: what is learned, how fast.

python benchmarks/acrobot.py
"""

from __future__ import annotations

from _report import learned, parser, record

ENV = "gym:Acrobot-v1"
FIRST_SEED = 3000  # nothing was ever tuned on it or those after it


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    record("acrobot", {"env": ENV, **learned([ENV], FIRST_SEED, chosen.seeds)}, chosen.record)


if __name__ == "__main__":
    main()
