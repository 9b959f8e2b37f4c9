# rule: none
# ruff: noqa
import numpy as np

SIDE = 120
DISCOUNT = 0.99


def best_values(values):
    padded = np.pad(values, 1, mode="edge")
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.maximum.reduce(around)


def solve(tolerance):
    values = np.zeros((SIDE, SIDE))
    change = 1.0
    while change > tolerance:
        new = -1 + DISCOUNT * best_values(values)
        new[-1, -1] = 0
        change = np.abs(new - values).max()
        values = new
    return values


for _ in range(20):
    answer = solve(1e-6)
print(answer[0, 0])
