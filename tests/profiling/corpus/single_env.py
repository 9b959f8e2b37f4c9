# rule: single-env
# ruff: noqa
import random

import gymnasium as gym

env = gym.make("CartPole-v1")


def bucket(observation):
    _, speed, angle, turning = observation.tolist()
    a = min(max(int(angle * 20 + 5), 0), 9)
    b = min(max(int(turning * 2 + 5), 0), 9)
    return a * 20 + b * 2 + (speed > 0)


def learn(episodes):
    Q = [[0.0, 0.0] for _ in range(200)]
    for episode in range(episodes):
        observation, _ = env.reset()
        state = bucket(observation)
        done = False
        while not done:
            row = Q[state]
            if random.random() < max(0.05, 1 - 2 * episode / episodes):
                action = random.randrange(2)
            else:
                action = row.index(max(row))
            observation, reward, terminated, truncated, _ = env.step(action)
            next_state = bucket(observation)
            target = reward if terminated else reward + 0.99 * max(Q[next_state])
            row[action] += 0.1 * (target - row[action])
            state = next_state
            done = terminated or truncated
    return Q


print(max(learn(1_000)))
