"""Our environments as Gymnasium's: the same games, under Gymnasium's rules."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from qlearn.envs import registry
from qlearn.envs.gym import gymnasium_plugin
from qlearn.envs.gym.gymnasium_out import GymnasiumEnv, GymnasiumVectorEnv
from qlearn.errors import UserError

gymnasium_plugin.register()

CORRIDOR = """
class Corridor:
    '''Walk right.'''
    actions = 2
    observation = (2,)
    max_steps = 9
    low, high = -50.0, 50.0
    state = {"x": "float64", "spent": "int64"}
    def reset(state, rng):
        state.x = 0.0
        state.spent = 0
    def step(state, action, rng):
        state.x += 1.0 if action == 1 else -1.0
        state.spent += 1
        return -0.5, state.x >= 3.0
    def observe(state, obs):
        obs[0] = state.x
        obs[1] = state.spent
"""

CHOICES = [
    ("qlearn/Grid-v0", {}),
    ("qlearn/Grid-v0", {"reward": "arrival", "slip": 0.2, "max_steps": 30}),
    ("qlearn/CartPole-v0", {}),
    ("qlearn/CartPole-v0", {"max_steps": 20, "shape_angle": 1.0}),
    ("qlearn/Snake-v0", {}),
    ("qlearn/Snake-v0", {"size": 8, "observation": "features"}),
    ("qlearn/Snake-v0", {"observation": "flat", "actions": "absolute"}),
    ("qlearn/Snake-v0", {"engine": "python"}),
]


@pytest.fixture
def corridor(tmp_path):
    file = tmp_path / "my_env.py"
    file.write_text(CORRIDOR)
    return f"{file}:Corridor"


def checked(env):
    """Runs Gymnasium's checker; any warning that we could avoid is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # CartPole's speeds have no bound, in Gymnasium's own CartPole neither.
        warnings.filterwarnings("ignore", message=".*space m..imum value is -?infinity")
        check_env(env.unwrapped)


@pytest.mark.parametrize(("identity", "options"), CHOICES)
def test_gymnasiums_own_checker_is_content(identity, options):
    checked(gymnasium.make(identity, **options))


def test_a_users_file_is_made_and_checked(corridor):
    checked(gymnasium.make("qlearn/Custom-v0", env=corridor))
    many = gymnasium.make_vec("qlearn/Custom-v0", num_envs=3, env=corridor)
    assert many.reset(seed=1)[0].shape == (3, 2)


def play(env, seed, steps, chooser):
    """(observation, reward, ended) after each step, first observations among them."""
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(
            int(chooser.integers(env.action_space.n))
        )
        seen += [observation, reward, terminated, truncated]
        if terminated or truncated:
            seen += [info["score"], env.reset()[0]]
    return seen


@pytest.mark.parametrize("engine", ["numba", "python"])
@pytest.mark.parametrize("name", ["grid", "cartpole", "snake"])
def test_an_env_plays_the_episodes_of_copy_0(name, engine):
    env = GymnasiumEnv(name, engine=engine)
    batch = registry.batch(registry.find(name), 1, 7)
    chooser = np.random.default_rng(0)
    expected = [batch.reset()[0][0].copy()]
    for _ in range(300):
        observations, rewards, terminated, truncated, _ = batch.step(
            [int(chooser.integers(env.action_space.n))]
        )
        ended = terminated[0] or truncated[0]
        shown = batch.final_observations if ended else observations
        expected += [shown[0].copy(), rewards[0], terminated[0], truncated[0]]
        if ended:
            expected += [batch.last_score[0], observations[0].copy()]
    assert batch.episodes[0] >= 2
    got = play(env, 7, 300, np.random.default_rng(0))
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(np.ravel(mine), np.ravel(theirs))


def test_a_seeded_reset_is_as_new_whatever_came_before():
    env = GymnasiumEnv("snake")
    first = play(env, 3, 40, np.random.default_rng(1))
    play(env, 4, 33, np.random.default_rng(2))
    again = play(env, 3, 40, np.random.default_rng(1))
    for mine, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_reset_in_mid_episode_begins_the_next_one():
    env, batch = GymnasiumEnv("cartpole"), registry.make("cartpole", seed=5)
    env.reset(seed=5)
    batch.reset()
    env.step(1)
    batch.step([1])
    np.testing.assert_array_equal(env.reset()[0], batch.reset()[0][0])
    np.testing.assert_array_equal(env.reset()[0], batch.reset()[0][0])


