"""Many copies on one table: the rule for duplicates against literal loops, on every array library."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from table_learners import copied, learner

from qlearn.algorithms.table import rule
from qlearn.algorithms.table.arrays import CupyArrays, NumpyArrays, TorchArrays
from qlearn.algorithms.table.batched import update
from qlearn.errors import UserError
from qlearn.schedules import parse, value_at

torch = pytest.importorskip("torch")
RULES = ["q", "sarsa", "expected_sarsa", "double"]
RATES = [0.5, 0.1, 1.0, "0.9->0.1", "visits:1->0.05@0.6"]


@pytest.fixture
def cupy(monkeypatch):
    """NumPy in the place of CuPy, with the two functions that NumPy lacks."""
    fake = types.ModuleType("cupy")
    fake.__getattr__ = lambda name: getattr(np, name)
    fake.asnumpy = lambda array: np.array(array)
    fake.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 1))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


@pytest.fixture(params=["numpy", "torch", "cupy"])
def arrays(request, cupy):
    return {"numpy": NumpyArrays, "torch": TorchArrays, "cupy": CupyArrays}[request.param](0)


def plan(lr=0.5, decimals=-1):
    lr = parse(lr, 1000, "lr")
    return rule.Plan(lr, lr, 0.9, rule.Q_LEARNING, decimals, 4, 0)


def moved(arrays, table, visits, keys, targets, settings, t=0):
    table, visits = (arrays.put(np.array(a, np.float64)) for a in (table, visits))
    update(arrays, table, visits, arrays.put(keys), arrays.put(targets), settings, t, 0)
    return np.array(arrays.host(table)), np.array(arrays.host(visits))


@pytest.mark.parametrize("decimals", [-1, 3])
@pytest.mark.parametrize("lr", RATES)
def test_a_single_copy_learns_what_the_sequential_rule_does(arrays, lr, decimals):
    settings, chance = plan(lr, decimals), np.random.default_rng(1)
    table, visits = dict.fromkeys(np.ndindex(25, 4), 0.0), dict.fromkeys(np.ndindex(25, 4), 0)
    ours, seen = np.zeros(100), np.zeros(100)
    for t in range(200):
        state, action, target = chance.integers(25), chance.integers(4), chance.normal()
        rule.update(table, visits, state, action, target, settings, t, 0)
        key = np.array([4 * state + action])
        ours, seen = moved(arrays, ours, seen, key, np.array([target]), settings, t)
    np.testing.assert_allclose(ours, list(table.values()), rtol=0, atol=1e-12)
    if lr == RATES[-1]:
        assert seen.tolist() == list(visits.values())


def literal(table, visits, keys, targets, settings, t):
    """m single updates towards the mean of the m targets, one after the other."""
    table, visits = table.copy(), visits.copy()
    for key in set(keys.tolist()):
        mine = targets[keys == key]
        by_visits = settings.lr.kind == rule.VISITS
        lr = value_at(settings.lr, visits[key] if by_visits else t, 0)
        for _ in mine:
            table[key] += lr * (mine.mean() - table[key])
        if by_visits:
            visits[key] += len(mine)
        if settings.decimals >= 0:
            table[key] = rule.rounded(table[key], settings.decimals)
    return table, visits


@pytest.mark.parametrize("decimals", [-1, 3])
@pytest.mark.parametrize("lr", RATES)
def test_duplicates_move_as_far_as_so_many_updates_to_their_mean(arrays, lr, decimals):
    settings, chance = plan(lr, decimals), np.random.default_rng(2)
    ours = theirs = chance.normal(size=20)
    seen = counted = np.zeros(20)
    for t in range(25):
        keys, targets = chance.integers(20, size=64), chance.normal(size=64)
        theirs, counted = literal(theirs, counted, keys, targets, settings, t)
        ours, seen = moved(arrays, ours, seen, keys, targets, settings, t)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(seen, counted)
    if lr == RATES[-1]:
        assert seen.sum() == 25 * 64  # no update is lost


def test_the_order_of_the_copies_does_not_matter(arrays):
    chance = np.random.default_rng(3)
    keys, targets, table = (
        chance.integers(9, size=64),
        chance.normal(size=64),
        chance.normal(size=9),
    )
    order = chance.permutation(64)
    one = moved(arrays, table, table, keys, targets, plan(0.3))[0]
    other = moved(arrays, table, table, keys[order], targets[order], plan(0.3))[0]
    np.testing.assert_allclose(one, other, atol=1e-14)


def test_many_duplicates_neither_overshoot_nor_count_once(arrays):
    keys, targets = np.zeros(64, np.int64), np.full(64, 8.0)
    for lr in (0.1, 0.5, 1.0):
        found = moved(arrays, [0.0, 5.0], [0.0, 0.0], keys, targets, plan(lr))[0]
        assert found[0] == pytest.approx(8.0 * (1 - (1 - lr) ** 64), abs=1e-12)
        assert found[1] == 5.0


# Whole learners.
def spied(one):
    """Everything the batch answers, as it was answered."""
    steps, answer = [], one.batch.step

    def step(actions):
        observations, rewards, terminated, truncated, info = answer(actions)
        final = np.where(
            terminated | truncated, info["final_observations"][:, 0], observations[:, 0]
        )
        steps.append((np.array(actions), np.array(rewards, np.float64), terminated.copy(), final,
                      observations[:, 0].copy()))  # fmt: skip
        return observations, rewards, terminated, truncated, info

    one.batch.step = step
    return steps


@pytest.mark.parametrize("name", ["q", "expected_sarsa"])
@pytest.mark.parametrize(
    "options", [{"reward": "arrival", "max_steps": "6"}, {"slip": "0.2"}], ids=str
)
def test_a_table_is_what_its_transitions_say(name, options):
    """Ends are worth nothing further; a truncated episode's last state keeps its value."""
    one = learner("numpy", "grid", options, rule=name, epsilon=0.4, lr=0.2, envs=16, initial=1.0)
    states, steps = one.state.copy(), spied(one)
    one.advance(1600)
    table, ended = np.ones(100), 0
    for actions, rewards, terminated, final, following in steps:
        rows = table.reshape(25, 4)[final]
        values = rows.max(axis=1)
        if name == "expected_sarsa":
            values = 0.6 * values + 0.4 * rows.mean(axis=1)
        targets = rewards + 0.9 * values * ~terminated
        table, _ = literal(table, np.zeros(100), states * 4 + actions, targets, plan(0.2), 0)
        states, ended = following, ended + terminated.sum()
    assert len(steps) == 100
    assert ended > 20
    np.testing.assert_allclose(one.values().reshape(-1), table, rtol=0, atol=1e-12)


