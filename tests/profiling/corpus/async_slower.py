# rule: async-slower
# ruff: noqa
import gymnasium as gym
import numpy as np


def features(observations):
    return np.tanh(observations)


def learn(steps):
    envs = gym.make_vec("CartPole-v1", num_envs=4, vectorization_mode="async")
    rng = np.random.default_rng(0)
    weights = np.zeros((4, 2))
    observations, _ = envs.reset(seed=0)
    for step in range(steps):
        x = features(observations)
        explores = rng.random(4) < max(0.05, 1 - 2 * step / steps)
        actions = np.where(explores, rng.integers(2, size=4), (x @ weights).argmax(axis=1))
        observations, rewards, terminated, _, _ = envs.step(actions)
        future = (features(observations) @ weights).max(axis=1)
        targets = rewards + 0.95 * ~terminated * future
        errors = targets - (x @ weights)[np.arange(4), actions]
        weights += 0.01 * x.T @ (np.eye(2)[actions] * errors[:, None])
    envs.close()
    return weights


if __name__ == "__main__":
    print(learn(1_500))