def test_without_any_seed_two_envs_differ():
    one, other = GymnasiumEnv("cartpole"), GymnasiumEnv("cartpole")
    assert not np.array_equal(one.reset()[0], other.reset()[0])


def test_steps_out_of_turn_are_refused(corridor):
    env = GymnasiumEnv(corridor, engine="python")
    with pytest.raises(ResetNeeded, match="no episode has begun"):
        env.step(1)
    env.reset(seed=0)
    for _ in range(3):
        observation, _, terminated, _, _ = env.step(1)
    assert terminated
    assert observation.tolist() == [3.0, 3.0]
    with pytest.raises(ResetNeeded, match="has ended"):
        env.step(1)
    env.reset()
    env.step(1)
    with pytest.raises(UserError, match=r"action 2 of copy 0 is not in 0 \.\. 1"):
        env.step(2)


@pytest.mark.parametrize("name", ["grid", "cartpole", "snake"])
def test_positions_are_drawn(name):
    env = GymnasiumEnv(name, render_mode="ansi")
    env.reset(seed=0)
    twin = GymnasiumEnv(name, render_mode="ansi", engine="python")
    twin.reset(seed=0)
    for _ in range(3):
        assert env.render() == twin.render()
        assert "\n" in env.render()
        env.step(0)
        twin.step(0)


@pytest.mark.parametrize("engine", ["numba", "python"])
def test_the_position_that_ended_an_episode_is_drawn(corridor, engine):
    env = GymnasiumEnv(corridor, render_mode="ansi", engine=engine)
    env.reset(seed=0)
    for k in range(1, 4):
        env.step(1)
        assert env.render() == f"x = {k}.0\nspent = {k}"
    env.reset()
    assert env.render() == "x = 0.0\nspent = 0"


