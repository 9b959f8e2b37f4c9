"""Trainings that cannot go on: the cause in one line, and what was good is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import qlearn
from qlearn.cli.main import main
from qlearn.errors import Diverged, UserError
from qlearn.runs import checkpoint
from qlearn.runs.alarms import Alarms
from qlearn.runs.folder import find_run

FILE = """
import numpy as np

class Walk:
    actions = 2
    observation = {observation}
    max_steps = {max_steps}
    state = {{"x": "int64", "t": "int64"}}
    options = {{"raises": 1000000, "unpaid": 1000000}}

    def reset(state, rng):
        state.x = 4

    def step(state, action, rng, world):
        state.t += 1
        state.x = max(0, min(9, state.x + 2 * action - 1))
        if state.t > world.raises:
            raise ValueError("over")
        reward = 1.0 * state.x
        if state.t > world.unpaid:
            reward = np.nan
        return reward, {max_steps} > 0 and state.x == 9

    def observe(state, obs):
        obs[0] = {shown}
"""
LINE = FILE.splitlines().index('            raise ValueError("over")') + 1
TABLE = {"observation": 10, "shown": "state.x", "max_steps": 50}
NETWORK = {"observation": "(1,)", "shown": "0.1 * state.x", "max_steps": 50}
SMALL = {"hidden": "8", "envs": 2, "eval_episodes": 2}
LEARNERS = [
    ("table", "dict", TABLE, {}),
    ("table", "numba", TABLE, {}),
    ("table", "numpy", TABLE, {"envs": 2}),
    ("pqn", "torch", NETWORK, SMALL | {"rollout": 16}),
    ("dqn", "torch", NETWORK, SMALL | {"start": 100}),
]
IDS = [f"{algo}-{engine}" for algo, engine, *_ in LEARNERS]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QLEARN_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def failing(tmp_path, kind, algo, engine, how):
    """The error of a training, and its folder."""
    file = tmp_path / "walks.py"
    file.write_text(FILE.format(**kind))
    how = {"eval_episodes": 2, "checkpoint_seconds": 0.0, **how}
    with pytest.raises(UserError) as caught:
        qlearn.train(
            f"{file}:Walk", algo=algo, engine=engine, steps=6000, out=tmp_path / "r", **how
        )
    assert "\n" not in str(caught.value)
    assert find_run(tmp_path / "r").status == "failed"
    return caught.value, tmp_path / "r"


def saved(path):
    """Whether every number of the last checkpoint is one, and its step."""
    arrays, about = checkpoint.load(path / "checkpoints" / "last")
    floats = [array for array in arrays.values() if array.dtype.kind == "f"]
    return all(np.isfinite(array).all() for array in floats), about["env_steps"]


@pytest.mark.parametrize(("algo", "engine", "kind", "how"), LEARNERS, ids=IDS)
def test_the_line_that_raised_is_named(tmp_path, algo, engine, kind, how):
    error, path = failing(tmp_path, kind, algo, engine, how | {"env_raises": 700})
    assert f"{tmp_path}/walks.py:{LINE}: Walk raised ValueError: over; step " in str(error)
    whole, step = saved(path)
    assert whole
    assert step < 6000
    assert f"step {step:,} is kept: qlearn train --resume r goes on from there" in str(error)


@pytest.mark.parametrize(("algo", "engine", "kind", "how"), LEARNERS, ids=IDS)
def test_a_reward_that_is_no_number_never_reaches_a_checkpoint(tmp_path, algo, engine, kind, how):
    error, path = failing(tmp_path, kind, algo, engine, how | {"env_unpaid": 700})
    assert "reward" in str(error)
    assert "no number" in str(error)
    assert "goes on from there" in str(error)
    assert saved(path)[0]
    best = path / "best"
    assert not checkpoint.exists(best) or np.isfinite(checkpoint.load(best)[0].popitem()[1]).all()


def test_a_table_of_a_game_without_end_is_looked_at_before_it_is_kept(tmp_path):
    """No return ever tells of the reward that was no number."""
    kind, how = TABLE | {"max_steps": 0}, {"env_unpaid": 700, "eval_max_steps": 20}
    error, path = failing(tmp_path, kind, "table", "dict", how)
    assert "the table's numbers are lost at step " in str(error)
    assert saved(path)[0]


@pytest.mark.parametrize("algo", ["pqn", "dqn"])
def test_lost_numbers_of_the_fused_engine_never_reach_a_checkpoint(tmp_path, monkeypatch, algo):
    """As after an update too far."""
    from qlearn.algorithms.network.fused import FusedLearner

    learn = FusedLearner.advance

    def one_too_far(self, steps):
        if self.env_steps > 2000:
            self.net.params[3] = np.nan
        return learn(self, steps)

    monkeypatch.setattr(FusedLearner, "advance", one_too_far)
    how = {"algo": algo, "steps": 20_000, "checkpoint_seconds": 0.0, "eval_every": 500}
    with pytest.raises(Diverged, match=r"numbers are lost at step .* qlearn set r lr=\.\.\. and"):
        qlearn.train("cartpole", out=tmp_path / "r", **how)
    whole, step = saved(tmp_path / "r")
    assert whole
    assert step >= 2000
    assert np.isfinite(checkpoint.load(tmp_path / "r" / "best")[0]["params"]).all()


def test_the_likeliest_cause_is_told_from_what_is_known():
    from qlearn.algorithms import registry
    from qlearn.envs.registry import find

    def learner(**settings):
        environment = find("cartpole")
        config = registry.configure("dqn", {"steps": 10_000, **settings}, environment, "fused")
        return registry.make_learner("dqn", "fused", environment, config, 0)

    assert "lr (0.5) is too large" in learner(lr=0.5).suspect()
    assert "clip=0" in learner(lr=0.5, clip=0).suspect()
    one = learner(discount=1.0)
    one.sums[7] = 100.0  # acted, and nothing ended
    assert "no episode that terminates" in one.suspect()
    one.ring.rewards[3] = 1e6
    assert "rewards of up to 1e+07 are learned as 1e+06" in one.suspect()
    one.ring.frames[5, 1] = np.nan
    assert "an observation was no number" in one.suspect()
    one.ring.rewards[4] = -np.inf
    assert "a reward was infinite" in one.suspect()
    one.ring.rewards[4] = 0.0
    assert "a reward was no number" in one.suspect([1.0, np.nan])


def rows(errors):
    return [{"loss": 1.0, "td_error": error, "gradient_norm": 1.0} for error in errors]


def test_errors_that_leave_all_bounds_end_a_training():
    alarms = Alarms()
    for row in rows([2.0] * 25 + [1e7, 1e8]):
        assert alarms.saw(row) == []
        assert not alarms.lost
    assert alarms.doubt  # not to be kept in the place of what was good
    alarms.saw(*rows([1e8]))
    assert alarms.lost == "exploding: errors of 1e+08, usually 2"
    alarms.saw(*rows([2.0]))
    assert not alarms.doubt


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([1e7] * 40, 4),
        ([2.0] * 25 + [1e7, 2.0] * 20, 0),
        ([1e-9] * 30 + [0.5] * 30, 0),
        ([0.0] * 40, 0),
    ],
)
def test_large_from_the_beginning_is_only_told(errors, said):
    alarms = Alarms()
    found = [kind for row in rows(errors) for kind, _ in alarms.saw(row)]
    assert found == ["exploding"] * said
    assert not alarms.lost


# ------------------------------------------------------- environments that step from Python


PAID = {"huge": 1e30, "vast": 1e300, "endless": np.inf}


class Faulty(gymnasium.Env):
    """Counts its steps; at one of them something happens."""

    observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, trouble="none", at=200, render_mode=None):
        self.trouble, self.at, self.total = trouble, at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.trouble == "in reset" and self.total > self.at:
            raise RuntimeError("cannot begin")
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        self.total += 1
        if self.total == self.at:
            self.cause_trouble()
        reward = PAID.get(self.trouble, 1.0) * (1 + action)
        return np.float32([self.steps / 20]), reward, self.steps == 20, False, {}

    def cause_trouble(self):
        if self.trouble == "raise":
            raise RuntimeError("broken")
        if self.trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trouble == "sleep":
            time.sleep(600)
        if self.trouble == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        while self.trouble == "loop":
            pass


if "Faulty-v0" not in gymnasium.registry:
    gymnasium.register(id="Faulty-v0", entry_point="test_failing:Faulty")

FAULTS = [
    ("raise", "serial", r"test_failing\.py:\d+: copy \d of gym:Faulty-v0 raised RuntimeError: broken"),
    ("in reset", "serial", r"test_failing\.py:\d+: copy \d of gym:Faulty-v0 raised RuntimeError: can"),
    ("raise", "processes", r"test_failing\.py:\d+: copy \d of gym:Faulty-v0 raised RuntimeError"),
    ("kill", "processes", r"a process of gym:Faulty-v0 was ended by signal 9 \(Killed\)"),
    ("sleep", "processes", r"test_failing\.py:\d+: a process of gym:Faulty-v0 hangs: no answer for"),
    ("stop", "processes", r"^a process of gym:Faulty-v0 hangs: no answer for 1 s; --set env\.pati"),
]  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="signals of POSIX")
@pytest.mark.parametrize(("trouble", "run", "message"), FAULTS, ids=lambda case: case[:9])
def test_a_fault_of_an_environment_leaves_a_run_that_goes_on(tmp_path, trouble, run, message):
    own = {"env_trouble": trouble, "env_run": run, "env_patience": 1.0}
    how = {"algo": "dqn", "steps": 1000, "start": 100, "hidden": "8", "envs": 2, "eval_episodes": 2}
    with pytest.raises(UserError, match=message) as caught:
        qlearn.train("gym:Faulty-v0", out=tmp_path / "r", **how, **own)
    _, step = saved(tmp_path / "r")
    assert 390 <= step <= 440  # of two copies: all but the last
    assert f"; step {step:,} is kept: qlearn train --resume r goes on" in str(caught.value)
    folder = find_run(tmp_path / "r")
    assert folder.status == "failed"
    options = folder.record["env_options"]
    folder.update(env_options=options | {"trouble": "none", "run": "serial"})
    assert qlearn.train(resume=tmp_path / "r").report["env_steps"] == 1000


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        ("huge", r"rewards of up to 2e\+30 are learned as 2e\+29; reward_scale=1e-31 fits"),
        ("vast", r"gave a reward of [12]e\+300, more than float32 holds \(copy 0\)"),
        ("endless", r"gave a reward that is no number \(copy 0\)"),
    ],
)
def test_rewards_that_cannot_be_learned_are_the_cause(tmp_path, trouble, cause):
    own = {"env_trouble": trouble, "env_run": "serial", "envs": 2, "hidden": "8", "rollout": 16}
    with pytest.raises(UserError, match=cause):
        qlearn.train("gym:Faulty-v0", algo="pqn", engine="torch", steps=4000, **own)


@pytest.mark.parametrize("patience", ["-1", "nan", "soon", "true"])
def test_patience_is_a_number_of_seconds(patience, capsys):
    assert main(["train", "gym:Faulty-v0", "--set", f"env.patience={patience}"]) == 2
    assert "env.patience must be a number of seconds, 0 for any" in capsys.readouterr().err


SCRIPT = """
import sys
sys.path[:] = {path!r}
import test_failing
from qlearn.cli.main import main
sys.exit(main(["train", "gym:Faulty-v0", "--algo", "dqn", "--envs", "2", "--steps", "2000", "--out", {out!r}, "--set",
               "env.trouble=loop", "env.run=serial", "start=100"]))
"""


def test_a_second_ctrl_c_waits_for_no_environment(tmp_path):
    """In this process, where nobody watches: the first one waits for the end of the step."""
    program = SCRIPT.format(path=sys.path, out=str(tmp_path / "r"))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        log = tmp_path / "r" / "metrics.jsonl"
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until and not log.exists():
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert json.loads((tmp_path / "r" / "run.json").read_text())["status"] == "interrupted"
