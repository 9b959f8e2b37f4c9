"""Gymnasium's own environments: three ways of running, no bogus transition in any of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from qlearn.envs import registry
from qlearn.envs.gym import foreign, foreign_batch
from qlearn.envs.gym.foreign_copies import Recipe, view_of
from qlearn.envs.gym.foreign_workers import Workers
from qlearn.errors import UserError

LARGE = 1e6


class Counting(gymnasium.Env):
    """Shows its seed's number, the episode and the step: a transition across a reset is seen."""

    observation_space = spaces.Box(-LARGE, LARGE, (3,), np.float64)
    action_space = spaces.Discrete(3, start=5)

    def __init__(self, render_mode=None, trouble="none", at=7):
        self.trouble, self.at, self.episode = trouble, at, 0

    def seen(self):
        return np.array([self.number, self.episode, self.steps], np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.number, self.episode = float(self.np_random.integers(1000)), 0
        self.episode += 1
        self.steps = 0
        self.length = 2 + int(self.np_random.integers(5))
        return self.seen(), {}

    def step(self, action):
        assert action in self.action_space
        self.steps += 1
        if self.steps + self.episode == self.at:
            self.cause_trouble()
        print("environments may print", end=" ")
        reward = 100.0 * self.episode + self.steps + 0.1 * action
        return self.seen(), reward, self.steps >= self.length, False, {}

    def cause_trouble(self):
        if self.trouble == "raise":
            raise ValueError("the wheel came off\nand rolled away")
        if self.trouble == "exit":
            os._exit(3)
        if self.trouble == "nan":
            self.steps = np.nan


def batched(num_envs, mode, max_episode_steps=None, **options):
    """The same as one of Gymnasium's batched classes, in any mode."""

    def one():
        env = Counting(**options)
        if max_episode_steps:
            env = gymnasium.wrappers.TimeLimit(env, max_episode_steps)
        return env

    return SyncVectorEnv([one] * num_envs, autoreset_mode=mode)


def next_step(num_envs, **options):
    return batched(num_envs, AutoresetMode.NEXT_STEP, **options)


def same_step(num_envs, **options):
    return batched(num_envs, AutoresetMode.SAME_STEP, **options)


def disabled(num_envs, **options):
    return batched(num_envs, AutoresetMode.DISABLED, **options)


class Secretive(SyncVectorEnv):
    def step(self, actions):
        *result, _ = super().step(actions)
        return *result, {}


def secretive(num_envs, max_episode_steps=None):
    return Secretive([Counting] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def register(name, creator, **more):
    if name not in gymnasium.registry:
        gymnasium.register(id=name, entry_point=creator, **more)


register("Counting-v0", Counting, max_episode_steps=5)
for mode in (next_step, same_step, disabled, secretive):
    register(f"Counting_{mode.__name__}-v0", Counting, vector_entry_point=mode, max_episode_steps=5)

WAYS = [
    ("Counting-v0", "serial"),
    ("Counting-v0", "processes"),
    ("Counting_next_step-v0", "vector"),
    ("Counting_same_step-v0", "vector"),
    ("Counting_disabled-v0", "vector"),
]


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch, tmp_path):
    """Whatever the machine; and figures measured here are not kept for other tests."""
    monkeypatch.setattr(foreign, "processes_for", lambda envs: min(2, envs))
    monkeypatch.setenv("QLEARN_CACHE", str(tmp_path / "cache"))


def made(identity, envs=3, seed=4, **options):
    return registry.batch(registry.find(f"gym:{identity}", options), envs, seed)


def ended(batch):
    return batch.terminated | batch.truncated


@pytest.mark.parametrize(("identity", "run"), WAYS)
def test_no_transition_goes_across_a_reset(identity, run):
    with made(identity, run=run) as batch:
        before = batch.reset()[0].copy()
        assert (before[:, 1:] == [1, 0]).all()
        assert len(set(before[:, 0])) == 3  # three seeds
        chooser, ends, cut, invalid, lengths = np.random.default_rng(0), 0, 0, 0, set()
        expecting_reset = np.zeros(3, bool)
        for _ in range(120):
            actions = chooser.integers(3, size=3)
            observations, rewards, _, _, info = batch.step(actions)
            over, valid = ended(batch), info["valid"]
            after = np.where(over[:, None], batch.final_observations, observations)
            np.testing.assert_array_equal(valid, ~expecting_reset)
            # A transition stays in its episode, is one step long, and has its own reward.
            assert (after[valid, :2] == before[valid, :2]).all()
            assert (after[valid, 2] == before[valid, 2] + 1).all()
            expected = 100 * after[:, 1] + after[:, 2] + 0.1 * (actions + 5)
            np.testing.assert_allclose(rewards[valid], expected[valid], rtol=1e-6)
            # What is no transition carries nothing to learn from.
            assert not rewards[~valid].any()
            assert not over[~valid].any()
            assert (observations[~valid, 2] == 0).all()
            assert not (batch.truncated & batch.terminated).any()
            assert (after[batch.truncated, 2] == 5).all()
            cut += int(batch.truncated.sum())
            for i in np.flatnonzero(over):
                lengths.add(int(batch.last_length[i]))
                assert batch.last_length[i] == after[i, 2]
                assert batch.episodes[i] == after[i, 1]
                if "next_step" not in identity:
                    assert observations[i].tolist() == [after[i, 0], after[i, 1] + 1, 0]
            if "next_step" in identity:
                expecting_reset = over
                invalid += int(over.sum())
            ends += int(over.sum())
            before = observations.copy()
        assert ends > cut > 5
        assert lengths == {2, 3, 4, 5}
        assert (invalid > 0) == ("next_step" in identity)


@pytest.mark.parametrize("run", ["serial", "processes"])
def test_returns_and_scores_are_kept(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def doubled(before, action, after, reward, terminated):\n"
        "    assert after[2] == before[2] + 1 and terminated == bool(terminated)\n"
        "    return 2.0 * reward + action\n"
    )
    with made("Counting-v0", run=run, reward=f"{tmp_path}/mine.py:doubled") as batch:
        batch.reset()
        plain, shaped, seen = np.zeros(3), np.zeros(3), 0
        for step in range(60):
            actions = np.full(3, step % 3)
            batch.step(actions)
            shaped += batch.rewards
            plain += (batch.rewards - actions) / 2
            for i in np.flatnonzero(ended(batch)):
                assert batch.last_score[i] == pytest.approx(plain[i], rel=1e-6)
                assert batch.last_return[i] == pytest.approx(shaped[i], rel=1e-6)
                plain[i] = shaped[i] = 0.0
                seen += 1
        assert seen > 30


def everything(batch, steps, seed=0):
    chooser, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        batch.step(chooser.integers(batch.environment.actions, size=batch.envs))
        seen += [batch.observations, batch.rewards, batch.terminated, batch.truncated]
        seen += [batch.final_observations[ended(batch)], batch.last_score, batch.episodes]
        seen = [array.copy() if array.base is not None else array for array in seen]
    return b"".join(array.tobytes() for array in seen)


@pytest.mark.parametrize("identity", ["Counting-v0", "Acrobot-v1", "Blackjack-v1"])
def test_processes_play_the_games_of_serial_bit_for_bit(identity):
    limit = {"max_steps": 20} if identity == "Acrobot-v1" else {}
    played = []
    for run in ("serial", "processes"):
        with made(identity, envs=5, run=run, **limit) as batch:
            first = batch.reset()[0].tobytes()
            one = everything(batch, 60)
            assert batch.episodes.min() > 1
            again = batch.reset()[0].tobytes()  # goes on with the streams
            assert batch.reset(4)[0].tobytes() == first  # as new
            assert everything(batch, 60) == one
            played.append((first, one, again))
    assert played[0] == played[1]


def test_copies_play_the_same_games_in_any_batch_and_differ_by_seed():
    with made("Counting-v0", 2, run="serial") as few, made("Counting-v0", 5, run="serial") as many:
        np.testing.assert_array_equal(few.reset()[0], many.reset()[0][:2])
        other = few.reset(5)[0].copy()
        assert not np.array_equal(other, few.reset(4)[0])
    seeds = {foreign_batch.seed_of(seed, copy) for seed in range(50) for copy in range(50)}
    assert len(seeds) == 2500
    assert 0 <= min(seeds) <= max(seeds) < 1 << 31


def test_going_on_without_games_plays_new_ones_and_keeps_the_books():
    with made("Counting-v0", run="serial") as batch, made("Counting-v0", run="serial") as other:
        first = batch.reset()[0].copy()
        everything(batch, 40)
        state = {name: a for name, a in batch.get_state().items() if not name.startswith("games")}
        other.set_state(state)
        assert other.anew == "was saved without its games"
        np.testing.assert_array_equal(other.episodes, batch.episodes)
        np.testing.assert_array_equal(other.last_score, batch.last_score)
        assert not np.array_equal(other.observations[:, 0], first[:, 0])


def test_bare_gymnasium_plays_the_same_acrobot():
    with made("Acrobot-v1", 1, seed=6, run="serial") as batch:
        env = gymnasium.make("Acrobot-v1", max_episode_steps=30)
        batch.stepper.recipe = Recipe("Acrobot-v1", env.spec, {}, 30)
        seen, _ = env.reset(seed=foreign_batch.seed_of(6, 0))
        np.testing.assert_array_equal(batch.reset()[0][0], seen)
        for step in range(100):
            seen, reward, terminated, truncated, _ = env.step(step % 3)
            batch.step([step % 3])
            over = terminated or truncated
            shown = batch.final_observations if over else batch.observations
            np.testing.assert_array_equal(shown[0], seen)
            assert (batch.rewards[0], ended(batch)[0]) == (reward, over)
            if over:
                np.testing.assert_array_equal(batch.observations[0], env.reset()[0])


def step_often(batch):
    for _ in range(30):
        batch.step([0] * batch.envs)


def gone(pid, seconds=5.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            # A process that has ended stays until it is waited for; then it is only a name.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


with_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks processes up in /proc"
)


@with_proc
@pytest.mark.parametrize(
    ("trouble", "run", "message"),
    [
        ("raise", "serial", r"test_foreign\.py:\d+: copy \d of gym:Counting-v0 raised ValueError:"),
        ("raise", "processes", r"test_foreign\.py:\d+: copy \d of gym:Counting-v0 raised ValueErr"),
        ("exit", "processes", "a process of gym:Counting-v0 ended by itself with exit code 3"),
        ("nan", "processes", r"gave a reward that is no number \(copy \d\)"),
    ],
)
def test_trouble_in_an_environment_is_one_clear_line(trouble, run, message):
    batch = made("Counting-v0", run=run, trouble=trouble)
    pids = [process.pid for process in batch.workers.processes] if run == "processes" else []
    batch.reset()
    with pytest.raises(UserError, match=message) as caught:
        step_often(batch)
    assert "\n" not in str(caught.value)
    if trouble == "nan":
        batch.close()
    assert all(gone(pid) for pid in pids)
    if trouble == "exit":
        with pytest.raises(UserError, match="have ended; make a new batch"):
            batch.step([0, 0, 0])


def test_processes_name_the_copy_that_serial_names():
    messages = []
    for run in ("serial", "processes"):
        batch = made("Counting-v0", 4, seed=6, run=run, trouble="raise", at=9)
        batch.reset()
        with pytest.raises(UserError) as caught:
            step_often(batch)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "copy 3 " in messages[0]  # of the second process, where a count from 0 would be 1


@with_proc
def test_a_killed_worker_is_noticed():
    batch = made("Counting-v0", run="processes")
    batch.reset()
    one, other = (process.pid for process in batch.workers.processes)
    os.kill(one, signal.SIGKILL)
    with pytest.raises(UserError, match=r"was ended by signal 9 \(Killed\)"):
        batch.step([0, 0, 0])
    assert gone(one)
    assert gone(other)


@with_proc
def test_close_ends_the_workers_and_leaves_no_file():
    batch = made("Counting-v0", run="processes")
    pids = [process.pid for process in batch.workers.processes]
    assert not Path(batch.workers.path).exists()  # gone as soon as all have it open
    began = time.monotonic()
    batch.close()
    batch.close()
    assert time.monotonic() - began < 1.5  # they end by themselves, not by force
    assert all(gone(pid) for pid in pids)


SCRIPT = """
import sys, time
sys.path[:] = {path!r}
import test_foreign
from qlearn.envs import registry
from qlearn.envs.gym import foreign
foreign.processes_for = lambda envs: 2
batch = registry.batch(registry.find("gym:Counting-v0", {{"run": "processes"}}), 2, 0)
batch.reset()
print(batch.workers.path, *[each.pid for each in batch.workers.processes], flush=True)
{then}
"""


@with_proc
@pytest.mark.parametrize(
    ("then", "send", "code"),
    [
        ("pass", None, 0),  # just leaving
        ("raise SystemExit(5)", None, 5),
        ("while True: batch.step([0, 0])", signal.SIGINT, -signal.SIGINT),
        ("while True: batch.step([0, 0])", signal.SIGTERM, -signal.SIGTERM),
        ("while True: batch.step([0, 0])", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_workers_never_outlive_us(then, send, code):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(path=sys.path, then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    path, *words = process.stdout.readline().split()
    pids = [int(word) for word in words]
    assert len(pids) == 2
    if send is not None:
        time.sleep(0.1)
        os.killpg(process.pid, send)  # as Ctrl-C does: to the whole group
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert all(gone(pid) for pid in pids)
    assert "foreign_workers.py" not in errors.replace("in _order", "") or send == signal.SIGINT
    assert errors.count("Traceback") == (send == signal.SIGINT)  # ours alone, none of a worker's
    assert not Path(path).exists()


def test_starting_workers_does_not_run_the_main_script_again(tmp_path):
    script = tmp_path / "main.py"  # no `if __name__ == "__main__"`
    script.write_text(SCRIPT.format(path=sys.path, then="batch.step([0, 0]); print('once')"))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.count("once") == 1


def test_which_way_is_a_rule_on_kept_figures(monkeypatch):
    figures = {"step": 1e-3, "talk": 1e-4}
    monkeypatch.setattr(foreign, "step_seconds", lambda recipe: figures["step"])
    monkeypatch.setattr(foreign, "talking_seconds", lambda count: figures["talk"])
    environment = registry.find("gym:Counting-v0")
    way, note = foreign.way_to_run(environment, 8)
    assert (way, note) == (
        "processes", "8 copies in 2 processes (1.0 ms a step, 100 us for talking)",
    )  # fmt: skip
    assert foreign.way_to_run(environment, 1) == ("serial", "1 copy one after another")
    figures["step"] = 12e-6
    assert foreign.way_to_run(environment, 8) == (
        "serial",
        "8 copies one after another (12 us a step; 2 processes would spend 100 us on talking)",
    )
    figures["talk"] = 0.0
    assert foreign.way_to_run(environment, 8)[0] == "processes"
    batched = registry.find("gym:Counting_same_step-v0")
    assert foreign.way_to_run(batched, foreign.VECTOR_PAYS)[0] == "vector"
    assert foreign.way_to_run(batched, foreign.VECTOR_PAYS - 1)[0] != "vector"


def test_figures_are_measured_once(monkeypatch):
    recipe = registry.find("gym:Counting-v0").recipe
    monkeypatch.setattr(foreign, "_timed", lambda recipe: 0.125)
    assert foreign.step_seconds(recipe) == 0.125
    monkeypatch.setattr(foreign, "_timed", lambda recipe: 99.0)
    assert foreign.step_seconds(recipe) == 0.125
    file = foreign.cache.folder() / "gymnasium.json"
    file.write_text("{ damaged")
    assert foreign.step_seconds(recipe) == 99.0
    monkeypatch.undo()
    assert 0.0 < foreign._talked(2, times=20) < 0.1
    assert 0.0 < foreign._timed(registry.find("gym:Acrobot-v1").recipe, 0.01) < 0.01


SHOWN = [
    (spaces.Discrete(4, start=-2), -1, 4, [1], 0, 3),
    (spaces.Box(-1.0, 2.0, (2, 2)), [[0, 1], [2, -1]], (4,), [0, 1, 2, -1], -1, 2),
    (spaces.Box(0, 255, (1, 2), np.uint8), np.uint8([[3, 255]]), (2,), [3, 255], 0, 255),
    (spaces.Box(0.0, 1.0, ()), np.float32(0.5), (1,), [0.5], 0, 1),
    (spaces.MultiDiscrete([2, 3]), [1, 2], (5,), [0, 1, 0, 0, 1], 0, 1),
    (spaces.MultiBinary(3), [1, 0, 1], (3,), [1, 0, 1], 0, 1),
    (
        spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(-3.0, 3.0, (2,))}),
        {"a": 1, "b": [0.5, -2.0]},
        (4,),
        [0, 1, 0.5, -2.0],
        -3,
        3,
    ),
]


@pytest.mark.parametrize(("space", "seen", "observation", "row", "low", "high"), SHOWN)
def test_whatever_is_shown_becomes_a_row(space, seen, observation, row, low, high):
    view = view_of(space, False, "gym:X")
    assert view.observation == observation
    into = np.zeros(len(row), np.int64 if isinstance(observation, int) else np.float32)
    view.write(into, seen if isinstance(seen, dict) else np.asarray(seen))
    assert into.tolist() == row
    assert (view.low.min(), view.high.max()) == (low, high)


def test_whole_numbers_become_one_where_asked():
    space = spaces.Tuple((spaces.Discrete(3), spaces.Discrete(4, start=1), spaces.Discrete(2)))
    view, row, seen = view_of(space, True, "gym:X"), np.zeros(1, np.int64), set()
    for a, b, c in np.ndindex(3, 4, 2):
        view.write(row, (a, b + 1, c))
        seen.add(int(row[0]))
    assert (view.observation, seen) == (24, set(range(24)))
    with pytest.raises(ValueError, match="outside of its own space"):
        view.write(row, (0, 5, 0))  # it would be an index into a table
    environment = registry.find("gym:Blackjack-v1", {"index": "true"})
    assert (environment.observation, environment.discrete) == (704, True)
    assert registry.find(environment.target, environment.options).observation == 704
    assert "704 states" in registry.find("gym:Blackjack-v1").notes[0]


def test_attributes_are_those_learners_ask_for():
    environment = registry.find("gym:MountainCar-v0", {"max_steps": "50", "run": "serial"})
    assert (environment.name, environment.kind) == ("gym:MountainCar-v0", "gymnasium")
    assert (environment.actions, environment.observation) == (3, (2,))
    assert (environment.max_steps, environment.compiled, environment.discrete) == (50, False, False)
    assert environment.low_array.tolist() == pytest.approx([-1.2, -0.07])
    assert environment.high == pytest.approx(0.6)
    assert environment.options == {"max_steps": 50, "run": "serial"}
    twin = registry.find("gym:CartPole-v1", {"native": "false"})
    assert registry.find(twin.target, twin.options).kind == "gymnasium"
    assert registry.find("gym:CartPole-v1").kind == "builtin"
    with made("Taxi-v4", native=False, run="serial") as batch:
        assert (batch.environment.observation, batch.observations.dtype) == (500, np.int64)
        assert batch.reset()[0].shape == (3, 1)


@pytest.mark.parametrize("autoreset", ["next_step", "same_step", "disabled"])
def test_batched_classes_take_a_time_limit(autoreset):
    with made(f"Counting_{autoreset}-v0", run="vector", max_steps=3) as batch:
        batch.reset()
        for _ in range(40):
            batch.step([0, 0, 0])
        assert batch.last_length.max() == 3
        assert batch.episodes.min() > 8


@pytest.mark.parametrize(
    ("identity", "options", "message"),
    [
        ("Pendulum-v1", {}, r"continuous actions, Box.*; Q-learning needs a fixed number"),
        ("Akrobot-v1", {}, r"Gymnasium knows no 'Akrobot-v1'; did you mean 'gym:Acrobot-v1'\?"),
        ("nowhere_at_all:X-v0", {}, r"gym:nowhere_at_all:X-v0: No module named 'nowhere_at_all'"),
        ("Acrobot-v1", {"run": "vector"}, "has no batched class of its own"),
        ("Acrobot-v1", {"run": "fast"}, "must be one of auto, serial, processes, vector"),
        ("Acrobot-v1", {"foo": 1}, r"there is no option env\.foo"),
        ("Acrobot-v1", {"index": "true"}, r"env\.index=true needs observations of whole numbers"),
        ("Acrobot-v1", {"run": "serial", "envs": 0}, "at least 1, not 0"),
    ],
)
def test_mistakes_are_one_clear_line(identity, options, message):
    with pytest.raises(UserError, match=message) as caught:
        made(identity, options.pop("envs", 2), **options)
    assert "\n" not in str(caught.value)


def test_what_is_seen_can_be_divided_into_buckets():
    with made("MountainCar-v0", run="serial", buckets=10) as batch:
        assert batch.environment.observation == 100
        observations, _ = batch.reset()
        assert set(observations[:, 0] // 10) <= {3, 4}  # -0.6 .. -0.4 between -1.2 and 0.6
        batch.step([0, 1, 2])


def test_a_missing_package_is_named_with_the_pip_command():
    class Needy(gymnasium.Env):
        def __init__(self):
            raise ModuleNotFoundError("No module named 'wheels'", name="wheels")

    register("Needy-v0", Needy)
    with pytest.raises(UserError, match="No module named 'wheels': pip install wheels"):
        made("Needy-v0")
    try:
        import Box2D  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match=r'pip install "gymnasium\[box2d\]"'):
            made("LunarLander-v3")


def test_actions_and_a_class_that_hides_its_last_observation():
    with made("Counting-v0", run="serial") as batch:
        with pytest.raises(UserError, match=r"reset\(\) comes before"):
            batch.step([0, 0, 0])
        batch.reset()
        for actions, message in (
            ([0, 3, 0], r"action 3 of copy 1 is not in 0 \.\. 2"),
            ([0, 0, -1], r"action -1 of copy 2"),
            ([0, 0], "one action for each copy"),
            ([0.5, 1.0, 2.0], "whole numbers"),
        ):
            with pytest.raises(UserError, match=message):
                batch.step(actions)
    with made("Counting_secretive-v0", run="vector") as batch:
        batch.reset()
        with pytest.raises(UserError, match=r"no last observation.*env\.run=serial"):
            step_often(batch)


def test_what_lives_in_the_main_program_runs_here(monkeypatch):
    monkeypatch.setattr(Counting, "__module__", "__main__")
    assert made("Counting-v0").notes == ("gym:Counting-v0: 3 copies one after another",)
    with pytest.raises(UserError, match="defined in the main program"):
        made("Counting-v0", run="processes")


def test_a_worker_that_cannot_make_its_environment_says_why():
    spec = EnvSpec("Counting-v0", entry_point="test_foreign:Counting")
    with pytest.raises(UserError, match=r"there is no option env\.colour"):
        Workers(Recipe(spec.id, spec, {"colour": 1}, 0), 2, 3, "<f4", 2)
