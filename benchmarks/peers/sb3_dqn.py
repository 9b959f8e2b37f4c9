"""Stable-Baselines3's DQN on CartPole-v1, with the settings that rl-zoo3 tuned for it.

Prints one JSON line: when it was solved, as _solved.py defines it, its evaluations not timed.
"""

from __future__ import annotations

import time

BEGUN = time.perf_counter()  # before the imports below, which are part of a user's waiting

import torch  # noqa: E402
from _sb3 import train  # noqa: E402
from _solved import answer, parser  # noqa: E402
from stable_baselines3 import DQN  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402

STEPS = 50_000


def main() -> None:
    chosen = parser(__doc__)
    chosen.add_argument("--net", default="256x256", help="the widths of the hidden layers")
    options = chosen.parse_args()
    torch.set_num_threads(1)
    model = DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 1, seed=options.seed),
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1_000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [int(width) for width in options.net.split("x")]},
        seed=options.seed,
        device="cpu",
    )
    startup = time.perf_counter() - BEGUN
    examiner = train(model, options.steps or STEPS)
    answer("sb3_dqn", options.seed, examiner.judge, examiner.clock, startup)


if __name__ == "__main__":
    main()
