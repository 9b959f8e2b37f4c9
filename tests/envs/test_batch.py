"""Batches: one game, whatever the size, the threads, the interpreter, the break in between."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qlearn
from qlearn import rng as streams
from qlearn.envs import registry
from qlearn.envs.plain import PlainGame
from qlearn.envs.spec import from_class
from qlearn.errors import UserError
from qlearn.rng import integers, uniform

WORLDS = {
    "grid": ("grid", {"slip": 0.3}),
    "arrival": ("grid", {"reward": "arrival", "max_steps": 7}),
    "cartpole": ("cartpole", {"shape_angle": 0.5}),
    "features": ("snake", {"observation": "features", "starve_after": 25}),
    "board": ("snake", {"actions": "absolute", "approach_reward": 0.1}),
}
ENGINES = ("numba", "python")


@pytest.fixture(scope="module")
def shared():
    """Batches by (world, envs, threads, engine), made once: compiling is the dear part."""
    made = {}

    def get(world, envs=1, threads=1, engine="numba"):
        key = world, envs, threads, engine
        if key not in made:
            target, options = WORLDS[world]
            made[key] = qlearn.make(target, envs, 0, engine, threads, **options)
        return made[key]

    yield get
    for batch in made.values():
        batch.close()


def table_of_actions(batch, steps, copies=None):
    """Actions of each copy, the same ones whatever the number of copies."""
    rows = [
        np.random.default_rng([5, copy]).integers(batch.environment.actions, size=steps)
        for copy in range(copies or batch.envs)
    ]
    return np.array(rows).T


def play(batch, actions):
    """All that the batch says, step for step: a tuple of arrays (steps, copies, ...)."""
    seen = []
    for row in actions:
        observations, rewards, terminated, truncated, info = batch.step(row)
        ended = (terminated | truncated)[:, None]
        final = np.where(ended, info["final_observations"], 0)
        seen.append([x.copy() for x in (observations, rewards, terminated, truncated, final)])
    return tuple(np.array(part) for part in zip(*seen, strict=True))


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same_state(one, other):
    one, other = one.get_state(), other.get_state()
    for name in ("copies", "observations"):
        np.testing.assert_array_equal(one[name], other[name])


# The same game everywhere


@pytest.mark.parametrize("world", WORLDS)
def test_the_batch_size_changes_no_bit(shared, world):
    large = shared(world, 1000)
    first, _ = large.reset(seed=3)
    first = first.copy()
    actions = table_of_actions(large, 60)
    expected = play(large, actions)
    for envs in (1, 7, 64):
        batch = shared(world, envs)
        observations, _ = batch.reset(seed=3)
        np.testing.assert_array_equal(observations, first[:envs])
        assert_same(play(batch, actions[:, :envs]), [part[:, :envs] for part in expected])
        np.testing.assert_array_equal(
            batch.get_state()["copies"], large.get_state()["copies"][:envs]
        )


@pytest.mark.parametrize("world", ["cartpole", "features"])
def test_the_thread_count_changes_no_bit(shared, world):
    alone = shared(world, 3001)
    alone.reset(seed=4)
    actions = table_of_actions(alone, 30)
    expected = play(alone, actions)
    for threads in (2, 3, 8):
        batch = shared(world, 3001, threads)
        batch.reset(seed=4)
        assert_same(play(batch, actions), expected)
        assert_same_state(batch, alone)


@pytest.mark.parametrize("world", WORLDS)
def test_interpreter_and_compiler_play_identical_games(shared, world):
    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 2**63 - 1), choice=st.integers(0, 2**32 - 1))
    def check(seed, choice):
        fast, plain = shared(world, 3), shared(world, 3, engine="python")
        fast.reset(seed)
        plain.reset(seed)
        np.testing.assert_array_equal(fast.observations, plain.observations)
        actions = np.random.default_rng(choice).integers(fast.environment.actions, size=(40, 3))
        assert_same(play(fast, actions), play(plain, actions))
        assert_same_state(fast, plain)

    check()


@pytest.mark.parametrize("world", ["grid", "cartpole", "features"])
def test_a_thousand_seeds_play_identical_games(shared, world):
    fast, plain = shared(world), shared(world, engine="python")
    rng = np.random.default_rng(0)
    for _ in range(1000):
        seed = int(rng.integers(2**63))
        actions = rng.integers(fast.environment.actions, size=(12, 1))
        fast.reset(seed)
        plain.reset(seed)
        for row in actions:
            one, other = fast.step(row), plain.step(row)
            for a, b in zip(one[:4], other[:4], strict=True):
                assert a.tobytes() == b.tobytes()
    assert_same_state(fast, plain)


def test_copies_differ_and_seeds_differ(shared):
    batch = shared("cartpole", 64)
    one = batch.reset(seed=0)[0].copy()
    other = batch.reset(seed=1)[0].copy()
    assert len(np.unique(np.concatenate([one, other]), axis=0)) == 128


def test_a_hundred_thousand_copies():
    batch = qlearn.make("cartpole", envs=100_000, seed=11)
    observations, _ = batch.reset()
    actions = np.arange(100_000) % 2
    for index in (0, 511, 99_999):
        game = PlainGame(registry.find("cartpole"), 11, index)
        np.testing.assert_array_equal(observations[index], game.reset())
    batch.step(actions)
    for index in (0, 99_999):
        game = PlainGame(registry.find("cartpole"), 11, index)
        game.reset()
        game.step(index % 2)
        np.testing.assert_array_equal(batch.observations[index], game.observation)
    assert np.isfinite(batch.observations).all()


# Breaks


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("world", ["grid", "cartpole", "board"])
def test_a_seeded_reset_is_as_good_as_new(shared, world, engine):
    target, options = WORLDS[world]
    used = shared(world, 7, engine=engine)
    used.reset(seed=99)
    play(used, table_of_actions(used, 25))
    new = qlearn.make(target, envs=7, seed=8, engine=engine, **options)
    first = new.reset()[0].copy()
    np.testing.assert_array_equal(used.reset(seed=8)[0], first)
    assert_same_state(used, new)
    actions = table_of_actions(new, 25)
    assert_same(play(used, actions), play(new, actions))
    assert (used.episodes == new.episodes).all()


def test_an_unseeded_reset_begins_other_games(shared):
    batch = shared("cartpole", 7)
    first = batch.reset(seed=0)[0].copy()
    assert (batch.reset()[0] != first).any(axis=1).all()


@pytest.mark.parametrize("giver", ENGINES)
@pytest.mark.parametrize("taker", ENGINES)
@pytest.mark.parametrize("world", ["grid", "cartpole", "features"])
def test_a_state_goes_on_bit_for_bit_in_any_batch(shared, world, giver, taker):
    one = shared(world, 7, engine=giver)
    one.reset(seed=5)
    actions = table_of_actions(one, 50)
    play(one, actions[:20])
    state = one.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    expected = play(one, actions[20:])
    assert all((state[name] == kept[name]).all() for name in kept)  # a copy, not a view
    target, options = WORLDS[world]
    other = qlearn.make(target, envs=7, seed=1, engine=taker, **options)
    other.set_state(state)
    np.testing.assert_array_equal(other.observations, kept["observations"])
    assert_same(play(other, actions[20:]), expected)
    assert_same_state(other, one)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_state_of_other_copies_or_fields_is_refused(shared, engine):
    batch = shared("grid", 7, engine=engine)
    for world, envs in (("grid", 1), ("cartpole", 7)):
        other = shared(world, envs)
        other.reset(seed=0)
        with pytest.raises(UserError, match="this state is not of 7 copies with these fields"):
            batch.set_state(other.get_state())


def test_a_rollout_is_random_play_of_the_players_streams(shared):
    batch, reference = shared("features", 70), shared("features", 70, engine="python")
    batch.reset(seed=2)
    reference.reset(seed=2)
    assert batch.rollout(9) == 9 * 70
    players = [streams.stream(2, copy, streams.PLAYER) for copy in range(70)]
    for _ in range(9):
        reference.step([integers(player, 3) for player in players])
    assert_same_state(batch, reference)


def test_rollouts_go_on_from_a_state(shared):
    batch = shared("features", 70)
    batch.reset(seed=2)
    batch.rollout(10)
    state = batch.get_state()
    batch.rollout(10)
    expected = batch.get_state()
    batch.reset(seed=3)
    batch.set_state(state)
    batch.rollout(10)
    for name, array in batch.get_state().items():
        np.testing.assert_array_equal(array, expected[name])
    batch.reset(seed=2)
    batch.rollout(20)
    np.testing.assert_array_equal(batch.copies, np.ascontiguousarray(expected["copies"]).view(
        batch.copies.dtype)[:, 0])  # fmt: skip


# What a step says


class Count:
    """Counts to five; a copy may be one ahead."""

    actions = 2
    observation = (2,)
    options = {"max_steps": 100, "give_up_at": 100, "end": 5}
    state = {"n": "int64", "steps": "int64"}

    @staticmethod
    def reset(state, rng):
        state.n = 0
        state.steps = 0

    @staticmethod
    def step(state, action, rng, world):
        state.steps += 1
        state.n += action
        return 0.5 * state.n, state.n >= world.end

    @staticmethod
    def observe(state, obs):
        obs[0] = state.n
        obs[1] = state.steps

    @staticmethod
    def truncated(state, world):
        return state.steps >= world.give_up_at


def count(engine="numba", envs=1, **options):
    batch = registry.batch(from_class(Count, "count", "builtin", options), envs, 0, engine)
    batch.reset()
    return batch


@pytest.mark.parametrize("engine", ENGINES)
class TestEnds:
    def test_the_end_at_the_limit_is_a_termination(self, engine):
        batch = count(engine, max_steps=5)
        for _ in range(4):
            *_, terminated, truncated, _ = batch.step([1])
            assert not terminated[0]
            assert not truncated[0]
        *_, terminated, truncated, _ = batch.step([1])
        assert (terminated[0], truncated[0]) == (True, False)

    @pytest.mark.parametrize("options", [{"max_steps": 4}, {"give_up_at": 4}])
    def test_the_limit_before_the_end_is_a_truncation(self, engine, options):
        batch = count(engine, **options)
        for _ in range(3):
            assert not batch.step([1])[3][0]
        *_, terminated, truncated, _ = batch.step([1])
        assert (terminated[0], truncated[0]) == (False, True)

    def test_without_a_limit_a_game_never_ends(self, engine):
        batch = count(engine, max_steps=0, give_up_at=10**6)
        for _ in range(300):
            *_, terminated, truncated, _ = batch.step([0])
            assert not terminated[0]
            assert not truncated[0]

    def test_the_last_state_is_kept_and_the_next_game_has_begun(self, engine):
        batch = count(engine, envs=2)
        for _ in range(4):
            batch.step([1, 0])
        observations, rewards, terminated, _, info = batch.step([1, 0])
        assert terminated.tolist() == [True, False]
        assert observations.tolist() == [[0.0, 0.0], [0.0, 5.0]]
        assert info["final_observations"][0].tolist() == [5.0, 5.0]
        assert rewards.tolist() == [2.5, 0.0]
        assert info["valid"].all()
        assert batch.step([1, 1])[0].tolist() == [[1.0, 1.0], [1.0, 6.0]]

    def test_returns_scores_and_lengths_are_of_the_last_finished_game(self, engine):
        batch = count(engine, envs=2)
        assert batch.episodes.tolist() == [0, 0]
        for _ in range(5):
            batch.step([1, 0])
        assert batch.episodes.tolist() == [1, 0]
        assert batch.last_return.tolist() == [7.5, 0.0]
        assert batch.last_score.tolist() == [7.5, 0.0]
        assert batch.last_length.tolist() == [5, 0]
        for _ in range(10):
            batch.step([1, 1])
        assert batch.episodes.tolist() == [3, 2]
        assert batch.last_length.tolist() == [5, 5]


def test_the_last_state_before_a_limit_is_the_state_without_it(shared):
    free, limited = shared("cartpole", 64), qlearn.make(
        "cartpole", envs=64, max_steps=6, shape_angle=0.5)  # fmt: skip
    free.reset(seed=6)
    limited.reset(seed=6)
    actions = table_of_actions(free, 6)
    for row in actions[:5]:
        free.step(row)
        limited.step(row)
    there = free.step(actions[5])[0]
    assert not free.terminated.any()
    *_, truncated, info = limited.step(actions[5])
    assert truncated.all()
    np.testing.assert_array_equal(info["final_observations"], there)


# The learning reward


REWARDS = """
import math
WEIGHT = 2.0

