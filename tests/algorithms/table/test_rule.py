"""The rule, run by the interpreter on dicts and compiled on arrays: the same numbers to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_learners import assert_same_state, copied, learner, ring

from qlearn import rng as streams
from qlearn.algorithms.table import rule
from qlearn.envs.plain import PlainGame
from qlearn.envs.registry import find
from qlearn.errors import UserError
from qlearn.schedules import constant, parse

RULES = ["q", "sarsa", "expected_sarsa", "double"]
SCHEDULES = [
    {"lr": 0.5},
    {"lr": "0.9->0.1@0.5", "epsilon": "exponential:1->0.05"},
    {"lr": "visits:1->0.02@0.7", "epsilon": "step:1->0.1@1x5"},
    {"lr": "0.9->0.1@90ep", "epsilon": "decay:1->0.05@0.99/ep"},
    {"lr": 0.3, "round_to": 3, "initial": 2.0},
]
WORLDS = [
    {},
    {"reward": "arrival", "max_steps": "9"},
    {"slip": "0.3"},
    {"random_start": "true", "slip": "0.1", "max_steps": "13", "reward": "arrival"},
]


@pytest.mark.parametrize("options", WORLDS, ids=str)
@pytest.mark.parametrize("settings", SCHEDULES, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_dict_and_numba_learn_the_same_bits(name, settings, options):
    settings = {"epsilon": 0.3, "steps": 3000, **settings, "rule": name}
    slow, fast = (learner(engine, "grid", options, 5, **settings) for engine in ("dict", "numba"))
    for steps in (1, 700, 3000):
        np.testing.assert_array_equal(slow.advance(steps), fast.advance(steps))
        assert_same_state(slow, fast)
        np.testing.assert_array_equal(slow.values(), fast.values())
    assert slow.env_steps == slow.updates == 3000
    assert slow.episodes > 100
    assert np.abs(slow.values()).max() > 0.5


@st.composite
def boards(draw):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    size = rows * columns
    marks = draw(st.lists(st.sampled_from("....#O"), min_size=size, max_size=size))
    start, goal = draw(st.permutations(range(size)))[:2]
    marks[start], marks[goal] = "S", "G"
    return "\n".join("".join(marks[r * columns : (r + 1) * columns]) for r in range(rows))


def test_on_random_maps_dict_and_numba_learn_the_same_bits(tmp_path):
    file = tmp_path / "map.txt"

    @settings(max_examples=25, deadline=None)
    @given(
        board=boards(), name=st.sampled_from(RULES), schedules=st.sampled_from(SCHEDULES),
        slip=st.sampled_from(("0", "0.2")), limit=st.integers(1, 30),
        reward=st.sampled_from(("classic", "arrival")), seed=st.integers(0, 2**63 - 1),
    )  # fmt: skip
    def check(board, name, schedules, slip, limit, reward, seed):
        file.write_text(board)
        options = {"slip": slip, "max_steps": str(limit), "reward": reward}
        how = {"epsilon": 0.3, "steps": 300, **schedules, "rule": name}
        slow, fast = (learner(each, str(file), options, seed, **how) for each in ("dict", "numba"))
        for steps in (7, 300):
            np.testing.assert_array_equal(slow.advance(steps), fast.advance(steps))
            assert_same_state(slow, fast)

    check()


def literal(name, options, seed, steps, lr=0.3, epsilon=0.4, discount=0.9):
    """The four rules as their books write them, on the game as the interpreter plays it."""
    game, player = PlainGame(find("grid", options), seed), streams.stream(seed, 0, streams.PLAYER)
    game.reset()
    tables = np.zeros((2, 25, 4))
    state, action = game.observation[0], None

    def choose(state):
        if streams.chance(player, epsilon):
            return streams.integers(player, 4)
        return int(np.argmax(tables[0, state] + tables[1, state]))

    for _ in range(steps):
        if action is None:
            action = choose(state)
        reward, terminated, truncated = game.step(action)
        ended = terminated or truncated
        after = (game.final_observation if ended else game.observation)[0]
        mine = int(name == "double" and streams.chance(player, 0.5))
        row, following, value = tables[mine, after], None, 0.0
        if not terminated:
            if name == "q":
                value = row.max()
            elif name == "sarsa":
                following = choose(after)
                value = row[following]
            elif name == "expected_sarsa":
                value = (
                    np.full(4, epsilon / 4) + (1 - epsilon) * (np.arange(4) == row.argmax())
                ) @ row
            else:
                value = tables[1 - mine, after, row.argmax()]
        tables[mine, state, action] += lr * (
            reward + discount * value - tables[mine, state, action]
        )
        state, action = (game.observation[0], None) if ended else (after, following)
    return tables.mean(axis=0) if name == "double" else tables[0]


@pytest.mark.parametrize(
    "options", [{}, {"slip": "0.2", "max_steps": "8", "reward": "arrival"}], ids=str
)
@pytest.mark.parametrize("name", RULES)
def test_the_rules_are_the_books(name, options):
    one = learner("dict", "grid", options, 2, rule=name, lr=0.3, epsilon=0.4, steps=2500)
    one.advance(2500)
    np.testing.assert_allclose(one.values(), literal(name, options, 2, 2500), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", RULES)
def test_either_engine_goes_on_where_the_other_stopped(name):
    settings = {"rule": name, "lr": "visits:1@0.6", "epsilon": 0.3, "steps": 2000}
    options = {"slip": "0.2", "max_steps": "20"}
    whole = learner("numba", "grid", options, **settings)
    whole.advance(2000)
    for first, then in (("dict", "numba"), ("numba", "dict")):
        one, other = (learner(engine, "grid", options, **settings) for engine in (first, then))
        one.advance(901)
        other.set_state(copied(one))
        other.advance(2000)
        assert_same_state(other, whole)


def test_a_replaced_reward_teaches_both_the_same(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def downhill(before, action, after, reward, terminated):\n"
        "    return reward + 0.25 * (after[0] - before[0])\n"
    )
    options = {"reward": f"{tmp_path}/mine.py:downhill", "slip": "0.1"}
    slow, fast = (learner(engine, "grid", options, 1) for engine in ("dict", "numba"))
    for steps in (333, 2000):
        np.testing.assert_array_equal(slow.advance(steps), fast.advance(steps))
        assert_same_state(slow, fast)
    plain = learner("dict", "grid", {"slip": "0.1"}, 1)
    plain.advance(2000)
    assert not np.array_equal(plain.values(), slow.values())


def test_other_seeds_learn_other_numbers():
    tables = [learner("numba", seed=seed).advance(500) for seed in range(3)]
    assert len({table.tobytes() for table in tables}) == 3


def test_episodes_end_the_training_on_the_last_ones_last_step():
    for engine in ("dict", "numba"):
        one = learner(engine, episodes=37, steps=10**6)
        returns = one.advance(10**6)
        assert one.finished
        assert (one.episodes, len(returns)) == (37, 37)
        assert one.env_steps < 5000


def test_more_episodes_end_between_two_looks_than_a_log_holds():
    for engine in ("dict", "numba"):
        one = learner(engine, ring(3, max_steps=1), epsilon=1.0, steps=10_000)
        assert len(one.advance(10_000)) == one.episodes == 10_000


# The text itself, on a table of two states and two actions.
def plan(name="q", discount=0.5, lr=0.5, decimals=-1, epsilon=0.0):
    return rule.Plan(constant(lr), constant(epsilon), discount, RULES.index(name), decimals, 2, 0)


def test_ties_go_to_the_lowest_action():
    table = {(0, 0): 1.0, (0, 1): 1.0}
    assert rule.greedy(table, {}, 0, plan()) == 0
    assert rule.best_and_value(table, 0, plan()) == (0, 1.0)
    table[0, 1] = 1.5
    assert rule.best_and_value(table, 0, plan()) == (1, 1.5)


def test_double_learning_asks_the_sum_of_both_tables():
    table, twin = {(0, 0): 3.0, (0, 1): 1.0}, {(0, 0): 0.0, (0, 1): 2.5}
    assert rule.greedy(table, twin, 0, plan("double")) == 1
    assert rule.greedy(table, twin, 0, plan("q")) == 0


def test_the_expected_value_weighs_the_best_and_the_mean():
    table = {(0, 0): 2.0, (0, 1): 6.0}
    assert rule.expected_value(table, 0, 0.25, plan()) == 0.75 * 6.0 + 0.25 * 4.0


def test_an_update_moves_by_the_learning_rate():
    table = {(0, 1): 4.0}
    rule.update(table, {}, 0, 1, 8.0, plan(lr=0.25), 0, 0)
    assert table[0, 1] == 5.0


def test_rates_by_visits_make_a_mean():
    table, visits = {(0, 0): 99.0}, {(0, 0): 0}
    by_visits = plan()._replace(lr=parse("visits:1", 0, "lr"))
    for target in (1.0, 2.0, 6.0):
        rule.update(table, visits, 0, 0, target, by_visits, 12345, 0)
    assert table[0, 0] == pytest.approx(3.0)
    assert visits[0, 0] == 3


def test_rounding_keeps_that_many_decimals_and_splits_ties_evenly():
    assert rule.rounded(1.23456, 3) == 1.235
    assert rule.rounded(-0.1255, 3) == rule.rounded(-0.1265, 3) == -0.126
    assert rule.rounded(2.5, 0) == 2.0
    one = learner("numba", round_to=2, lr=0.3)
    one.advance(5000)
    cents = one.values() * 100
    np.testing.assert_allclose(cents, np.round(cents), atol=1e-9)
    assert np.abs(cents - np.round(cents / 10) * 10).max() > 1  # and not fewer decimals


def test_a_terminal_states_value_is_never_asked():
    """An optimistic table: the end must not promise the optimism once more."""
    to_end = ring(3, states=2)  # every way to place 1 ends
    one = learner("dict", to_end, initial=100.0, lr=1.0, epsilon=1.0, steps=300)
    one.advance(300)
    model = to_end.model(None)
    ends = model.ended[0, :, 0]
    np.testing.assert_array_equal(one.values()[0][ends], model.reward[0, ends, 0])
    assert ends.any()


def test_a_truncated_episodes_last_state_keeps_its_value():
    options = {"max_steps": "1", "reward": "arrival"}
    one = learner(
        "dict", "grid", options, initial=10.0, lr=1.0, epsilon=1.0, discount=0.5, steps=99
    )
    one.advance(99)
    assert one.values()[0].tolist() == [1.0, -5.0, 1.0, 4.0]
    # right: -1 + 0.5 * 10; up and left stay: -1 + 0.5 * 4; down is a hole


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 2}, "lr must be between 0 and 1, not 2"),
        ({"lr": -0.5}, "lr must be between 0 and 1, not -0.5"),
        ({"epsilon": "2->0.1"}, "epsilon must be between 0 and 1, not 2"),
        ({"discount": 1.5}, "discount must be between 0 and 1, not 1.5"),
        ({"rule": "sarsaa"}, "unknown rule 'sarsaa'; did you mean 'sarsa'"),
        ({"round_to": 40}, "round_to must be from -1"),
        ({"steps": -5}, "steps must be at least 1"),
        ({"episodes": -5}, "episodes must be at least 1"),
        ({"envs": 0}, "envs must be at least 1"),
        ({"initial": "nan"}, "initial must be a number"),
        ({"alpha": 0.1}, "there is no setting 'alpha' for table"),
    ],
)
def test_impossible_settings_are_one_clear_line(settings, message):
    for engine in ("dict", "numba", "numpy"):
        with pytest.raises(UserError, match=message) as caught:
            learner(engine, **settings)
        assert "\n" not in str(caught.value)
