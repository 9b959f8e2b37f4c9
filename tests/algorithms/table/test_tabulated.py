"""The fast twin, the general compiled text and the dict reference: the same bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from table_learners import assert_same_state, copied, learner, ring

from qlearn import rng as streams
from qlearn.algorithms.table import tabulated
from qlearn.algorithms.table.plan import plan_of
from qlearn.envs.registry import find

# Where in the player's stream of seed 0 a word is 0: with 3, 5, 6, ... actions it is refused.
BLOCK_WITH_ZERO = 1_499_044_795


def trio(env="grid", options=None, seed=0, **settings):
    """dict, the general compiled text, the fast twin."""
    slow, general, fast = (
        learner(engine, env, options, seed, **settings) for engine in ("dict", "numba", "numba")
    )
    assert fast.tabulated is not None
    general.tabulated = None
    general.kernels.prepare("learn_one", *general._arguments(0, 0))
    return slow, general, fast


def advance_alike(three, chunks):
    for steps in chunks:
        returns = [one.advance(steps) for one in three]
        np.testing.assert_array_equal(returns[0], returns[1])
        np.testing.assert_array_equal(returns[0], returns[2])
        assert_same_state(three[0], three[1])
        assert_same_state(three[0], three[2])


CHUNKS = (1, 2, 63, 64, 65, 66, 257, 700, 701, 2300)


@pytest.mark.parametrize(
    "options",
    [{}, {"reward": "arrival"}, {"max_steps": "7"}, {"max_steps": "1", "reward": "arrival"}],
    ids=str,
)
@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 0.1},
        {"epsilon": "1->0.05", "lr": "exponential:1->0.01", "initial": 3.0, "discount": 1.0},
        {"epsilon": 1.0, "lr": "step:0.5->0.1@1x3", "discount": 0.0},
        {"epsilon": "decay:1->0.05@0.99/ep", "lr": "step:0.9->0.1@100epx4"},
        {"epsilon": "1->0.1", "lr": "0.9->0.1@0.5", "episodes": 150},
        {"epsilon": 0.0},
    ],
    ids=str,
)
def test_three_ways_over_uneven_chunks(options, settings):
    advance_alike(trio("grid", options, 3, steps=2300, **settings), CHUNKS)


@pytest.mark.parametrize("actions", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("max_steps", [0, 5])
def test_any_number_of_actions(actions, max_steps):
    three = trio(ring(actions, max_steps=max_steps), epsilon=0.4, lr=0.3, steps=2300)
    advance_alike(three, CHUNKS)
    assert len(np.unique(three[0].values())) > actions


def test_episodes_end_all_three_on_the_same_step():
    three = trio(episodes=150, steps=10**6)
    advance_alike(three, (10**6,))
    assert three[2].episodes == 150


@pytest.mark.parametrize("actions", [3, 5, 6, 7])
def test_a_refused_word_is_drawn_again_as_the_reference_does(actions):
    """From just before the word 0, which no fair draw of 3, 5, 6 or 7 can use."""
    for used in range(5):
        three = trio(ring(actions), epsilon=1.0, lr=0.5, steps=200)
        row = streams.streams(0, 1, streams.PLAYER)
        row[0, 0] = BLOCK_WITH_ZERO - 1
        plain = row[0].tolist()
        for _ in range(used):  # so that the 0 once meets epsilon and once the action
            streams.word(plain)
        for one in three:
            state = copied(one)
            state["players"][0] = plain
            one.set_state(state)
        advance_alike(three, (1, 2, 5, 90, 200))
        # One word more than two a step was used, or one that epsilon met.
        following = 4 * three[0].player[0] - 4 + three[0].player[10]
        begun = 4 * (BLOCK_WITH_ZERO - 1) + used
        assert following - begun - 400 in (0, 1)


def test_some_word_of_that_block_is_refused():
    used = []
    for first in (0, 1):
        plain = streams.stream(0, 0, streams.PLAYER)
        plain[0] = BLOCK_WITH_ZERO
        for _ in range(first):
            streams.word(plain)
        for _ in range(2):
            streams.word(plain)
            streams.integers(plain, 6)
        used.append(4 * plain[0] - 4 + plain[10] - 4 * BLOCK_WITH_ZERO - first)
    assert max(used) == 5


def test_redrawing_across_the_buffers_end_tops_it_up():
    player = streams.stream(0, 0, streams.PLAYER)
    words, wholes, _ = tabulated.working_arrays(1)
    whole = wholes[0]
    tabulated.open_stream(words[0], whole, np.array(player))
    whole[tabulated.AT] = np.uint64(tabulated.BUFFER - tabulated.SPARE + 1)
    expected = streams.stream(0, 0, streams.PLAYER)
    for _ in range(int(whole[tabulated.AT])):
        streams.word(expected)
    product = tabulated.redrawn(words[0], whole, np.array(player), 6)
    assert int(product) >> 32 == streams.integers(expected, 6)


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4, 5, 8, 1000])
def test_a_stream_taken_over_and_given_back_is_unchanged(taken):
    for low, high in ((0, 0), (2**32 - 3, 0), (2**32 - 1, 7)):
        plain = streams.stream(77, 3, streams.PLAYER)
        plain[0], plain[1] = low, high
        for _ in range(taken):
            streams.word(plain)
        row = np.array(plain)
        words, wholes, _ = tabulated.working_arrays(1)
        tabulated.open_stream(words[0], wholes[0], row)
        at = int(wholes[0][tabulated.AT])
        ours = [int(tabulated.word_at(words[0], np.uint64(at + k))) for k in range(9)]
        tabulated.close_stream(wholes[0], row)
        theirs = row.tolist()
        assert ours == [streams.word(theirs) for _ in range(9)]
        assert ours == [streams.word(plain) for _ in range(9)]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"slip": "0.1"}, {}),
        ({"random_start": "true"}, {}),
        ({}, {"rule": "sarsa"}),
        ({}, {"lr": "visits:1"}),
        ({}, {"round_to": 3}),
    ],
    ids=str,
)
def test_what_it_cannot_learn_is_left_to_the_general_text(options, settings):
    assert learner("numba", "grid", options, **settings).tabulated is None


def test_a_replaced_reward_is_not_looked_up(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def twice(before, action, after, reward, terminated):\n    return 2.0 * reward\n"
    )
    environment = find("grid", {"reward": f"{tmp_path}/mine.py:twice"})
    one = learner("dict", "grid")
    assert tabulated.fits(environment, plan_of(environment, one.config)) is None
