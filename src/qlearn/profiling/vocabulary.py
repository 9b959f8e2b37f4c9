"""What names say about the work behind them: libraries, functions, receivers, variables."""

from __future__ import annotations

from collections.abc import Iterable

from qlearn.profiling.source import words

STAGES = (
    "environment", "acting", "storing", "sampling", "converting", "forward", "loss", "backward",
    "optimiser", "update", "target_update", "table_copy", "logging", "plotting", "sleeping",
    "imports", "compiling", "other",
)  # fmt: skip

# --- words of receivers and variables

ENVS = {"env", "envs", "environment", "environments", "game", "world", "maze", "board",
        "gridworld", "simulator", "sim"}  # fmt: skip
MEMORIES = {"memory", "memories", "mem", "buffer", "replay", "replaybuffer", "experience",
            "experiences", "transitions", "rb"}  # fmt: skip
BATCHES = {"batch", "minibatch", "mini", "samples", "sample", "indices", "idx", "idxs"}
TABLES = {"q", "qtable", "table", "qvalues", "values"}
NETWORKS = {"net", "network", "model", "qnet", "dqn", "policy", "mlp", "module", "critic", "actor"}
NETWORK_WORDS = NETWORKS | {"q", "target", "online", "local", "main", "old", "eval", "next"}
OPTIMISERS = {"optimizer", "optimiser", "opt", "optim", "adam", "sgd", "scheduler", "scaler"}
LOSSES = {"loss", "criterion", "mse", "huber"}
LOGS = {"total", "episode", "episodes", "score", "scores", "history", "log", "logs", "avg",
        "average", "returns", "durations", "stats", "metrics", "plot", "recent", "record",
        "losses", "rewards"}  # fmt: skip
LOGGERS = {"logger", "logging", "log", "writer", "pbar", "bar", "progress", "tqdm", "wandb",
           "csv", "file", "f"}  # fmt: skip
EXPLORING = {"epsilon", "eps", "exploration", "explore", "exploring"}
OBSERVED = {"state", "states", "obs", "observation", "observations", "reward", "rewards", "done",
            "dones", "terminated", "truncated", "terminal", "position", "place", "row", "rows",
            "column", "columns", "col", "x", "y", "info", "next", "grid", "board", "food",
            "snake", "direction", "moves", "end"}  # fmt: skip
LEARNED = {"target", "targets", "td", "delta", "error", "errors", "best", "max", "q", "value",
           "values", "loss", "bellman", "v", "gamma", "alpha"}  # fmt: skip

# --- functions


def of_function(name: str) -> str | None:
    """The stage of all that a function of this name does; None where the name does not say."""
    said = words(name)
    if not said or name.startswith("__"):
        return None
    have, first, plain = set(said), said[0], "_".join(said)
    for matches, stage in (
        (_is_target_update(have), "target_update"),
        (plain in _ENV_NAMES or (first in _DOING and "action" in have), "environment"),
        (first in _WHOLES, None),
        (_is_acting(have, first, plain), "acting"),
        (_is_storing(have, first), "storing"),
        ("sample" in have or {"get", "batch"} <= have, "sampling"),
        (bool(have & _ENV_WORDS) and not have & _TELLING, "environment"),
        (bool(have & _SHOWING), "plotting"),
        (first in _TELLING, "logging"),
        (bool(have & {"tensor", "tensors", "preprocess"}), "converting"),
        (plain in _FORWARDS, "forward"),
        (bool(have & {"backward", "backprop", "backpropagate", "backpropagation"}), "backward"),
        (bool(have & {"adam", "sgd"}) or {"gradients", "apply"} <= have, "optimiser"),
    ):
        if matches:
            return stage
    return None


def is_loss(name: str) -> bool:
    """A function that makes a loss or its target; the forwards in it are forwards."""
    said = words(name)
    have = set(said)
    makes = bool(said) and said[0] in {"compute", "calc", "calculate", "get"}
    return bool(have & {"loss", "td"}) or (makes and bool(have & {"target", "targets"}))


_ENV_NAMES = {
    "step", "reset", "env_step", "play_step", "next_state", "next_place", "next_position",
    "transition", "move", "reward", "is_terminal", "is_done", "is_end", "is_end_func",
    "get_state", "get_obs", "observe", "place_food", "spawn_food", "make_env",
}  # fmt: skip
_ENV_WORDS = {"reward", "collision", "terminal", "observation", "obs", "discretize", "discretise",
              "neighbours", "neighbors"}  # fmt: skip
