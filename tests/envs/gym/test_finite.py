"""Gymnasium's toy text games, compiled out of their own tables."""

import gymnasium
import numpy as np
import pytest
from scipy.stats import chisquare

from qlearn.envs import registry
from qlearn.envs.gym import finite
from qlearn.envs.model import model_of
from qlearn.envs.plain import PlainGame
from qlearn.errors import UserError

GAMES = [
    ("FrozenLake-v1", {}),
    ("FrozenLake-v1", {"is_slippery": "false"}),
    ("FrozenLake8x8-v1", {"success_rate": "0.5"}),
    ("CliffWalking-v1", {}),
    ("CliffWalkingSlippery-v1", {}),
    ("Taxi-v4", {}),
    ("Taxi-v4", {"is_rainy": "true"}),
]


@pytest.mark.parametrize(("identity", "options"), GAMES)
def test_the_arrays_say_what_gymnasium_says(identity, options):
    """Every state and action, straight from the flat arrays that the compiled step reads."""
    environment = registry.find(f"gym:{identity}", options)
    world = environment.world()
    env = finite.recipe_of(identity, options).open().unwrapped
    assert environment.actions == env.action_space.n
    assert environment.observation == env.observation_space.n
    for place in range(environment.observation):
        for action in range(environment.actions):
            row = (place * world.actions + action) * world.outcomes
            before = 0.0
            for k, (chance, to, reward, ended) in enumerate(env.P[place][action]):
                assert world.chance[row + k] - before == pytest.approx(chance, abs=1e-12)
                assert (world.to[row + k], world.reward[row + k]) == (to, reward)
                assert world.ended[row + k] == ended
                before = world.chance[row + k]
            assert before == 1.0  # or a draw close to 1 would fall off the end
    np.testing.assert_allclose(np.diff(world.start, prepend=0.0), env.initial_state_distrib)
    assert world.start[-1] == 1.0


@pytest.mark.parametrize("identity", ["CliffWalking-v1", "Taxi-v4"])
def test_where_nothing_is_chance_every_step_is_gymnasiums(identity):
    theirs = gymnasium.make(identity)
    batch = registry.batch(registry.find(f"gym:{identity}"), 1, 4)
    seen, _ = batch.reset()
    theirs.reset(seed=0)
    theirs.unwrapped.s = int(seen[0, 0])
    chooser, ends = np.random.default_rng(2), 0
    for _ in range(1500):
        action = int(chooser.integers(batch.environment.actions))
        batch.step([action])
        after, reward, terminated, truncated, _ = theirs.step(action)
        ended = terminated or truncated
        shown = batch.final_observations if ended else batch.observations
        assert (shown[0, 0], batch.rewards[0]) == (after, reward)
        assert (batch.terminated[0], batch.truncated[0]) == (terminated, truncated)
        if ended:
            ends += 1
            theirs.reset()
            theirs.unwrapped.s = int(batch.observations[0, 0])
    assert ends > 3 or identity == "CliffWalking-v1"  # whose walks at random never arrive


def test_compiled_transitions_follow_the_chances():
    """Chi-square of every (state, action) met often enough, all together; p above 0.001."""
    environment = registry.find("gym:FrozenLake-v1", {"success_rate": 0.6})
    model = model_of(environment)
    batch = registry.batch(environment, 64, 11)
    batch.reset()
    counts = np.zeros((16, 4, 16))
    chooser = np.random.default_rng(5)
    for _ in range(1500):
        before, actions = batch.observations[:, 0].copy(), chooser.integers(4, size=64)
        batch.step(actions)
        ended = batch.terminated | batch.truncated
        after = np.where(ended, batch.final_observations[:, 0], batch.observations[:, 0])
        np.add.at(counts, (before, actions, after), 1)
    assert counts.sum() == 64 * 1500
    expected = np.zeros_like(counts)
    for place, action, k in np.ndindex(model.to.shape):
        expected[place, action, model.to[place, action, k]] += model.chance[place, action, k]
    assert not counts[expected == 0.0].any()
    statistic, freedom = 0.0, 0
    for place, action in np.ndindex(16, 4):
        possible = expected[place, action] > 0.0
        total = counts[place, action].sum()
        if total < 200 or possible.sum() < 2:
            continue
        result = chisquare(
            counts[place, action, possible], total * expected[place, action, possible]
        )
        statistic += result.statistic
        freedom += possible.sum() - 1
    from scipy.stats import chi2

    assert freedom > 40
    assert 0.001 < chi2.sf(statistic, freedom) < 0.999


