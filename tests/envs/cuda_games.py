"""Plays games on the CUDA batch and its twins; run by test_cuda.py in a process of its own.

The simulator has to be chosen before Numba is imported: NUMBA_ENABLE_CUDASIM=1 in the environment.
A step of the simulator is interpreted, so the games are kept short and the boards small.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from qlearn.envs import registry
from qlearn.envs.builtin.snake_views import VIEWS
from qlearn.envs.cuda import CudaBatch
from qlearn.errors import UserError

COPIES = 1000
SEED = 20240607
FIELD = {"size": 4, "distance_to_border": 1, "start_length": 2, "max_steps": 4}

OWN = '''
import math

from qlearn.rng import integers, normal


class Walk:
    """A walk on a ring whose steps are drawn; some rewards are no number."""

    actions = 3
    observation = (2,)
    max_steps = 6
    state = {"place": "int64", "seen": ("int16", 5), "warm": "bool"}
    options = {"bad_from": 1000}

    def reset(state, rng, world):
        state.seen[:] = 0
        state.place = integers(rng, 5)
        state.warm = False

    def step(state, action, rng, world):
        state.place = (state.place + action - 1 + integers(rng, 2)) % 5
        state.seen[state.place] += 1
        state.warm = state.seen[state.place] > 1
        reward = float(state.seen[state.place])
        if action >= world.bad_from:
            reward = math.nan
        return reward, state.seen[state.place] == 3

    def observe(state, obs):
        obs[:] = 0.0
        obs[0] = state.place
        obs[1] = 1.0 if state.warm else 0.0


def progress(before, action, after, reward, terminated):
    return reward + 0.5 * (after[0] - before[0])
'''


def same(one, other, tolerance):
    if tolerance:
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    else:
        np.testing.assert_array_equal(one, other)


def same_copies(one, other, tolerance):
    """All that is known of every copy: its state, random stream and books."""
    for name, (kind, *_) in one.dtype.fields.items():
        if kind.names:
            same_copies(one[name], other[name], tolerance)
        else:
            same(one[name], other[name], tolerance if kind.kind == "f" else 0.0)


def records(batch):
    state = batch.get_state()
    return np.ascontiguousarray(state["copies"]).view(batch.environment.copy_dtype)[:, 0]


def three_ways(target, options, steps, tolerance=0.0, copies=COPIES):
    """The interpreter, the CPU and CUDA play the same games; then both batches by themselves."""
    environment = registry.find(target, options)
    plain, cpu, gpu = batches = [
        registry.batch(environment, copies, SEED, engine) for engine in ("python", "numba", "cuda")
    ]
    for batch in (plain, gpu):
        same(batch.reset()[0], cpu.reset(SEED)[0], tolerance)
    # Observations and rewards are float32: 1e-9 apart, they may be rounded to neighbours.
    seen = max(tolerance, 1e-6) if tolerance else 0.0
    draw = np.random.default_rng(SEED)
    terminated = truncated = 0
    for _ in range(steps):
        actions = draw.integers(environment.actions, size=copies)
        results = [batch.step(actions) for batch in batches]
        expected = results[1]
        ended = expected[2] | expected[3]
        for result in (results[0], results[2]):
            same(result[0], expected[0], seen)
            same(result[1], expected[1], seen)
            same(result[2], expected[2], 0.0)
            same(result[3], expected[3], 0.0)
            finals, expected_finals = (r[4]["final_observations"] for r in (result, expected))
            same(finals[ended], expected_finals[ended], seen)
        terminated += int(expected[2].sum())
        truncated += int(expected[3].sum())
    assert terminated, "no episode came to its end"
    assert truncated, "no episode was cut off"
    assert cpu.episodes.sum() == terminated + truncated
    for batch in (plain, gpu):
        same_copies(records(batch), records(cpu), tolerance)

    assert cpu.rollout(3) == gpu.rollout(3) == 3 * copies
    same_copies(records(gpu), records(cpu), tolerance)
    same(gpu.observations, cpu.observations, seen)
    same(gpu.final_observations, cpu.final_observations, seen)
    same(gpu.rewards, cpu.rewards, seen)
    same(gpu.terminated, cpu.terminated, 0.0)
    same(gpu.truncated, cpu.truncated, 0.0)
    for book in ("episodes", "last_length", "last_return", "last_score"):
        same(getattr(gpu, book), getattr(cpu, book), tolerance)
    print(target, options, "terminated", terminated, "truncated", truncated)


def grid():
    for reward in ("classic", "arrival"):
        three_ways("grid", {"reward": reward, "slip": 0.3, "max_steps": 8}, 14)


def cartpole():
    three_ways("cartpole", {"max_steps": 15, "shape_angle": 0.5}, 21, tolerance=1e-9)


def snake():
    for number, view in enumerate(VIEWS):
        for actions in ("relative", "absolute"):
            options = {
                **FIELD,
                "observation": view,
                "actions": actions,
                "approach_reward": 0.1 * number,
                "starve_after": 0 if number else 3,
            }
            three_ways("snake", options, 6)


def own():
    """A user's file, with a reward of the user's own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "walk.py"
        file.write_text(OWN)
        three_ways(f"{file}:Walk", {"reward": f"{file}:progress"}, 10, copies=100)
        # Not by `make`, which tries a user's file and tells such a reward beforehand.
        no_numbers(CudaBatch(registry.find(f"{file}:Walk", {"bad_from": 2}), 9, 5))
        one = registry.make(f"{file}:Walk", 1, 5, "cuda")
        one.reset()
        assert one.step([0])[0].shape == (1, 2)


