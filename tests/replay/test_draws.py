"""Which transitions are drawn: chi-square against what they should be, and the tree of sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from replay_model import Play
from scipy import stats

from qlearn import ReplayBuffer, UserError
from qlearn import rng as random_streams
from qlearn.kernels.bind import PlainArray, bound
from qlearn.kernels.build import build
from qlearn.replay import calls, rule
from qlearn.replay import ring as rings
from qlearn.replay import tree as trees
from qlearn.rng import uniform

SURE = 1e-4  # p-values of seeded draws: they are as they are


def played(prioritized: bool, fullest: int = 50, **options) -> ReplayBuffer:
    """Lanes of unequal fill, with ends and gaps among their 50 places."""
    replay = ReplayBuffer(150, 2, envs=3, prioritized=prioritized, seed=8, **options)
    play = Play(replay, 1)
    while replay._ring.filled.max() < fullest:
        play.step()
    assert replay._ring.filled.min() < fullest
    return replay


def transitions(replay: ReplayBuffer) -> np.ndarray:
    return np.flatnonzero(replay.get_state()["replay.ends"] < rings.LAST)


def p_value(replay: ReplayBuffer, slots: np.ndarray, shares: np.ndarray) -> float:
    """Of the draws, if every transition is to have its share."""
    counts = np.bincount(slots.ravel(), minlength=replay.capacity)
    places = transitions(replay)
    assert counts.sum() == counts[places].sum()
    return stats.chisquare(counts[places], shares / shares.sum() * counts.sum()).pvalue


@pytest.mark.parametrize("fullest", [20, 50])
def test_uniform_draws_are_uniform(fullest) -> None:
    replay = played(False, fullest)
    assert p_value(replay, replay.sample(200_000).slots, np.ones(len(replay))) > SURE
    assert (replay.sample(10).weights == 1).all()


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_prioritized_draws_follow_priorities(alpha) -> None:
    replay = played(True, alpha=alpha, beta=0.7)
    places = transitions(replay)
    errors = np.random.default_rng(2).normal(size=len(places)).astype(np.float32) ** 3
    replay.prioritize(places, errors)
    shares = (np.abs(errors.astype(np.float64)) + 1e-6) ** alpha
    alone = replay.sample(1, 200_000)  # batches of one: draws that know nothing of each other
    assert p_value(replay, alone.slots, shares) > SURE
    batch = replay.sample(200)
    of = dict(zip(places, (len(replay) * shares / shares.sum()) ** -0.7, strict=True))
    weights = np.array([of[slot] for slot in batch.slots])
    np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-4)


def test_a_batch_is_drawn_evenly_along_the_sum() -> None:
    """Each row from a part of its own: nothing is drawn much more or less often than its share."""
    replay = played(True)
    places = transitions(replay)
    errors = np.random.default_rng(2).random(len(places))
    replay.prioritize(places, errors)
    shares = (errors + 1e-6) ** 0.6
    counts = np.bincount(replay.sample(1000).slots, minlength=replay.capacity)[places]
    assert np.abs(counts - 1000 * shares / shares.sum()).max() <= 2


def test_new_transitions_have_the_largest_priority_so_far() -> None:
    replay = ReplayBuffer(20, 1, prioritized=True, alpha=1.0)
    frames = np.arange(9.0)[:, None]
    for k in range(4):
        replay.add(frames[k], 0, 0.0, frames[k + 1], False, False)
    replay.prioritize([0, 1], [-5.0, 0.5])
    replay.prioritize([0], [0.25])
    replay.add(frames[4], 0, 0.0, frames[5], True, False)
    leaves = replay.get_state()["priorities"][:8]
    np.testing.assert_allclose(leaves, [0.25, 0.5, 1, 1, 5, 0, 0, 0], rtol=1e-5)


def test_of_a_slot_named_twice_the_last_error_counts() -> None:
    replay = played(True, alpha=1.0)
    first, second = transitions(replay)[:2]
    replay.prioritize([first, second, first], [3.0, 2.0, 0.5])
    priorities = replay.get_state()["priorities"]
    np.testing.assert_allclose(priorities[[first, second]], [0.5, 2.0], rtol=1e-5)


def test_errors_come_as_tensors_and_as_they_were_drawn() -> None:
    torch = pytest.importorskip("torch")
    one, other = played(True), played(True)
    drawn, same = one.sample(8, 2), other.sample(8, 2)
    errors = torch.linspace(-1.0, 2.0, 16, dtype=torch.float64, requires_grad=True).reshape(2, 8)
    one.prioritize(drawn.torch().slots, errors)
    other.prioritize(same.slots.ravel(), errors.detach().numpy().ravel())
    np.testing.assert_array_equal(one.get_state()["priorities"], other.get_state()["priorities"])
    assert len(np.unique(one.get_state()["priorities"])) > 10


def test_what_was_written_over_since_is_left_alone() -> None:
    replay = ReplayBuffer(10, 1, prioritized=True)
    frames = np.arange(40.0)[:, None]
    for k in range(20):
        replay.add(frames[k], 0, 0.0, frames[k + 1], False, False)
    drawn = replay.sample(64)
    for k in range(20, 23):
        replay.add(frames[k], 0, 0.0, frames[k + 1], k == 21, False)
    replay.prioritize(drawn.slots, np.ones(64))
    state = replay.get_state()
    assert ((state["priorities"][:10] > 0) == (state["replay.ends"] < rings.LAST)).all()
    assert (state["replay.ends"][drawn.slots] >= rings.LAST).any()


def test_errors_beyond_all_measure_still_leave_draws() -> None:
    replay = played(True, alpha=1.0)
    places = transitions(replay)
    replay.prioritize(places, np.full(len(places), 3e38, np.float32))
    assert set(replay.sample(1000).slots) == set(places)


BAD_ERRORS = {
    "nan": ([0, 1], [0.0, np.nan], "errors must be finite; number 1 is nan"),
    "inf": ([0, 1], [-np.inf, 1.0], "errors must be finite; number 0 is -inf"),
    "beyond float32": ([0], [1e300], "errors must be finite; number 0 is inf"),
    "one too few": ([0, 1], [1.0], "1 errors were given for 2 slots"),
    "text": ([0], ["a"], "errors cannot be"),
    "float slots": ([0.5], [1.0], "slots cannot be float64"),
    "negative": ([-1], [1.0], "slot -1 holds no transition"),
    "beyond": ([1, 10], [1.0, 1.0], "slot 10 holds no transition"),
    "an end": ([2], [1.0], "slot 2 holds no transition"),
    "waits": ([3], [1.0], "slot 3 holds no transition"),
    "empty": ([7], [1.0], "slot 7 holds no transition"),
}


@pytest.mark.parametrize("name", BAD_ERRORS)
def test_bad_errors_are_one_clear_line_and_change_nothing(name) -> None:
    replay = ReplayBuffer(10, 1, prioritized=True)
    replay.add([0.0], 0, 0.0, [1.0], False, False)
    replay.add([1.0], 0, 0.0, [2.0], True, False)
    before = replay.get_state()["priorities"]
    slots, errors, message = BAD_ERRORS[name]
    with pytest.raises(UserError, match=message) as raised:
        replay.prioritize(slots, errors)
    assert "\n" not in str(raised.value)
    np.testing.assert_array_equal(replay.get_state()["priorities"], before)


def test_a_uniform_replay_takes_no_errors() -> None:
    with pytest.raises(UserError, match="prioritized=True"):
        played(False).prioritize([0], [1.0])


def test_beta_may_change_and_stays_possible() -> None:
    replay = played(True)
    places = transitions(replay)
    replay.prioritize(places, np.linspace(0.1, 2.0, len(places)))
    replay.beta = 0
    assert (replay.sample(20).weights == 1).all()
    replay.beta = 1.0
    assert replay.sample(20).weights.min() < 0.9
    with pytest.raises(UserError, match=r"beta must be between 0 and 1, not 1\.5"):
        replay.beta = 1.5


# ---------------------------------------------------------------------- one by one


def draw_batch(ring, tree, prioritized, beta, slots, weights, stream):
    rule.draw(ring, tree, prioritized, beta, slots, weights, stream)


def find(tree, mass):
    """One leaf, from the root down."""
    leaf = 0
    for level in range(len(tree.starts) - 1, -1, -1):
        leaf, mass = trees.child(tree, level, leaf, mass)
    return leaf


def draw_singly(ring, tree, prioritized, slots, stream):
    top = rings.top_of(ring)
    for row in range(len(slots)):
        if prioritized:
            mass = (row + uniform(stream)) / len(slots) * trees.total(tree)
            slots[row] = find(tree, mass)
        else:
            slots[row] = rings.draw(ring, top, stream)


@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_a_batch_is_its_rows_drawn_one_by_one(rows, prioritized) -> None:
    """Walking down level by level together changes no draw."""
    replay = played(prioritized)
    if prioritized:
        places = transitions(replay)
        replay.prioritize(places, np.random.default_rng(0).normal(size=len(places)))
    kernels = build("draws of a test", (draw_batch, draw_singly), {})
    ring, tree = replay._ring, replay._tree
    together, singly = np.zeros((2, rows), np.int64)
    one, other = random_streams.streams(3, 2)[:1].repeat(2, axis=0)
    weights = np.zeros(rows, np.float32)
    kernels.draw_batch(ring, tree, prioritized, 0.5, together, weights, one)
    kernels.draw_singly(ring, tree, prioritized, singly, other)
    np.testing.assert_array_equal(together, singly)
    np.testing.assert_array_equal(one, other)


def plain(arrays):
    return type(arrays)(*(array.copy().view(PlainArray) for array in arrays))


@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
def test_the_interpreter_runs_the_same_text(prioritized) -> None:
    replay = played(prioritized, n_step=3)
    stream = replay._stream.copy()
    ring, tree = plain(replay._ring), plain(replay._tree)
    add, sample, set_errors = (
        bound(call, {}) for call in (calls.add_step, calls.sample_batches, calls.set_errors)
    )
    chance = np.random.default_rng(1)
    for _ in range(60):
        frames, after = chance.normal(size=(2, 3, 2)).astype(np.float32)
        step = chance.integers(0, 4, 3), chance.normal(size=3).astype(np.float32)
        terminated, truncated, valid = chance.random((3, 3)) < [[0.2], [0.2], [0.9]]
        replay.add(frames, *step, after, terminated, truncated, valid)
        words = (array.view(np.uint64).ravel() for array in (frames, after))
        add(
            ring, tree, prioritized, next(words), *step, next(words), terminated, truncated, valid
        )  # fmt: skip
        drawn = replay.sample(8)
        own = [np.zeros_like(array) for array in drawn]
        observations, actions, rewards, followers, discounts, ended, cut, slots, weights = own
        assert sample(
            ring, tree, prioritized, 0.4, 3, 0.99, 8, stream, slots,
            observations.view(np.uint64).ravel(), actions, rewards,
            followers.view(np.uint64).ravel(), discounts, ended, cut, weights,
        )  # fmt: skip
        for name, array, wanted in zip(drawn._fields, own, drawn, strict=True):
            np.testing.assert_allclose(array, wanted, rtol=1e-6, err_msg=name)
        if prioritized:
            replay.prioritize(drawn.slots, drawn.rewards)
            set_errors(ring, tree, drawn.slots, drawn.rewards.view(PlainArray), 0.6)
    for array, wanted in zip((*ring, *tree[:3]), (*replay._ring, *replay._tree[:3]), strict=True):
        np.testing.assert_array_equal(array, wanted)


# ---------------------------------------------------------------------- the tree


def set_all(tree, leaves, priorities):
    for k in range(len(leaves)):
        trees.set_priority(tree, leaves[k], priorities[k])


def find_all(tree, masses, found):
    for k in range(len(masses)):
        found[k] = find(tree, masses[k])


@pytest.fixture(scope="module")
def kernels():
    return build("the tree of a test", (set_all, find_all), {})


@pytest.mark.parametrize("leaves", [1, 16, 17, 256, 5000, 70_000])
def test_sums_are_exact_after_100_000_updates(leaves, kernels) -> None:
    tree, chance = trees.tree_of(leaves), np.random.default_rng(leaves)
    places = chance.integers(0, leaves, 100_000)
    priorities = chance.random(100_000, np.float32) ** 4 * (chance.random(100_000) < 0.8)
    kernels.set_all(tree, places, priorities.astype(np.float32))
    wanted = np.zeros(leaves, np.float32)
    wanted[places] = priorities  # the last of each
    np.testing.assert_array_equal(tree.nodes[:leaves], wanted)
    anew = trees.tree_of(leaves)
    anew.nodes[:leaves] = wanted
    trees.sum_up(anew)
    np.testing.assert_array_equal(tree.nodes, anew.nodes)  # nothing gathers
    assert trees.total(tree) == pytest.approx(math.fsum(wanted), rel=1e-6)
    arrays = tree.nodes.nbytes + tree.starts.nbytes + tree.largest.nbytes + tree.masses.nbytes
    assert trees.bytes_of(leaves) == arrays


@pytest.mark.parametrize("leaves", [1, 15, 16, 17, 300, 5000])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e28])
def test_a_leaf_is_found_by_its_mass_and_never_one_of_nothing(leaves, scale, kernels) -> None:
    chance = np.random.default_rng(leaves)
    wanted = (chance.random(leaves, np.float32) * (chance.random(leaves) < 0.3)).astype(np.float32)
    wanted[chance.integers(leaves)] = 1.0
    wanted *= np.float32(scale)
    tree = trees.tree_of(leaves)
    tree.nodes[:leaves] = wanted
    trees.sum_up(tree)
    whole = float(trees.total(tree))
    borders = np.cumsum(wanted, dtype=np.float64)
    masses = np.concatenate([
        chance.random(20_000) * whole, [0.0, whole, np.nextafter(whole, np.inf), 2 * whole],
        borders, np.nextafter(borders, 0.0),
    ])  # fmt: skip
    found = np.zeros(len(masses), np.int64)
    kernels.find_all(tree, masses, found)
    assert (wanted[found] > 0).all()
    # Sums are rounded: a border may lie a few millionths of the whole elsewhere.
    below, above = borders[found] - wanted[found], borders[found]
    inside = masses <= whole
    assert (below[inside] - 2e-6 * whole <= masses[inside]).all()
    assert (masses[inside] <= above[inside] + 2e-6 * whole).all()