def bonus(before, action, after, reward, terminated):
    if terminated:
        return -10.0
    return WEIGHT * math.fabs(after[2]) * 0.1 + before[3] * 0.3 + action + 0.25 * reward
"""


def bonus(before, action, after, reward, terminated):
    ordinary = 2.0 * abs(float(after[2])) * 0.1 + float(before[3]) * 0.3 + action + 0.25 * reward
    return -10.0 if terminated else ordinary


@pytest.mark.parametrize("engine", ENGINES)
def test_an_own_reward_is_learnt_from_and_the_score_is_not(tmp_path, engine):
    path = tmp_path / "rewards.py"
    path.write_text(REWARDS)
    batch = qlearn.make("cartpole", envs=8, seed=3, engine=engine, reward=f"{path}:bonus")
    batch.reset()
    totals, lengths, scores = np.zeros(8), np.zeros(8), 0
    for row in table_of_actions(batch, 60):
        before = batch.observations.copy()
        observations, rewards, terminated, truncated, info = batch.step(row)
        ended = terminated | truncated
        after = np.where(ended[:, None], info["final_observations"], observations)
        expected = [bonus(*x) for x in zip(before, row, after, np.ones(8), terminated, strict=True)]
        np.testing.assert_allclose(rewards, expected, rtol=1e-6)
        totals += expected
        lengths += 1
        for k in np.flatnonzero(ended):
            assert batch.last_return[k] == pytest.approx(totals[k])
            assert batch.last_score[k] == batch.last_length[k] == lengths[k]
            totals[k] = lengths[k] = 0
            scores += 1
    assert scores >= 10


@pytest.mark.parametrize("engine", ENGINES)
def test_without_an_own_score_the_score_is_the_sum_of_the_replaced_rewards(tmp_path, engine):
    path = tmp_path / "rewards.py"
    path.write_text("def flat(before, action, after, reward, terminated):\n    return 0.5\n")
    batch = qlearn.make("grid", engine=engine, reward=f"{path}:flat")
    batch.reset()
    batch.step([1])  # into the hole below
    assert batch.step([1])[1].tolist() == [0.5]
    assert batch.last_return.tolist() == [1.0]
    assert batch.last_score.tolist() == [-6.0]


def test_own_rewards_are_the_same_bits_in_both_engines(tmp_path):
    path = tmp_path / "rewards.py"
    path.write_text(REWARDS)
    batches = [
        qlearn.make("cartpole", envs=8, seed=3, engine=engine, reward=f"{path}:bonus")
        for engine in ENGINES
    ]
    for batch in batches:
        batch.reset()
    actions = table_of_actions(batches[0], 60)
    assert_same(*(play(batch, actions) for batch in batches))
    assert_same_state(*batches)


def test_shaping_changes_the_return_and_not_the_score():
    plain = qlearn.make("cartpole", envs=16, seed=3)
    shaped = qlearn.make("cartpole", envs=16, seed=3, shape_position=1.0, shape_velocity=0.5)
    for batch in (plain, shaped):
        batch.reset()
        play(batch, table_of_actions(batch, 100))
    assert (plain.episodes > 0).all()
    np.testing.assert_array_equal(shaped.last_score, plain.last_score)
    np.testing.assert_array_equal(plain.last_return, plain.last_score)
    assert (shaped.last_return < plain.last_return).all()


# Mistakes


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "actions",
    [0, [0], [0, 1], [0, 1, 0, 1], [[0, 1, 0]], [0.0, 1.0, 0.0], [0, 1.7, 0], ["0", "1", "0"], None,
     [None, 1, 0], [0, 1, 2**70], [0, float("nan"), 1]],
)  # fmt: skip
def test_actions_that_are_no_whole_numbers_one_for_each_copy(engine, actions):
    batch = count(engine, envs=3)
    with pytest.raises(UserError, match=r"step\(\) takes 3 whole numbers, one action for each"):
        batch.step(actions)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("action", [-1, 2, 10**12, -(2**63)])
def test_impossible_actions_are_told_with_their_copy_and_nothing_is_played(engine, action):
    batch = count(engine, envs=3)
    with pytest.raises(UserError, match=rf"count: action {action} of copy 1 is not in 0 \.\. 1$"):
        batch.step([1, action, 1])
    assert batch.observations.tolist() == [[0.0, 0.0]] * 3
    assert batch.step([1, 1, 1])[0].tolist() == [[1.0, 1.0]] * 3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64, bool, list])
def test_actions_of_any_whole_kind(engine, kind):
    batch = count(engine, envs=3)
    actions = [0, 1, 1] if kind is list else np.array([0, 1, 1], kind)
    assert batch.step(actions)[0][:, 0].tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("envs", [0, -1, 1.5, "3", None, 2**31, 2**40])
def test_numbers_of_copies_that_cannot_be(engine, envs):
    with pytest.raises(UserError, match="the number of environments must be"):
        qlearn.make("grid", envs=envs, engine=engine)


@pytest.mark.parametrize("threads", [0, -2, 1.5, None])
def test_numbers_of_threads_that_cannot_be(threads):
    with pytest.raises(UserError, match="the number of threads must be at least 1"):
        qlearn.make("grid", threads=threads)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", [1]])
def test_seeds_that_cannot_be(shared, seed):
    with pytest.raises(UserError, match="a seed is a whole number from 0 to"):
        qlearn.make("grid", seed=seed)
    for engine in ENGINES:
        with pytest.raises(UserError, match="a seed is a whole number from 0 to"):
            shared("grid", 7, engine=engine).reset(seed=seed)


def test_seeds_of_numpy_are_seeds(shared):
    batch = shared("cartpole", 7)
    first = batch.reset(seed=2**40)[0].copy()
    np.testing.assert_array_equal(batch.reset(seed=np.int64(2**40))[0], first)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_before_the_first_reset_is_told(engine):
    batch = qlearn.make("grid", engine=engine)
    with pytest.raises(UserError, match=r"reset\(\) comes before the first step\(\)"):
        batch.step([0])


class Worth(Count):
    """A reward that is no number in the third step."""

    @staticmethod
    def step(state, action, rng, world):
        state.steps += 1
        worth = math_nan(state.steps) if action == 1 else uniform(rng)
        return worth, False


def math_nan(n):
    return np.nan if n == 3 else 1.0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reward_that_is_no_number_is_told_with_its_copy(engine):
    environment = from_class(Worth, "worth", "builtin")
    batch = registry.batch(environment, 4, 0, engine)
    batch.reset()
    batch.step([0, 0, 1, 1])
    batch.step([0, 0, 1, 1])
    with pytest.raises(UserError, match=r"worth: `step` gave a reward that is no number \(copy 2"):
        batch.step([0, 0, 1, 1])


def test_stepping_keeps_no_memory(shared):
    batch = shared("features", 64)
    batch.reset(seed=0)
    actions = table_of_actions(batch, 500)
    for row in actions[:50]:
        batch.step(row)
    held = []
    tracemalloc.start()
    try:
        for _ in range(16):
            for row in actions:
                batch.step(row)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # In 2,000 steps and more; the first 4,000 may still fill what Python keeps for itself.
    assert min(held[12:]) - min(held[8:12]) < 500


def test_what_a_step_gives_are_the_batchs_own_arrays(shared):
    batch = shared("cartpole", 7)
    batch.reset(seed=0)
    first, second = batch.step([0] * 7), batch.step([1] * 7)
    for a, b in zip(first, second, strict=True):
        assert a is b
    assert batch.observations.dtype == np.float32
    assert first[1].dtype == np.float32


def test_a_batch_closes_its_threads_and_goes_on(shared):
    with qlearn.make("grid", envs=2048, threads=2, slip=0.3) as batch:
        batch.reset()
        batch.step(np.zeros(2048, np.int64))
        batch.close()
        batch.step(np.zeros(2048, np.int64))
    assert batch._pool is None
