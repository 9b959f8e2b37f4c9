"""Trains a Stable-Baselines3 model on CartPole-v1 and evaluates it while its clock stands still.

The clock runs from the first environment step to the last update. The policy is evaluated right
after an update, as soon as 1,000 steps have passed, on 20 environments at once.
"""

from __future__ import annotations

from _solved import EPISODES, EVALUATION_SEED, Judge, Stopwatch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


class Examiner(BaseCallback):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Stopwatch()
        self.judge = Judge()
        self._envs = make_vec_env("CartPole-v1", EPISODES, seed=EVALUATION_SEED)

    def _on_rollout_start(self) -> None:
        """A rollout starts where the last one's updates end."""
        with self.clock.paused():
            if self.judge.due(self.num_timesteps):
                self._examine()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.clock.stop()
        self._examine()

    def _examine(self) -> None:
        mean, _ = evaluate_policy(self.model, self._envs, EPISODES, deterministic=True)
        assert isinstance(mean, float)
        self.judge.hear(mean, self.num_timesteps, self.clock.seconds)


def train(model: BaseAlgorithm, steps: int) -> Examiner:
    examiner = Examiner()
    model.learn(steps, callback=examiner)
    return examiner