def test_taxis_start_where_gymnasiums_do():
    environment = registry.find("gym:Taxi-v4")
    batch = registry.batch(environment, 6000, 1)
    starts = np.bincount(batch.reset()[0][:, 0], minlength=500)
    chances = model_of(environment).start
    assert not starts[chances == 0.0].any()
    assert chisquare(starts[chances > 0.0]).pvalue > 0.001


def test_the_interpreter_plays_the_same_games():
    environment = registry.find("gym:FrozenLake-v1")
    game, batch = PlainGame(environment, 8), registry.batch(environment, 1, 8)
    game.reset()
    batch.reset()
    chooser = np.random.default_rng(0)
    for _ in range(400):
        action = int(chooser.integers(4))
        reward, terminated, truncated = game.step(action)
        batch.step([action])
        assert game.observation[0] == batch.observations[0, 0]
        assert (reward, terminated) == (batch.rewards[0], batch.terminated[0])
        assert truncated == batch.truncated[0]
    assert batch.episodes[0] > 20


def test_time_limits_options_and_the_picture_are_gymnasiums():
    assert registry.find("gym:FrozenLake-v1").max_steps == 100
    assert registry.find("gym:CliffWalking-v1").max_steps == 0
    environment = registry.find(
        "gym:FrozenLake-v1", {"map_name": "8x8", "max_steps": "7", "is_slippery": "false"}
    )
    assert environment.options == {"map_name": "8x8", "max_steps": 7, "is_slippery": False}
    assert environment.action_names == ("left", "down", "right", "up")
    again = registry.find(environment.target, environment.options)
    assert again.options == environment.options
    assert again.observation == 64
    game = PlainGame(environment, 0)
    game.reset()
    for k in range(1, 8):
        _, terminated, truncated = game.step(2)
        assert (terminated, truncated) == (False, k == 7)
    assert game.final_observation[0] == 7
    assert "S" in game.draw()


def test_a_model_that_does_not_tell_all_is_not_believed():
    assert finite.from_gymnasium("Taxi-v4", {"fickle_passenger": True}) is None
    assert finite.from_gymnasium("Blackjack-v1", {}) is None
    lake = gymnasium.make("FrozenLake-v1", max_episode_steps=-1)
    assert finite.model_in(lake) is not None
    shaped = gymnasium.wrappers.TransformReward(lake, lambda reward: reward - 1.0)
    assert finite.model_in(shaped) is None


def test_somebody_elses_model_is_tried_first():
    from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv

    class Mine(CliffWalkingEnv):
        pass

    class Liar(CliffWalkingEnv):
        def step(self, action):
            seen, reward, *rest = super().step(action)
            return seen, reward * (1.0 + (seen == 24)), *rest

    assert finite.model_in(Mine()) is not None
    assert finite.model_in(Liar()) is None


def test_a_replaced_reward_is_learnt_from_and_the_score_stays(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def half(before, action, after, reward, terminated):\n"
        "    return 0.5 * reward + after[0] - before[0]\n"
    )
    options = {"reward": f"{tmp_path}/mine.py:half", "max_steps": 3}
    batch = registry.batch(registry.find("gym:CliffWalking-v1", options), 1, 0)
    batch.reset()
    batch.step([0])  # up, from 36 to 24
    assert batch.rewards[0] == -12.5
    batch.step([1])
    assert batch.rewards[0] == 0.5
    batch.step([1])
    assert (batch.last_return[0], batch.last_score[0]) == (-11.5, -3.0)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (
            "gym:FrozenLake-v1",
            {"slippery": 1},
            r"gym:FrozenLake-v1: there is no option env\.slippery; did you mean 'is_slippery'\?",
        ),
        ("gym:FrozenLake-v1", {"map_name": "9x9"}, r"cannot be made: .*frozen_lake\.py:\d+: Key"),
        ("gym:Taxi-v3", {}, r"v3 for `Taxi` is deprecated. Please use `Taxi-v4`"),
        ("gym:FrozenLake-v1", {"max_steps": "-1"}, r"env\.max_steps must be a whole number"),
    ],
)
def test_mistakes_are_one_clear_line(target, options, message):
    with pytest.raises(UserError, match=message) as caught:
        registry.find(target, options)
    assert "\n" not in str(caught.value)