_DOING = {"take", "do", "perform", "apply", "execute"}
_WHOLES = {"run", "evaluate", "eval", "test", "train", "main", "simulate", "learn", "make",
           "build", "create", "update", "optimize", "optimise", "replay", "fit"}  # fmt: skip
_CHOOSING = {"choose", "select", "get", "pick", "sample", "best", "greedy", "optimal", "random",
             "predict", "decide", "find", "argmax"}  # fmt: skip
_TELLING = {"save", "log", "print", "report", "write", "checkpoint", "dump", "record", "show",
            "plot", "track"}  # fmt: skip
_SHOWING = {"plot", "draw", "render", "animate", "visualize", "visualise"}
_FORWARDS = {"forward", "feed_forward", "feedforward", "predict"}


def _is_target_update(have: set[str]) -> bool:
    moves = have & {"update", "sync", "copy", "soft", "hard", "transfer", "align"}
    return bool("target" in have and moves) or {"soft", "update"} <= have or "polyak" in have


def _is_acting(have: set[str], first: str, plain: str) -> bool:
    if plain in {"act", "action", "choose", "decide", "pick", "select", "get_move"}:
        return True
    if have & _TELLING or first in {"extract"}:
        return False
    if have & {"act", "greedy", "policy", "explore", "exploit"}:
        return True
    return bool(have & {"action", "actions"}) and first in _CHOOSING


def _is_storing(have: set[str], first: str) -> bool:
    if have & {"remember", "memorize", "memorise"} or first in {"store", "push"}:
        return True
    kept = have & {"experience", "transition", "memory"}
    return bool(kept) and first in {"add", "append", "save", "cache"}


# --- classes

_ENV_CLASSES = (ENVS - {"sim"}) | {"grid", "snake", "cartpole", "pole", "corridor", "lake", "taxi"}
_LEARNERS = {"agent", "trainer", "learner", "dqn", "player", "brain", "policy", "learning", "net",
             "network", "model", "memory", "buffer"}  # fmt: skip
_ACTS = {"learn", "train", "act", "choose", "choose_action", "remember", "replay", "forward"}


def is_env_class(name: str, bases: Iterable[str], methods: Iterable[str]) -> bool:
    have, does = set(words(name)), {"_".join(words(method)) for method in methods}
    if have & _LEARNERS or does & _ACTS:
        return False
    if have & _ENV_CLASSES or any("env" in words(base) for base in bases):
        return True
    told = {method for method in methods if of_function(method) == "environment"}
    return bool(told)


def is_memory_class(name: str) -> bool:
    have = set(words(name))
    return bool(have & (MEMORIES | {"memory"})) and not have & {"agent", "trainer", "learner"}


def of_memory(method: str) -> str:
    have = set(words(method))
    taken = have & {"sample", "get", "batch", "recall", "getitem", "draw"}
    return "sampling" if taken else "storing"


# --- what is called by its whole name; the longest beginning decides

CALLS = {
    "time.sleep": "sleeping",
    "matplotlib.pyplot.pause": "sleeping",
    "pygame.time": "sleeping",
    "matplotlib": "plotting",
    "pygame": "plotting",
    "torch.tensor": "converting",
    "torch.as_tensor": "converting",
    "torch.from_numpy": "converting",
    "torch.stack": "converting",
    "torch.cat": "converting",
    "torch.Tensor": "converting",
    "torch.FloatTensor": "converting",
    "torch.LongTensor": "converting",
    "torch.BoolTensor": "converting",
    "torch.IntTensor": "converting",
    "torch.autograd.grad": "backward",
    "torch.nn.utils.clip_grad": "optimiser",
    "torch.nn.functional.mse_loss": "loss",
    "torch.nn.functional.smooth_l1_loss": "loss",
    "torch.nn.functional.huber_loss": "loss",
    "torch.optim": "optimiser",
    "torch.save": "logging",
    "tensorflow.convert_to_tensor": "converting",
    "tensorflow.constant": "converting",
    "numpy.save": "logging",
    "numpy.savez": "logging",
    "pickle.dump": "logging",
    "json.dump": "logging",
    "logging": "logging",
    "gymnasium.make": "environment",
    "gym.make": "environment",
    "random.sample": "sampling",
    "print": "logging",
}