def no_numbers(batch):
    batch.reset()
    batch.step([0] * 9)
    expect("Walk: `step` gave a reward that is no number (copy 4)", batch.step,
           [0, 1, 0, 1, 2, 2, 1, 2, 2])  # fmt: skip
    batch.step([1] * 9)  # told once
    batch.step(on_device([0, 0, 0, 0, 0, 0, 2, 0, 0]), device=True)
    batch.step(on_device([0, 0, 2, 0, 0, 0, 0, 0, 0]), device=True)
    expect("Walk: `step` gave a reward that is no number (copy 2)", batch.host)


def expect(message, call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert str(caught.value) == message


def on_device(values, kind=np.int64):
    from numba import cuda

    return cuda.to_device(np.array(values, kind))


def protocol():
    cpu, gpu = (registry.make("grid", 50, 3, engine, slip=0.2) for engine in ("numba", "cuda"))
    expect("reset() comes before the first step()", gpu.step, [0] * 50)
    expect("reset() comes before the first rollout()", gpu.rollout, 3)
    cpu.reset()
    gpu.reset()
    draw = np.random.default_rng(3)
    refusals(gpu)

    # Results that stay on the device, and actions that come from there.
    for kind in (np.int64, np.int32, np.uint8):
        actions = draw.integers(4, size=50)
        cpu.step(actions)
        results = gpu.step(on_device(actions, kind), device=True)
        there = [result.copy_to_host() for result in results[:4]]
        for one, other in zip(there, cpu._result(), strict=False):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(results[4]["final_observations"].copy_to_host(),
                                  cpu.final_observations)  # fmt: skip
    assert results[4]["valid"].copy_to_host().all()
    observations, *_, info = gpu.host()
    np.testing.assert_array_equal(observations, cpu.observations)
    np.testing.assert_array_equal(info["final_observations"], cpu.final_observations)
    assert observations.shape == (50, 1)
    assert observations is gpu.observations
    interface(gpu)

    # An impossible action from the device is told when the results come over; its copy waits.
    before = gpu.copies.copy()
    gpu.step(on_device([0] * 20 + [4] + [0] * 28 + [-1]), device=True)
    expect("grid: the action of copy 20 is not in 0 .. 3", gpu.host)
    after = gpu.copies
    moved = after["elapsed"] != before["elapsed"]
    assert not moved[20]
    assert not moved[49]
    assert moved[:20].any()
    gpu.host()  # told once

    # Either goes on where the other was, random players included.
    cpu.rollout(5)
    gpu.set_state(cpu.get_state())
    assert gpu.rollout(4, device=True) == cpu.rollout(4) == 200
    np.testing.assert_array_equal(gpu.host()[0], cpu.observations)
    cpu.set_state(gpu.get_state())
    actions = draw.integers(4, size=50)
    np.testing.assert_array_equal(gpu.step(actions)[0], cpu.step(actions)[0])
    for name, array in cpu.get_state().items():
        np.testing.assert_array_equal(gpu.get_state()[name], array)

    # A seeded reset is as new.
    gpu.reset(9)
    new = registry.make("grid", 50, 9, "cuda", slip=0.2)
    new.reset()
    np.testing.assert_array_equal(gpu.get_state()["copies"], new.get_state()["copies"])
    with pytest.raises(ValueError, match="read-only"):
        gpu.copies["elapsed"][0] = 1


def refusals(gpu):
    before = gpu.get_state()
    whole = "step() takes 50 whole numbers, one action for each copy"
    for wrong in (1, [0] * 49, [0.5] * 50, "up", on_device([0] * 49), on_device([0] * 50, float)):
        expect(whole, gpu.step, wrong)
    expect("grid: action 4 of copy 7 is not in 0 .. 3", gpu.step, [0] * 7 + [4] * 43)
    for name, array in gpu.get_state().items():
        np.testing.assert_array_equal(array, before[name])


def interface(gpu):
    """What CuPy and PyTorch read: (N, k) over memory that lies (k, N)."""
    if not hasattr(gpu.on_device.rewards, "__cuda_array_interface__"):
        return  # the simulator has none
    pole = registry.make("cartpole", 50, 0, "cuda")
    pole.reset()
    shown = pole.on_device.observations.__cuda_array_interface__
    assert shown["shape"] == (50, 4)
    assert shown["strides"] == (4, 200)
    np.testing.assert_array_equal(pole.on_device.observations.copy_to_host(), pole.observations)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[name]()
