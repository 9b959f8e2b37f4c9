"""DQN on Gymnasium's LunarLander-v3 and MountainCar-v0, by their presets: what is learned, how fast.

    pip install 'gymnasium[box2d]'
    python benchmarks/dqn_gymnasium.py

Five seeds each, on which nothing was tuned; the last network plays 100 greedy episodes.
"""

from __future__ import annotations

from _report import learned, parser, record

PRESETS = ("lunarlander", "mountaincar")
FIRST_SEED = 3000  # nothing was ever tuned on it or those after it


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    tables = {preset: learned(["--preset", preset], FIRST_SEED, chosen.seeds) for preset in PRESETS}
    record("dqn_gymnasium", tables, chosen.record)


if __name__ == "__main__":
    main()
