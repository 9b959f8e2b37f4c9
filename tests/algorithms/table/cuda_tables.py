"""Trains tables on CUDA and on the CPU; run by test_cuda_agents.py in a process of its own.

The simulator has to be chosen before Numba is imported: NUMBA_ENABLE_CUDASIM=1 in the environment.
A step of the simulator is interpreted, so there are few agents and few steps.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from qlearn import rng
from qlearn.algorithms import registry as algorithms
from qlearn.algorithms.table import cuda, cuda_loop, exact, tabulated
from qlearn.algorithms.table.agents import Agents
from qlearn.algorithms.table.config import TableConfig
from qlearn.algorithms.table.cuda import CudaAgents
from qlearn.envs import registry
from qlearn.envs.model import model_of
from qlearn.errors import UserError

SEEDS = [3, 5, 2**40 + 7, 2**63 - 1, 0]
CONSTANT = TableConfig(lr=0.5, epsilon=0.3, steps=500)
FALLING = TableConfig(lr="0.5->0.1", epsilon="step:1->0.1@0.5", steps=500, initial=1.0)

# Three actions, so that random ones may be refused and drawn again; ends by itself and by time.
LINE = '''
import numpy as np

from qlearn.envs.model import Model


def line_model(world):
    to = np.array([[max(s - 1, 0), s, min(s + 1, 5)] for s in range(6)])[:, :, None]
    reward = np.where(to == 5, 1.0, -0.25)
    start = np.zeros(6)
    start[1] = 1.0
    return Model(to, np.ones(to.shape), reward, to == 5, start)


class Line:
    """Left, stay or right; the end is on the right."""

    actions = 3
    observation = 6
    max_steps = 7
    discount = 0.9
    state = {"place": "int64"}
    state_number = "place"
    model = line_model

    def reset(state, rng): state.place = 1

    def step(state, action, rng):
        state.place = min(max(state.place + action - 1, 0), 5)
        return (1.0 if state.place == 5 else -0.25), state.place == 5

    def observe(state, obs): obs[0] = state.place
'''


def played_on_the_cpu(environment, config, seed):
    """The CPU agent's own text, run by the interpreter: (actions, states, rewards, table)."""
    plan = cuda.plan_of(environment, config)
    world = tabulated.fits(environment, plan)
    table = np.full(len(world.to), config.initial)
    words, whole, _ = tabulated.working_arrays(1)
    whole[0, tabulated.PLACE] = world.start
    player = rng.streams(seed, 1, rng.PLAYER)[0]
    tabulated.open_stream(words[0], whole[0], player)
    schedules = cuda.Schedules(plan, np.dtype("float64"))
    lrs, _ = schedules.values(0, config.steps)
    entries, states = [], []
    for now in range(config.steps):
        entry, _ = tabulated.step(
            table, words[0], whole[0], player, world, lrs[min(now, len(lrs) - 1)],
            tabulated.value_at(plan.epsilon, now, 0), plan.actions, plan.max_steps,
        )  # fmt: skip
        entries.append(int(entry))
        states.append(int(whole[0, tabulated.PLACE]))
    entries = np.array(entries)
    return entries % plan.actions, np.array(states), world.reward[entries], table


def worlds(folder):
    file = Path(folder) / "line.py"
    file.write_text(LINE)
    yield registry.find("grid", {})
    yield registry.find("grid", {"max_steps": 9})
    yield registry.find(f"{file}:Line", {})


def given(folder):
    """The CPU agent's actions: its states and rewards, and its table within the tables' float."""
    for environment in worlds(folder):
        for config in (CONSTANT, FALLING):
            played = [played_on_the_cpu(environment, config, seed) for seed in SEEDS[:2]]
            cpu = Agents(environment, config, SEEDS[:2])
            cpu.advance(config.steps)
            actions, states, rewards, tables = (
                np.array(parts) for parts in zip(*played, strict=True)
            )
            np.testing.assert_array_equal(tables.reshape(cpu.tables.shape), cpu.tables)
            for dtype, tolerance in (("float64", 0.0), ("float32", 1e-5)):
                agents = CudaAgents(environment, config, SEEDS[:2], dtype)
                for part in (actions[:, :123], actions[:, 123:]):
                    agents.follow(part.T)
                again = CudaAgents(environment, config, SEEDS[:2], dtype)
                seen, earned = again.follow(actions.T)
                np.testing.assert_array_equal(seen.T, states)
                np.testing.assert_array_equal(earned.T, rewards.astype(dtype))
                np.testing.assert_array_equal(agents.tables, again.tables)
                np.testing.assert_allclose(again.tables, cpu.tables, rtol=0, atol=tolerance)


def own(folder):
    """Its own exploration, in chunks of any size: the CPU's tables, bit for bit in float64."""
    for environment in worlds(folder):
        for config in (CONSTANT, FALLING):
            seeds = SEEDS if environment.name == "Line" else SEEDS[2:4]
            cpu = Agents(environment, config, seeds)
            cpu.advance(1 + 2 + 777)
            one, chunks = (CudaAgents(environment, config, seeds, "float64") for _ in range(2))
            one.advance(780)
            for steps in (1, 3, 780):
                chunks.advance(steps)
            np.testing.assert_array_equal(one.tables, cpu.tables)
            for name, array in one.get_state().items():
                np.testing.assert_array_equal(chunks.get_state()[name], array)
            assert one.updates == cpu.updates == 780 * len(seeds)