def test_double_learning_values_one_tables_choice_by_the_other():
    """One step of both coins, from tables that disagree."""
    for learned in range(2):
        one = learner("numpy", rule="double", envs=1, lr=1.0, epsilon=0.0)
        chance = np.random.default_rng(0)
        one.table[:], one.twin[:] = chance.normal(size=(2, 100))
        before = np.stack([one.table, one.twin]).reshape(2, 25, 4).copy()
        one.arrays.uniform = lambda n, learned=learned: np.full(n, 0.9 - 0.8 * learned)
        state, steps = int(one.state[0]), spied(one)
        one.advance(1)
        (actions, rewards, _, after, _), after_step = steps[0], np.stack([one.table, one.twin])
        best = before[learned, after[0]].argmax()
        target = rewards[0] + 0.9 * before[1 - learned, after[0], best]
        before[learned, state, actions[0]] = target
        np.testing.assert_allclose(after_step.reshape(2, 25, 4), before, atol=1e-12)


@pytest.mark.parametrize("name", ["q", "sarsa", "expected_sarsa"])
@pytest.mark.parametrize("options", [{}, {"slip": "0.3", "max_steps": "12"}], ids=str)
def test_one_greedy_copy_walks_the_sequential_engines_way(name, options):
    settings = {"rule": name, "epsilon": 0.0, "initial": 2.0, "lr": "visits:1@0.6"}
    slow = learner("dict", "grid", options, 4, **settings)
    returns = slow.advance(900)
    for engine in ("numpy", "torch"):
        one = learner(engine, "grid", options, 4, envs=1, **settings)
        np.testing.assert_allclose(one.advance(900), returns)
        np.testing.assert_allclose(one.values(), slow.values(), rtol=0, atol=1e-12)
        assert (one.updates, one.episodes) == (slow.updates, slow.episodes)