# --- library files: (module, its functions or None for all) -> stage; first match, root to leaf

ENV_LIBRARIES = {"gymnasium", "gym", "minigrid", "gym_minigrid", "ale_py", "pettingzoo", "mujoco",
                 "dm_control", "pybullet", "vizdoom", "supersuit", "procgen", "nes_py",
                 "gym_super_mario_bros", "miniworld", "crafter", "highway_env"}  # fmt: skip
PLOT_LIBRARIES = {"matplotlib", "mpl_toolkits", "pygame", "seaborn", "plotly", "tkinter",
                  "turtle", "pyglet", "bokeh"}  # fmt: skip
LOG_LIBRARIES = {"logging", "csv", "json", "pickle", "tqdm", "wandb", "tensorboard",
                 "tensorboardX", "mlflow", "rich", "pandas", "loguru", "imageio"}  # fmt: skip

LIBRARIES: tuple[tuple[str, set[str] | None, str], ...] = (
    ("torch._tensor", {"backward"}, "backward"),
    ("torch.autograd", {"backward", "grad"}, "backward"),
    ("torch.optim", None, "optimiser"),
    ("torch.nn.utils.clip_grad", None, "optimiser"),
    ("torch.nn.utils", None, "forward"),
    ("torch.nn.modules.loss", None, "loss"),
    (
        "torch.nn.functional",
        {"mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss", "cross_entropy"},
        "loss",
    ),
    ("torch.nn.functional", None, "forward"),
    ("torch.nn.modules.module", {"load_state_dict", "state_dict"}, "target_update"),
    ("torch.nn.modules.module", {"zero_grad"}, "optimiser"),
    ("torch.nn.modules.module", {"__call__", "_call_impl", "_wrapped_call_impl"}, "forward"),
    ("torch.utils.tensorboard", None, "logging"),
    ("torch.utils.data", None, "sampling"),
    ("torch.serialization", None, "logging"),
    ("torch.distributions", None, "acting"),
    ("keras", {"fit", "train_on_batch"}, "update"),
    ("keras", {"set_weights", "get_weights"}, "target_update"),
    ("keras", {"save", "save_weights"}, "logging"),
    ("keras", {"predict", "predict_on_batch", "__call__"}, "forward"),
    ("keras", {"apply_gradients"}, "optimiser"),
    ("tensorflow.python.eager.backprop", {"gradient"}, "backward"),
    ("stable_baselines3.common.buffers", {"add"}, "storing"),
    ("stable_baselines3.common.buffers", None, "sampling"),
    ("stable_baselines3.common.vec_env", None, "environment"),
    ("stable_baselines3.common.logger", None, "logging"),
    ("stable_baselines3.common.utils", {"polyak_update"}, "target_update"),
    ("stable_baselines3.common", {"_sample_action", "predict"}, "acting"),
    ("stable_baselines3.common", {"_store_transition"}, "storing"),
    ("random", {"sample"}, "sampling"),
    ("qlearn.replay", {"sample", "sample_into", "gather"}, "sampling"),
    ("qlearn.replay", None, "storing"),
    ("qlearn.envs", None, "environment"),
    ("qlearn.losses", None, "loss"),
    ("qlearn.trainer", None, "update"),
    ("qlearn.kernels", None, "compiling"),
)

COMPILERS: tuple[tuple[str, set[str] | None], ...] = (
    ("numba.core.dispatcher", {"_compile_for_args", "compile", "_compile_core"}),
    ("torch._dynamo.convert_frame", None),
    ("torch._inductor.compile_fx", {"compile_fx", "_compile_fx_inner", "compile_fx_inner"}),
)


def of_library(module: str, function: str) -> str | None:
    root = module.split(".")[0]
    if root in ENV_LIBRARIES:
        return "acting" if module.startswith(f"{root}.spaces") else "environment"
    if root in LOG_LIBRARIES:
        return "logging"
    for prefix, functions, stage in LIBRARIES:
        if begins(module, prefix) and (functions is None or function in functions):
            return stage
    return None


def compiles(module: str, function: str) -> bool:
    return any(
        begins(module, prefix) and (functions is None or function in functions)
        for prefix, functions in COMPILERS
    )


def begins(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def of_call(dotted: str) -> str | None:
    """The stage of a call by the whole name of what is called."""
    while dotted:
        if dotted in CALLS:
            return CALLS[dotted]
        dotted = dotted.rpartition(".")[0]
    return None
