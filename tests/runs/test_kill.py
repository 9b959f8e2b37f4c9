"""`kill -9`, inside a checkpoint and outside: what goes on learns what the unharmed run learns."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import qlearn
from qlearn.runs import driver, sparse, tensors

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
from _same import difference  # noqa: E402
from kill_resume import half_written, step_of  # noqa: E402

NETWORK = {"env": "cartpole", "threads": 1, "envs": 4, "hidden": "16", "eval_episodes": 5}
PQN = {**NETWORK, "algo": "pqn", "rollout": 16, "minibatch": 32, "steps": 4000, "eval_every": 500}
DQN = {**NETWORK, "algo": "dqn", "start": 100, "every": "16", "batch": 16, "replay": 1000,
       "steps": 2000, "eval_every": 300}  # fmt: skip
STEPPED = {"env": "gym:MountainCar-v0", "env_max_steps": 50, "eval_max_steps": 20}
CASES = {
    "table": {"env": "grid", "engine": "numba", "steps": 3000, "eval_every": 400},
    "finite": {"env": "gym:FrozenLake-v1", "engine": "numba", "steps": 3000},
    "pqn": PQN,
    "dqn": DQN,
    "prioritized": {**DQN, "prioritized": True, "replay": 4000},  # so empty: saved without zeros
    "stepped table": {**STEPPED, "env_buckets": 6, "algo": "table", "envs": 2, "steps": 1000,
                      "rule": "sarsa"},
    "stepped pqn": {**PQN, **STEPPED, "env_run": "serial", "steps": 2000},
    "stepped dqn": {**DQN, **STEPPED, "env_run": "processes", "eval_every": 0},
    "stepped as one": {**PQN, "env": "gym:CartPole-v1", "env_native": False, "env_run": "vector",
                       "eval_max_steps": 20, "steps": 2000},
}  # fmt: skip
LOOK, SAVES, PARTS = 7, 4, 5
# Before what is renamed; where nothing is named, while the arrays are written.
INSIDE = {
    "table": "last.safetensors",  # no arrays lie under the last one's name
    "finite": "last.new.safetensors",  # they lie under the previous one's
    "pqn": ".last.json.",  # new ones, and the manifest is of those before
    "dqn": ".last.new.",
    "prioritized": "",
    "stepped table": ".last.new.",
    "stepped pqn": "last.safetensors",
    "stepped dqn": "",
    "stepped as one": ".last.json.",
}
KILLS = [(case, "inside") for case in CASES]
KILLS += [(case, "outside") for case in CASES if not case.startswith("stepped")]

# One process trains the whole runs, and then forks: each child dies as it is told.
SCRIPT = """
import json, os, signal, sys
sys.path.append(sys.argv[1])
from kill_resume import die_within_a_save
import qlearn
from qlearn.runs import driver

def die_at_look(number):
    look, looks = driver.Training._look, iter(range(1, 10**9))
    def dies(self):
        look(self)
        if next(looks) == number:
            os.kill(os.getpid(), signal.SIGKILL)
    driver.Training._look = dies

def die_at_rename(number, name):
    replace, times = os.replace, iter(range(1, 10**9))
    def dies(source, target):
        if os.path.basename(source).startswith(name) and next(times) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
    os.replace = dies

WAYS = {"look": die_at_look, "save": die_within_a_save, "rename": die_at_rename}
driver.LOG_LINES = 10  # few looks, and few checkpoints
for out, how, kind, where in json.load(sys.stdin):
    if not kind:
        qlearn.train(out=out, **how)
        continue
    child = os.fork()
    if child == 0:
        WAYS[kind](*where)
        qlearn.train(out=out, **how)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of runs: whole ones by the name of their case, killed ones with where they were."""
    home = tmp_path_factory.mktemp("kill")
    jobs = [[str(home / case), how_of(case), "", []] for case in CASES]
    jobs += [
        [str(home / f"{case}-{where}"), how_of(case), *moment(case, where)] for case, where in KILLS
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(BENCHMARKS)],
        input=json.dumps(jobs), capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(KILLS), done.stderr
    return home


def how_of(case):
    return {**CASES[case], "seed": 3, "checkpoint_seconds": 0.0}


def moment(case, where):
    if where == "outside":
        return "look", [LOOK]
    name = INSIDE[case]
    return ("rename", [SAVES, name]) if name else ("save", [SAVES, PARTS])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
@pytest.mark.parametrize(("case", "where"), KILLS)
def test_killed_by_the_system_it_goes_on_from_its_last_checkpoint(case, where, home, monkeypatch):
    monkeypatch.setattr(driver, "LOG_LINES", 10)
    path, said = home / f"{case}-{where}", []
    assert (half_written(path) != "none") == (where == "inside")
    step = step_of(path)
    assert 0 < step < CASES[case]["steps"]
    if where == "outside":
        saved, _ = tensors.read(path / "checkpoints" / "last.safetensors")
        assert (sparse.PLACES in saved) == (case == "prioritized")
    qlearn.train(resume=path, say=said.append)
    assert f"{path.name} goes on at step {step:,}" in said
    assert not any("begins new games" in line for line in said)
    assert difference(path, home / case) == ""


def test_what_differs_is_found(tmp_path, home):
    """Else nothing above would say anything."""
    run = home / "finite"

    def changed(name, change):
        other = tmp_path / name
        shutil.copytree(run, other)
        change(other)
        return difference(run, other)

    def flip(path):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)

    def replace(path, before, after):
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    assert changed("a", lambda run: None) == ""
    assert "best.safetensors differs" in changed("b", lambda run: flip(run / "best.safetensors"))
    assert "last.json: env_steps is 3000, and 2999" in changed(
        "c",
        lambda run: replace(
            run / "checkpoints/last.json", '"env_steps": 3000', '"env_steps": 2999'
        ),
    )
    assert "line 1: updates is 300, and 301" in changed(
        "d", lambda run: replace(run / "metrics.jsonl", '"updates": 300', '"updates": 301')
    )
    assert ".last.json.7 is in one folder alone" in changed(
        "e", lambda run: (run / "checkpoints/.last.json.7").touch()
    )