@pytest.mark.parametrize("lr", [0.1, "visits:1->0.05@0.6", "exponential:1->0.1"])
@pytest.mark.parametrize("name", RULES)
def test_numpy_torch_and_cupys_path_learn_the_same(cupy, name, lr):
    found = []
    for engine in ("numpy", "torch", "cupy"):
        one = learner(engine, seed=3, rule=name, lr=lr, epsilon=0.3, envs=32)
        returns = one.advance(3200)
        found.append((one.values(), returns))
        assert one.engine == engine
        assert one.device == ("cuda" if engine == "cupy" else "cpu")
    for values, returns in found[1:]:
        np.testing.assert_allclose(values, found[0][0], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(returns, found[0][1])
    assert np.abs(found[0][0]).max() > 1.0


@pytest.mark.parametrize("engine", ["numpy", "torch", "cupy"])
@pytest.mark.parametrize("name", RULES)
def test_a_saved_state_goes_on_to_the_bit(cupy, engine, name):
    how = {"rule": name, "lr": "visits:1@0.6", "epsilon": "1->0.1", "envs": 8, "steps": 4000}
    options = {"slip": "0.2", "max_steps": "20"}
    whole, half, other = (learner(engine, "grid", options, 6, **how) for _ in range(3))
    whole.advance(4000)
    half.advance(1003)
    other.advance(200)  # and forgets it
    other.set_state(copied(half))
    other.advance(4000)
    for name, array in whole.get_state().items():
        np.testing.assert_array_equal(array, other.get_state()[name], err_msg=name)
    assert (whole.env_steps, whole.episodes) == (other.env_steps, other.episodes)


class Resetting:
    """A batch whose every third step only resets the odd copies, as Gymnasium's may."""

    def __init__(self, inner):
        self.inner, self.turn = inner, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def step(self, actions):
        self.turn += 1
        observations, rewards, terminated, truncated, info = self.inner.step(actions)
        valid = np.ones(len(actions), bool)
        if self.turn % 3 == 0:
            valid[1::2] = False
            rewards = np.where(valid, rewards, 1e6)
            terminated, truncated = terminated & valid, truncated & valid
        return observations, rewards, terminated, truncated, {**info, "valid": valid}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_steps_that_only_reset_teach_nothing_and_are_not_counted(engine, name):
    one = learner(engine, rule=name, envs=10, lr="visits:1", epsilon=0.5)
    one.batch = Resetting(one.batch)
    one.advance(1)
    one.advance(1000)
    assert np.abs(one.values()).max() < 100.0  # 1e6 was never believed
    rounds = one.batch.turn
    assert one.updates == one.env_steps == rounds * 10 - rounds // 3 * 5
    assert float(one.visits.sum()) == one.updates


def test_no_copy_valid_is_no_update():
    one = learner("numpy", envs=2)
    inner = one.batch.step
    one.batch.step = lambda actions: (
        *inner(actions)[:4],
        {**one.batch.info, "valid": np.zeros(2, bool)},
    )
    before = one.values().copy()
    one._step()
    assert one.env_steps == one.updates == 0
    np.testing.assert_array_equal(one.values(), before)


def test_all_copies_count_every_step():
    one = learner("numpy", envs=7)
    one.advance(100)
    assert one.env_steps == one.updates == 105  # whole steps of all copies


def test_gymnasiums_own_copies_learn_the_lake():
    options = {"native": "false", "is_slippery": "false"}
    one = learner("numpy", "gym:FrozenLake-v1", options, envs=8, steps=6000, epsilon=0.8)
    one.advance(6000)
    assert one.evaluate(20, 0, 100).mean == 1.0


def test_a_library_that_is_missing_says_how_to_install_it(monkeypatch):
    for engine, extra in (("cupy", "gpu"), ("torch", "torch")):
        monkeypatch.setitem(sys.modules, engine, None)
        with pytest.raises(
            UserError, match=rf"{engine} is not installed: pip install .*\[{extra}\]"
        ):
            learner(engine)


def test_no_gpu_is_said_in_words(cupy, monkeypatch):
    def no_device():
        raise RuntimeError("cudaErrorNoDevice")

    cupy.cuda.runtime.getDeviceCount = no_device
    with pytest.raises(UserError, match="cupy found no CUDA device"):
        learner("cupy")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch found no CUDA device"):
        learner("torch", device="cuda")