@pytest.mark.parametrize("name", ["grid", "snake"])
def test_a_vector_env_is_the_batch(name):
    vector = gymnasium.make_vec(f"qlearn/{name.title()}-v0", num_envs=5)
    assert isinstance(vector.unwrapped, GymnasiumVectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    batch = registry.batch(registry.find(name), 5, 9)
    discrete = batch.environment.discrete

    def rows(observations):
        return observations[:, 0] if discrete else observations

    observations, _ = vector.reset(seed=9)
    np.testing.assert_array_equal(observations, rows(batch.reset()[0]))
    chooser, ends, kept = np.random.default_rng(3), 0, None
    for _ in range(200):
        actions = chooser.integers(batch.environment.actions, size=5)
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        batch.step(actions)
        assert observations in vector.observation_space
        np.testing.assert_array_equal(observations, rows(batch.observations))
        np.testing.assert_array_equal(rewards, batch.rewards)
        np.testing.assert_array_equal(terminated, batch.terminated)
        np.testing.assert_array_equal(truncated, batch.truncated)
        ended = terminated | truncated
        assert bool(infos) == ended.any()
        if infos:
            kept = kept or (terminated, terminated.copy(), observations, observations.copy())
            np.testing.assert_array_equal(infos["_final_obs"], ended)
            np.testing.assert_array_equal(infos["final_info"]["_score"], ended)
        for i in np.flatnonzero(ended):
            ends += 1
            last = batch.final_observations[i]
            np.testing.assert_array_equal(infos["final_obs"][i], last[0] if discrete else last)
            assert infos["final_obs"][i] in vector.single_observation_space
            assert infos["final_info"]["score"][i] == batch.last_score[i]
    assert ends > 5
    np.testing.assert_array_equal(kept[0], kept[1])  # what was given out is not overwritten
    np.testing.assert_array_equal(kept[2], kept[3])


def test_infos_have_the_shape_of_gymnasiums_own_vector_env():
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    ours = gymnasium.make_vec("qlearn/Snake-v0", num_envs=3)
    theirs = gymnasium.make_vec(
        "qlearn/Snake-v0", num_envs=3, vectorization_mode="sync", vector_kwargs=same_step
    )
    np.testing.assert_array_equal(ours.reset(seed=[5, 6, 7])[0], theirs.reset(seed=[5, 6, 7])[0])
    chooser, ends = np.random.default_rng(0), 0
    for _ in range(120):
        actions = chooser.integers(3, size=3)
        mine, own = ours.step(actions), theirs.step(actions)
        for left, right in zip(mine[:4], own[:4], strict=True):
            np.testing.assert_array_equal(left, right)
        same_infos(mine[4], own[4])
        ends += "final_obs" in mine[4]
    assert ends > 3


def same_infos(mine, theirs):
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        if isinstance(value, dict):
            same_infos(value, theirs[key])
        elif value.dtype == object:
            for left, right in zip(value, theirs[key], strict=True):
                np.testing.assert_array_equal(left, right)
        else:
            np.testing.assert_array_equal(value, theirs[key])


def test_some_copies_are_reset_and_the_others_play_on():
    vector = GymnasiumVectorEnv(3, "cartpole")
    vector.reset(seed=2)
    for _ in range(4):
        before = vector.step([0, 1, 0])[0]
    mask = np.array([False, True, False])
    after = vector.reset(options={"reset_mask": mask})[0]
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert not np.array_equal(after[1], before[1])
    with pytest.raises(UserError, match="at least one True"):
        vector.reset(options={"reset_mask": np.zeros(3, bool)})
    with pytest.raises(UserError, match="2 seeds for 3 copies"):
        vector.reset(seed=[1, 2])


def test_copy_false_gives_views_and_an_early_step_is_refused():
    vector = GymnasiumVectorEnv(2, "cartpole", copy=False)
    with pytest.raises(ResetNeeded):
        vector.step([0, 0])
    first = vector.reset(seed=0)[0]
    assert np.shares_memory(first, vector.step([0, 0])[0])


def test_gymnasiums_wrappers_and_time_limits_work():
    vector = gymnasium.wrappers.vector.RecordEpisodeStatistics(
        gymnasium.make_vec("qlearn/CartPole-v0", num_envs=2, max_episode_steps=6)
    )
    vector.reset(seed=0)
    for step in range(6):
        *_, truncated, infos = vector.step([step % 2] * 2)
    assert truncated.all()
    assert infos["episode"]["l"].tolist() == [6, 6]


def test_what_cannot_be_made_is_said(corridor):
    with pytest.raises(UserError, match='env="FILE'):
        gymnasium.make("qlearn/Custom-v0")
    with pytest.raises(UserError, match=r"no option env\.sise; did you mean 'size'"):
        gymnasium.make("qlearn/Snake-v0", sise=8)
    with pytest.raises(UserError, match="options already"):
        GymnasiumEnv(registry.find("snake"), size=8)
    with pytest.raises(UserError, match=r"gymnasium\.make"):
        GymnasiumEnv("gym:Acrobot-v1")


IMPORTS = """
import sys
sys.path[:] = {path!r}
from qlearn.envs.gym import gymnasium_plugin as plugin
assert not {{"gymnasium", "numpy", "numba"}} & set(sys.modules), "the plugin imports too much"
{order}
ids = [key for key in gymnasium.registry if key.startswith("qlearn/")]
assert len(ids) == 4, ids
assert not any(type(finder).__name__ == "_Listener" for finder in sys.meta_path)
env = gymnasium.make("qlearn/Snake-v0", size=8)
assert "numba" not in sys.modules, "numba came with gymnasium.make()"
print(env.observation_space.shape[0])
"""


@pytest.mark.parametrize(
    "order",
    [
        "plugin.register_when_imported(); plugin.register_when_imported(); import gymnasium",
        "import gymnasium; plugin.register_when_imported()",
        "import gymnasium; plugin.register(); plugin.register()",
    ],
)
def test_gymnasium_knows_us_without_importing_numba(order):
    text = IMPORTS.format(path=sys.path, order=order)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "515\n"
