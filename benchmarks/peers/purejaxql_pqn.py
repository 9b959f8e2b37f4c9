"""PureJaxQL's PQN on CartPole-v1, in JAX on the CPU, with the settings of its own configuration.

Its own module is imported from a checkout of its repository, unchanged:

    git clone https://github.com/mttga/purejaxql DIR
    python purejaxql_pqn.py --purejaxql DIR

Its training is one compiled function, so evaluations cannot be cut out of its time. Three runs:

1. With its own greedy test inside, after every update (2,048 steps), on the first episode of 20
   environments. This says at which update CartPole was solved. Its time is not used.
2. Without tests, for just as many updates as 1. needed, its schedules unchanged. Compiled
   beforehand; tracing and compiling are compile_seconds, the run is solved_at_seconds.
3. Without tests, for the whole budget: train_seconds. Compiled beforehand, not reported.

An update does the same work whatever the data, so 2. takes what 1. would have taken without its
tests; that 2. draws other random numbers changes its games and not its time. In the peer's favour:
evaluations cost nothing, and how many updates are needed is known beforehand. XLA is asked for one
thread and yet keeps up to 1.5 cores busy (processor_share); held to one core by `taskset` it is no
faster, and compiles for longer, so it is left what it takes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

BEGUN = time.perf_counter()  # before the imports below, which are part of a user's waiting
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("XLA_FLAGS", ONE_THREAD)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
from _solved import EPISODES, Judge, Stopwatch, answer, parser  # noqa: E402

STEPS = 500_000
COPIES, LENGTH = 32, 64


def settings(steps: int, tested: bool) -> dict[str, Any]:
    """Its pqn_cartpole.yaml, but for the tests."""
    return {
        "ENV_NAME": "CartPole-v1",
        "TOTAL_TIMESTEPS": steps,
        "TOTAL_TIMESTEPS_DECAY": STEPS,
        "NUM_ENVS": COPIES,
        "NUM_STEPS": LENGTH,
        "EPS_START": 1.0,
        "EPS_FINISH": 0.2,
        "EPS_DECAY": 0.2,
        "NUM_MINIBATCHES": 16,
        "NUM_EPOCHS": 4,
        "NORM_INPUT": False,
        "HIDDEN_SIZE": 256,
        "NUM_LAYERS": 2,
        "NORM_TYPE": "layer_norm",
        "LR": 1e-4,
        "LR_LINEAR_DECAY": True,
        "MAX_GRAD_NORM": 10,
        "REW_SCALE": 0.1,
        "GAMMA": 0.99,
        "LAMBDA": 0.95,
        "TEST_DURING_TRAINING": tested,
        "TEST_INTERVAL": 1.5 / (steps // (COPIES * LENGTH)),  # it rounds down to every update
        "TEST_NUM_ENVS": EPISODES,
        "EPS_TEST": 0.0,
        "WANDB_MODE": "disabled",
    }


class FirstEpisodes:
    """Reports an environment's first episode only.

    Its test plays 500 steps and averages every episode that ended, so that an environment that
    falls early would count several times, against the peer.
    """

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, key: Any, params: Any) -> Any:
        observation, state = self._env.reset(key, params)
        return observation, (state, True)

    def step(self, key: Any, state_and_first: Any, action: Any, params: Any) -> Any:
        state, first = state_and_first
        observation, state, reward, done, info = self._env.step(key, state, action, params)
        info = {**info, "returned_episode": done & first}
        return observation, (state, first & ~done), reward, done, info


def load(checkout: Path) -> Any:
    """Its module, without what only its own command line needs."""
    if not (checkout / "purejaxql" / "pqn_gymnax.py").is_file():
        sys.exit(
            f"no PureJaxQL in {checkout}: git clone https://github.com/mttga/purejaxql {checkout}"
        )
    unused: dict[str, dict[str, Any]] = {
        "wandb": {},
        "hydra": {"main": lambda **_: lambda function: function},
        "omegaconf": {"OmegaConf": None},
    }
    for name, contents in unused.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(contents)
    if not hasattr(jax, "tree_map"):
        jax.tree_map = jax.tree_util.tree_map  # gymnax 0.0.6 knows it by its old name
    sys.path.insert(0, str(checkout))
    return importlib.import_module("purejaxql.pqn_gymnax")


def learning_curve(pqn: Any, seed: int, steps: int) -> Judge:
    plain = pqn.LogWrapper
    pqn.LogWrapper = lambda env: FirstEpisodes(plain(env))
    train = jax.jit(pqn.make_train(settings(steps, tested=True)))
    metrics = train(jax.random.PRNGKey(seed))["metrics"]
    pqn.LogWrapper = plain
    judge = Judge()
    for mean, at in zip(metrics["test/returned_episode_returns"], metrics["env_step"], strict=True):
        judge.hear(float(mean), int(at))
    return judge


def timed(pqn: Any, seed: int, steps: int) -> tuple[float, Stopwatch]:
    """Seconds of compiling, and the clock of a training of so many steps without tests."""
    key = jax.random.PRNGKey(seed)
    begun = time.perf_counter()
    train = jax.jit(pqn.make_train(settings(steps, tested=False))).lower(key).compile()
    compile_seconds = time.perf_counter() - begun
    clock = Stopwatch()
    clock.start()
    jax.block_until_ready(train(key))
    clock.stop()
    return compile_seconds, clock


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--purejaxql", type=Path, required=True, help="a checkout of PureJaxQL")
    return options.parse_args()


def main() -> None:
    options = arguments()
    steps = options.steps or STEPS
    pqn = load(options.purejaxql)
    startup = time.perf_counter() - BEGUN
    judge = learning_curve(pqn, options.seed, steps)
    compile_seconds, whole = timed(pqn, options.seed, steps)
    if judge.solved_at_steps is not None:
        compile_seconds, clock = timed(pqn, options.seed, judge.solved_at_steps)
        judge.solved_at_seconds = clock.seconds
    answer("purejaxql_pqn", options.seed, judge, whole, startup, compile_seconds)


if __name__ == "__main__":
    main()
