"""Stable-Baselines3's PPO on CartPole-v1, with the settings that rl-zoo3 tuned for it.

Prints one JSON line: when it was solved, as _solved.py defines it, its evaluations not timed.
"""

from __future__ import annotations

import time

BEGUN = time.perf_counter()  # before the imports below, which are part of a user's waiting

import torch  # noqa: E402
from _sb3 import train  # noqa: E402
from _solved import answer, parser  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402

STEPS = 100_000


def main() -> None:
    options = parser(__doc__).parse_args()
    torch.set_num_threads(1)
    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 8, seed=options.seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: 1e-3 * left,
        clip_range=lambda left: 0.2 * left,
        seed=options.seed,
        device="cpu",
    )
    startup = time.perf_counter() - BEGUN
    examiner = train(model, options.steps or STEPS)
    answer("sb3_ppo", options.seed, examiner.judge, examiner.clock, startup)


if __name__ == "__main__":
    main()
