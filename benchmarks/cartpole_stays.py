"""CartPole with the defaults: how good the last network is, and for how long it holds the pole.

    python benchmarks/cartpole_stays.py

Each seed is one `qlearn train cartpole` with the defaults; nothing was tuned on these seeds. The
last network, not the best, then plays greedily in Gymnasium's own CartPole-v1, one environment
stepped from Python, and without a time limit in ours, which takes the same steps. It *holds* the
pole where every such episode lasts as long as it may.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from typing import Any

import gymnasium

import qlearn
from _report import parser, record

FIRST_SEED = 2000  # nothing was ever tuned on it or those after it


def in_gymnasium(run: Any, episodes: int) -> list[float]:
    """The returns of greedy episodes in Gymnasium's own CartPole-v1."""
    act = run.learner().policy()
    game = gymnasium.make("CartPole-v1")
    returns = []
    for episode in range(episodes):
        seen, _ = game.reset(seed=episode)
        total, ended = 0.0, False
        while not ended:
            seen, reward, terminated, truncated, _ = game.step(act(seen))
            total += float(reward)
            ended = terminated or truncated
        returns.append(total)
    return returns


def judge(seed: int, options: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = qlearn.train("cartpole", seed=seed, out=f"{folder}/run")
        returns = in_gymnasium(run, options.episodes)
        beyond = run.evaluate(options.held, max_steps=options.hold)
        found = {
            "seed": seed,
            "train_seconds": run.report["train_seconds"],
            "mean": statistics.mean(returns),
            "min": min(returns),
            "shortest_beyond": int(beyond.lengths.min()),
            "held": bool((beyond.lengths == options.hold).all()),
            "drift": beyond.more["mean_abs_position"],
        }
    print(
        f"  seed {seed}: {found['train_seconds']:.2f} s, mean {found['mean']:.1f}, min"
        f" {found['min']:.0f}; beyond the limit at least {found['shortest_beyond']:,} steps",
        file=sys.stderr,
    )
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--episodes", type=int, default=100, help="in Gymnasium's CartPole-v1")
    options.add_argument("--held", type=int, default=20, help="episodes beyond the time limit")
    options.add_argument("--hold", type=int, default=100_000, help="steps of those")
    chosen = options.parse_args()
    seeds = [judge(FIRST_SEED + k, chosen) for k in range(chosen.seeds)]
    perfect = sum(seed["min"] == 500.0 for seed in seeds)
    held = sum(seed["held"] for seed in seeds)
    means = [seed["mean"] for seed in seeds]
    times = [seed["train_seconds"] for seed in seeds]
    print(f"\nThe last network of `qlearn train cartpole`, {len(seeds)} seeds")
    print(f"  mean and minimum 500 in Gymnasium's CartPole-v1   {perfect} of {len(seeds)}")
    print(
        f"  median of the means, worst                        {statistics.median(means):.1f}, {min(means):.1f}"
    )
    print(f"  holds the pole for {chosen.hold:,} steps              {held} of {len(seeds)}")
    print(
        f"  seconds of training, median, worst                {statistics.median(times):.2f}, {max(times):.2f}"
    )
    record(
        "cartpole_stays",
        {"perfect": perfect, "held": held, "options": vars(chosen), "seeds": seeds},
        chosen.record,
    )


if __name__ == "__main__":
    main()