def optimum(folder):
    """float32: what the greedy policy meets on its way is worth what it is worth exactly."""
    environment = registry.find("grid", {})
    agents = CudaAgents(environment, TableConfig(lr=0.5, epsilon=0.3, steps=3000), SEEDS[:4])
    agents.advance(3000)
    model = model_of(environment)
    best = exact.solve(model, environment.discount).table
    for table in agents.tables:
        place = int(np.argmax(model.start))
        for _ in range(model.states):
            action = int(np.argmax(table[place]))
            assert abs(table[place, action] - best[place].max()) < 1e-3
            if model.ended[place, action, 0]:
                break
            place = int(model.to[place, action, 0])
        else:
            raise AssertionError("the greedy policy goes in circles")


def learner(folder):
    environment = registry.find("grid", {})
    settings = {"lr": 0.5, "epsilon": 0.3, "envs": 3, "steps": 600}
    config = algorithms.configure("table", settings, environment, "cuda")
    one, other = (algorithms.make_learner("table", "cuda", environment, config, 7) for _ in "ab")
    returns = one.advance(301)
    assert one.env_steps == one.updates == 303
    assert not one.finished
    assert returns.shape == (1,)
    other.set_state(one.get_state())
    for each in (one, other):
        each.advance(600)
        assert each.finished
    np.testing.assert_array_equal(one.values(), other.values())
    assert one.episodes == other.episodes > 0
    alone = CudaAgents(environment, CONSTANT, [7])
    alone.advance(200)
    np.testing.assert_array_equal(one.values(), alone.tables[0])
    assert one.evaluate(3, 0, 50).report()
    assert one.policy()(np.array([0])) in range(4)
    assert one.figures() == {"epsilon": 0.3, "lr": 0.5}
    assert (one.engine, one.device, one.envs) == ("cuda", "cuda", 3)
    assert one.advance(600).size == 0

    config = algorithms.configure(
        "table", {**settings, "steps": 10**6, "episodes": 5}, environment, "cuda"
    )
    short = algorithms.make_learner("table", "cuda", environment, config, 7)
    short.advance(10**6)
    assert short.finished
    assert short.env_steps == 3 * cuda.EPISODE_STEPS


def turned(folder):
    """Knobs turned while it learns: it goes on as one that was made so."""
    grid, changes = registry.find("grid", {}), {"lr": "0.5->0.1", "epsilon": 0.8, "discount": 0.5}

    def made(**more):
        settings = {"lr": 0.9, "steps": 3000, "envs": 3, **more}
        config = algorithms.configure("table", settings, grid, "cuda")
        return algorithms.make_learner("table", "cuda", grid, config, 7)

    learner, other, untouched = made(), made(**changes), made()
    learner.advance(900)
    for one in (other, untouched):
        one.set_state(learner.get_state())
    learner.retune(changes)
    with pytest.raises(UserError, match="by visits needs them counted"):
        learner.retune({"lr": "visits:1@0.6"})
    for one in (learner, other, untouched):
        one.advance(1800)
    for name, array in other.get_state().items():
        np.testing.assert_array_equal(learner.get_state()[name], array)
    assert (learner.get_state()["tables"] != untouched.get_state()["tables"]).any()
    assert learner.figures()["epsilon"] == learner.live()["epsilon"]["value"] == 0.8


def errors(folder):
    grid = registry.find("grid", {})

    def refused(environment=grid, dtype="float32", **settings):
        with pytest.raises(UserError) as caught:
            CudaAgents(environment, TableConfig(**{"lr": 0.5, "steps": 9, **settings}), [0], dtype)
        return str(caught.value)

    assert refused(rule="sarsa").startswith("the cuda engine learns by rule q alone")
    assert refused(lr="visits:1@0.6").startswith("the cuda engine counts no visits")
    assert refused(round_to=3).startswith("the cuda engine does not round")
    assert refused(epsilon="decay:1->0.1@0.9/ep") == (
        "epsilon: schedules of the cuda engine count steps; --engine numba learns it by episodes"
    )
    assert refused(lr=2).startswith("lr must be between 0 and 1")
    assert refused(dtype="float16") == "dtype is float32 or float64, not float16"
    assert refused(registry.find("grid", {"slip": 0.1})).startswith(
        "the cuda engine takes worlds where nothing is drawn, with one first state; grid is none"
    )
    assert "--set env.buckets" in refused(registry.find("cartpole", {}))
    agents = CudaAgents(grid, CONSTANT, [0, 1])
    for wrong in (np.zeros((5, 3)), np.full((5, 2), 4)):
        with pytest.raises(UserError):
            agents.follow(wrong)


def refusals_of_the_generator(folder):
    """A refused random word is followed by the next, over the end of a ring too."""
    actions, threads = np.int64(2**31 - 1), np.uint32(1)  # half of the words are refused
    ring = np.uint32(0)
    for copies in range(20):
        words = np.zeros(cuda_loop.RING, np.uint32)
        stream = rng.stream(copies, 0, rng.PLAYER)
        block, left = np.int64(0), np.int32(0)
        low, high = np.uint32(copies), np.uint32(0)
        for _ in range(30):
            while left < cuda_loop.SPARE:
                cuda_loop.encrypt(words, ring, threads, block, low, high)
                block, left = block + 1, np.int32(left + 4)
            drawn, block, left = cuda_loop.drawn(
                words, ring, threads, block, left, low, high, True, actions
            )
            left = np.int32(left - 1)
            assert drawn == rng.integers(stream, int(actions))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        globals()[name](sys.argv[1])
