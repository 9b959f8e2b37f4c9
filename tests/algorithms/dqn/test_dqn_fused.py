"""The fused engine: states that go on, counts that do not depend on the copies, mistakes said."""

from __future__ import annotations

import numpy as np
import pytest

import qlearn
from qlearn.algorithms import registry
from qlearn.algorithms.network.team import Pace, Team
from qlearn.envs.registry import find
from qlearn.errors import UserError

SMALL = {"envs": 6, "start": 60, "replay": 900, "hidden": "16x16", "every": "12", "steps": 4000}
PRIORITIZED = {"prioritized": True, "dueling": True, "n_step": 2}


def learner(settings, seed=0, game="cartpole", options=None):
    environment = find(game, options or {})
    config = registry.configure("dqn", {**SMALL, **settings}, environment, "fused")
    return registry.make_learner("dqn", "fused", environment, config, seed)


def same(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("settings", [{}, PRIORITIZED, {"every": "episode"}])
def test_it_goes_on_from_its_state_bit_for_bit(settings):
    first = learner(settings)
    first.advance(1300)  # the replay is full, and writes over its first transitions
    assert first.ring.held[0] < 900 < first.env_steps
    state = first.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    returns = first.advance(2000)
    same(state, kept)  # a state is a copy
    second = learner(settings, seed=5)
    second.set_state(state)
    np.testing.assert_array_equal(second.advance(2000), returns)
    same(second.get_state(), first.get_state())


@pytest.mark.parametrize("settings", [{}, PRIORITIZED, {"every": "episode", "batch": 33}])
def test_any_number_of_threads_learns_the_same_bits(settings):
    states, returns = [], []
    for threads in (1, 2, 3):
        playing = learner({**settings, "threads": threads})
        assert playing.threads == threads
        returns.append(playing.advance(1200))
        assert playing.updates > 100
        states.append(playing.get_state())
    for k in (1, 2):
        np.testing.assert_array_equal(returns[k], returns[0])
        same(states[k], states[0])


FOREIGN = {"game": "gym:CartPole-v1", "options": {"native": False}}


@pytest.mark.parametrize("game", [{}, FOREIGN], ids=["compiled", "stepped"])
def test_threads_found_by_trying_change_no_bit(game):
    one, many = learner({"threads": 1}, **game), learner({"threads": 0}, **game)
    many.pace, many.team = Pace(0, 3), Team(3)
    run, tried = many.team.run, []
    many.team.run = lambda members, *rest: (tried.append(members), run(members, *rest))[1]
    np.testing.assert_array_equal(many.advance(900), one.advance(900))
    same(many.get_state(), one.get_state())
    assert {1, 2} <= set(tried)


def test_chunks_change_no_bit():
    whole, chunks = learner(PRIORITIZED), learner(PRIORITIZED)
    returns = whole.advance(1200)
    parts = [chunks.advance(steps) for steps in range(6, 1201, 6)]
    np.testing.assert_array_equal(np.concatenate(parts), returns)
    same(chunks.get_state(), whole.get_state())


def test_evaluation_changes_no_bit():
    one, other = learner({"dueling": True}), learner({"dueling": True})
    one.advance(600)
    before = one.get_state()
    first = one.evaluate(7, 1, 100)
    one.policy()(np.zeros(4, np.float32))
    same(one.get_state(), before)
    np.testing.assert_array_equal(one.evaluate(7, 1, 100).scores, first.scores)
    one.advance(1200)
    other.advance(1200)
    same(one.get_state(), other.get_state())


@pytest.mark.parametrize("envs", [1, 4, 64])
def test_updates_are_counted_by_the_transition(envs):
    playing = learner({"envs": envs, "updates": 0.25, "every": "64", "start": 64})
    playing.advance(64 * 21)
    assert playing.env_steps == 64 * 21
    assert playing.updates == 64 * 20 // 4


def test_it_learns_at_the_ends_of_episodes_and_then_only():
    playing = learner({"every": "episode", "envs": 1, "updates": 0.5, "start": 60})
    seen = [0, 0]
    while playing.env_steps < 600:
        playing.advance(playing.env_steps + 1)
        if playing.updates > seen[0]:
            assert playing.episodes > seen[1]
            assert playing.updates == -(-(playing.env_steps - 60) // 2)
        seen = [playing.updates, playing.episodes]
    assert playing.updates > 150


def test_nothing_is_learned_before_the_start():
    playing = learner({"start": 600})
    before = playing.get_state()["params"]
    playing.advance(600)
    assert playing.updates == 0
    np.testing.assert_array_equal(playing.get_state()["params"], before)
    playing.advance(700)
    assert playing.updates > 0


def test_the_replay_holds_what_was_played():
    """With lr 0 and epsilon 1 the games are known: every frame and reward is one of theirs."""
    playing = learner({"epsilon": 1.0, "explorers": 0.0, "envs": 1, "replay": 400, "start": 10_000})
    returns = playing.advance(300)
    ends = playing.ring.ends[:400]
    transitions = np.flatnonzero(ends < 3)
    assert len(transitions) == 300 == playing.ring.held[0]
    assert (ends[transitions] == 1).sum() == playing.episodes == len(returns)
    np.testing.assert_allclose(playing.ring.rewards[transitions], 0.1)
    lengths = np.diff(np.concatenate([[-1], np.flatnonzero(ends[transitions] == 1)]))
    np.testing.assert_array_equal(lengths, returns)
    frames = playing.ring.frames
    # A pole's position changes by 0.02 times its velocity, from frame to frame.
    for slot in transitions:
        moved = frames[slot, 0] + np.float32(0.02) * frames[slot, 1]
        assert frames[slot + 1, 0] == pytest.approx(moved, abs=1e-6)


def test_one_episode_in_four_never_settles():
    playing = learner({"explorers": 0.25, "epsilon": 0.0, "restless": 0.9, "start": 10**6})
    share = []
    for _ in range(300):
        playing.advance(playing.env_steps + 30)
        share.append(playing.buffers.moods.mean())
    assert 0.1 < np.mean(share) < 0.4
    assert learner({"explorers": 1.0}).buffers.moods.all()
    assert not learner({"explorers": 0.0}).buffers.moods.any()


def test_states_are_learned_too():
    settings = {"steps": 6000, "hidden": "32", "updates": 1.0, "lr": 3e-3}
    worth = {"reward": "arrival", "goal_reward": 20.0, "hole_reward": -20.0}
    playing = learner(settings, game="grid", options=worth)
    assert playing.evaluate(20, 0, 100).mean < 0.0
    playing.advance(6000)
    assert playing.evaluate(20, 0, 100).mean == 20.0 - 7.0  # eight steps, the last into the goal


def test_a_policy_is_far_smaller_than_a_state():
    playing = learner({"replay": 50_000})
    sizes = [
        sum(array.nbytes for array in state.values())
        for state in (playing.policy_state(), playing.get_state())
    ]
    assert sizes[0] < 10_000 < 1_000_000 < sizes[1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 0}, "batch must be at least 1"),
        ({"updates": -1.0}, "updates must be at least 0"),
        ({"tau": 0.0}, "tau must be above 0"),
        ({"alpha": 2.0}, "alpha must be between 0 and 1"),
        ({"beta": "0->2"}, "beta must be between 0 and 1, not 2"),
        ({"loss": "l1"}, "loss must be huber or mse, not 'l1'"),
        ({"every": "sometimes"}, "every is a number of steps or 'episode', not 'sometimes'"),
        ({"every": "0"}, "every is a number of steps"),
        ({"replay": 12}, "too small for 6 copies"),
        ({"replay": 10**12}, "at most 2,147,483,647 places"),
        ({"dueling": True, "hidden": "16x15"}, "must be even"),
        ({"n_step": 0}, "n_step must be at least 1"),
        ({"explorers": -0.1}, "explorers must be between 0 and 1"),
    ],
)
def test_each_mistake_is_one_line(settings, said):
    with pytest.raises(UserError, match=said) as raised:
        learner(settings)
    assert "\n" not in str(raised.value)


def test_a_replay_beyond_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr("qlearn.memory.available_megabytes", lambda: 1.0)
    with pytest.raises(UserError, match="1 MB of memory are free; give it fewer places"):
        learner({"replay": 10**6})


def test_weights_without_measure_are_one_clear_line():
    one = learner({"layer_norm": False, "loss": "mse"})
    one.net.params[:] *= np.float32(1e30)
    with pytest.raises(UserError, match="the network's numbers are lost at step"):
        one.advance(2000)


def test_the_size_of_the_replay_is_said_once_it_is_known_where_it_learns(tmp_path):
    said = []
    qlearn.train("cartpole", algo="dqn", steps=100, out=tmp_path / "run", say=said.append, **QUICK)
    assert said[0].startswith("fused on")
    assert said[1] == "a replay of 5,000 places of 4 float32 takes 0.1 MB"


QUICK = {"replay": 5000, "hidden": "16x16"}
