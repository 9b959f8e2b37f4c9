"""What an environment is: a class of plain functions, read and checked into an `Environment`."""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from qlearn import rng as random_streams
from qlearn.envs import loop
from qlearn.errors import UserError, closest
from qlearn.kernels.text import plain_or_none

# Names that every environment answers to in `--set env.NAME=VALUE`.
COMMON_OPTIONS = ("max_steps", "reward")

# The environment's functions, what they take (`world` may be left out), and their placeholders.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "reset": ("state", "rng"),
    "step": ("state", "action", "rng"),
    "observe": ("state", "obs"),
    "truncated": ("state",),
    "score": ("state",),
    "measure": ("state", "sums"),
}
REQUIRED = ("reset", "step", "observe")


class Planes(NamedTuple):
    """What is seen as a picture, and the order in which its numbers lie in a row."""

    channels: int
    rows: int
    columns: int
    channels_last: bool = False  # rows x columns x channels, as cameras and Gymnasium have it


@dataclass(frozen=True, eq=False)
class Environment:
    """One environment with its options settled: everything a batch or a learner asks for."""

    name: str
    kind: str  # builtin | map | file | gymnasium
    description: str
    actions: int
    observation: tuple[int, ...] | int  # a shape, or a number of discrete states
    max_steps: int  # 0: no limit
    state: np.dtype
    functions: dict[str, Callable]
    world_values: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, tuple] = field(default_factory=dict)  # of options that are one of several
    low: float = -np.inf
    high: float = np.inf
    discount: float = 0.99
    notes: tuple[str, ...] = ()
    draw: Callable | None = None
    model: Callable | None = None  # world -> envs.model.Model, where the dynamics are known
    action_names: tuple[str, ...] = ()
    reward: Callable | None = None  # the user's own, of env.reward
    target: str = ""  # what find() was asked for
    between: tuple[tuple[float, float], ...] = ()  # bounds of each number seen, where known
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # its own, by algorithm
    state_number: str = ""  # the field of `state` that alone is the state, and what is observed
    measures: tuple[str, ...] = ()  # names of what `measure` adds up, as evaluations report them
    figures: Callable | None = None  # (scores, world) -> more that evaluations report
    through: tuple[Callable, Callable] | None = None  # (its inner placeholder, an outer observe)
    planes: Planes | None = None  # where what is seen is a picture
    practice: dict[str, Any] = field(default_factory=dict)  # of the world, where it is learned

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest value of each number seen; infinite where nobody said."""
        size = self.observation_shape[0]
        pairs = np.array(self.between or [(self.low, self.high)] * size, np.float64)
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    @property
    def discrete(self) -> bool:
        return isinstance(self.observation, int)

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return (1,) if isinstance(self.observation, int) else self.observation

    @property
    def observation_dtype(self) -> type:
        return np.int64 if self.discrete else np.float32

    @property
    def compiled(self) -> bool:
        """Whether its steps can run inside a compiled loop."""
        return True

    @property
    def practised(self) -> Environment:
        """The same where it is learned: evaluations, and whoever else plays, never see it."""
        return replace(self, world_values=self.world_values | self.practice)

    @cached_property
    def bind(self) -> dict[Callable, Callable]:
        """The meaning of the loop's placeholders for this environment."""
        meaning: dict[Any, Callable] = {}
        for name, function in self.functions.items():
            placeholder, adaptor, inner = _ADAPTORS[name]
            if _arity(function) > len(FUNCTIONS[name]):
                meaning[placeholder] = function
            else:
                meaning[placeholder], meaning[inner] = adaptor, function
        if "score" in self.functions:
            meaning[loop.final_score] = loop.final_score_of_state
        if self.through is not None:
            inner, outer = self.through
            meaning[inner], meaning[loop.observe] = meaning[loop.observe], outer
        if self.reward is not None:
            meaning[loop.learning_reward] = self.reward
            meaning[loop.advance] = loop.advance_rewarded
        return meaning

    def more_of(self, scores: np.ndarray, steps: int, sums: np.ndarray) -> dict[str, float]:
        """What evaluations of this environment report beside scores and lengths."""
        means = {
            name: float(total) / steps for name, total in zip(self.measures, sums, strict=True)
        }
        return means | (self.figures(scores, self.world()) if self.figures else {})

    def picture(self, state: Any, world: Any) -> str:
        """A position as text; `draw` may leave `world` out like any other function."""
        assert self.draw is not None
        return self.draw(state) if _arity(self.draw) == 1 else self.draw(state, world)

    @cached_property
    def copy_dtype(self) -> np.dtype:
        """One copy as a record: state and books in one place, so that a step touches one."""
        fields = [
            ("state", np.dtype((np.record, self.state))),
            ("rng", np.int64, (random_streams.LENGTH,)),
            ("elapsed", np.int64),
            ("shaped_return", np.float64),
            ("plain_return", np.float64),
            ("episodes", np.int64),
            ("last_length", np.int64),
            ("last_return", np.float64),
            ("last_score", np.float64),
        ]
        return np.dtype((np.record, np.dtype(fields, align=True)))

    @cached_property
    def definitions(self) -> list[str]:
        """What the Python side needs from a generated module: the type of the world.

        The copies' layout stands beside it, so that copies laid out otherwise get a module of
        their own. Numba numbers record types as it meets them, process by process, and names
        machine code by that number: two layouts that were compiled into one module's cache by
        two processes would carry one name in a third, and run each other's code.
        """
        names = " ".join(self.world_values) or "nothing"
        return [
            f"World = __import__('collections').namedtuple('World', {names!r})",
            f"COPIES = {str(self.copy_dtype.descr)!r}",
        ]

    def world(self, world_type: type | None = None) -> tuple:
        """Options and shared arrays, read-only, as the last argument of every function."""
        values = self.world_values or {"nothing": 0}
        return (world_type or namedtuple("World", tuple(values)))(*values.values())


def from_class(
    cls: type,
    name: str,
    kind: str,
    chosen: Mapping[str, Any] | None = None,
    reward: Callable | None = None,
    target: str = "",
) -> Environment:
    """Reads a class; every mistake in it is one clear line."""
    where = f"{name}: "
    offered = getattr(cls, "options", {})
    options = settle(offered, chosen or {}, where)
    declared: dict[str, Any] = {
        key: getattr(cls, key)
        for key in ("actions", "observation", "max_steps", "state", "world", "low", "high", "bounds",
                    "discount", "notes", "action_names",
                    "settings", "measures", "planes", "practice")
        if hasattr(cls, key)
    }  # fmt: skip
    if hasattr(cls, "configure"):
        declared.update(cls.configure(dict(options)))
    if options.get("max_steps") is not None:
        declared["max_steps"] = options["max_steps"]
    for key in ("actions", "observation", "state"):
        if key not in declared:
            raise UserError(f"{where}the class has no `{key}`; see `qlearn check --help`")
    world = world_of(declared, options)
    spec = Environment(
        name=name,
        kind=kind,
        description=_first_line(cls),
        actions=positive(declared["actions"], where + "`actions`"),
        observation=observation_of(declared["observation"], where),
        max_steps=limit_of(declared.get("max_steps", 0), where),
        state=state_of(declared["state"], where),
        functions=_functions(cls, where),
        world_values={key: world_value(key, value, where) for key, value in world.items()},
        options=options,
        choices={key: value for key, value in offered.items() if isinstance(value, tuple)},
        low=float(declared.get("low", -np.inf)),
        high=float(declared.get("high", np.inf)),
        discount=float(declared.get("discount", 0.99)),
        notes=tuple(declared.get("notes", ())),
        draw=getattr(cls, "draw", None),
        model=getattr(cls, "model", None),
        action_names=tuple(declared.get("action_names", ())),
        reward=reward,
        target=target or name,
        between=bounds_of(declared, where),
        settings=dict(declared.get("settings", {})),
        measures=_measures(declared, cls, where),
        figures=getattr(cls, "figures", None),
        state_number=getattr(cls, "state_number", ""),
        planes=planes_of(declared, where),
        practice=practice_of(declared, world, where),
    )
    return spec


def settle(defaults: Mapping[str, Any], chosen: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options' values: defaults, overridden by what was chosen, each of its default's type."""
    known = {
        key: value[0] if isinstance(value, tuple) else value for key, value in defaults.items()
    }
    known.setdefault("max_steps", None)
    for key, value in chosen.items():
        if key == "reward" and key not in known:
            raise UserError(f"{where}env.reward must name a function, FILE.py:function")
        if key not in known:
            raise UserError(f"{where}there is no option env.{key}{closest(key, known)}")
        known[key] = coerce(value, defaults.get(key), f"{where}env.{key}")
    if known["max_steps"] is None:
        del known["max_steps"]
    return known


def coerce(value: Any, default: Any, where: str) -> Any:
    """`value`, perhaps text from a command line, as a value of its default's type."""
    if isinstance(default, tuple):  # the values that are possible, the first by default
        for choice in default:
            if str(choice) == str(value):
                return choice
        raise UserError(f"{where} must be one of {', '.join(map(str, default))}, not {value!r}")
    try:
        if isinstance(default, bool):
            return _as_bool(value)
        if isinstance(default, int) or default is None:
            number = float(value)
            if number != int(number):
                raise ValueError
            return int(value) if not isinstance(value, float) else int(number)
        if isinstance(default, float):
            number = float(value)
            if number != number:
                raise ValueError
            return number
    except (TypeError, ValueError, OverflowError):
        kind = {bool: "true or false", float: "a number"}.get(type(default), "a whole number")
        raise UserError(f"{where} must be {kind}, not {value!r}") from None
    return str(value)


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise ValueError from None


def is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.number)


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").strip().split("\n")[0]


def positive(value: Any, where: str) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise UserError(f"{where} must be a whole number of at least 1, not {value!r}")
    return int(value)


LONGEST_EPISODE = 10**12  # counted in 64 bits, with room for a training's overtime


def limit_of(value: Any, where: str) -> int:
    if value is None:
        return 0
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
        raise UserError(f"{where}`max_steps` must be a whole number, 0 for none, not {value!r}")
    if value > LONGEST_EPISODE:
        raise UserError(
            f"{where}`max_steps` must be at most {LONGEST_EPISODE:,}, or 0 for no limit, not"
            f" {value:,}"
        )
    return int(value)


def observation_of(value: Any, where: str) -> tuple[int, ...] | int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return positive(value, f"{where}`observation`, a number of states,")
    try:
        shape = tuple(positive(size, "") for size in value)
    except (TypeError, UserError):
        shape = ()
    if len(shape) != 1:
        raise UserError(
            f"{where}`observation` must be a shape such as (4,), or a number of discrete states,"
            f" not {value!r}"
        )
    return shape


def bounds_of(declared: Mapping[str, Any], where: str) -> tuple[tuple[float, float], ...]:
    if "bounds" not in declared:
        return ()
    try:
        pairs = tuple((float(low), float(high)) for low, high in declared["bounds"])
        if (len(pairs),) != tuple(declared["observation"]) or any(a >= b for a, b in pairs):
            raise ValueError
    except (TypeError, ValueError):
        raise UserError(
            f"{where}`bounds` must be one (low, high) for each number seen, not"
            f" {declared['bounds']!r}"
        ) from None
    return pairs


def world_of(declared: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are numbers, and what the class declares beside or instead of them."""
    numbers = {key: value for key, value in options.items() if is_number(value)}
    world = {**numbers, **declared.get("world", {})}
    world.pop("max_steps", None)
    return world


def practice_of(
    declared: Mapping[str, Any], world: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Other numbers for some of the world's, of the same types."""
    practice = declared.get("practice", {})
    if not isinstance(practice, Mapping):
        raise UserError(f"{where}`practice` must be a dict of numbers, not {practice!r}")
    for key, value in practice.items():
        if not is_number(world.get(key)) or type(value) is not type(world[key]):
            raise UserError(
                f"{where}`practice` gives numbers of the world other values of their types;"
                f" {key!r}: {value!r} is none for {world.get(key)!r}"
            )
    return dict(practice)


def planes_of(declared: Mapping[str, Any], where: str) -> Planes | None:
    if declared.get("planes") is None:
        return None
    try:
        planes = Planes(*declared["planes"])
        size = positive(planes.channels, "") * positive(planes.rows, "")
        if (size * positive(planes.columns, ""),) != tuple(declared["observation"]):
            raise ValueError
    except (TypeError, ValueError, UserError):
        raise UserError(
            f"{where}`planes` must be (channels, rows, columns) with as many numbers as are seen,"
            f" {declared['observation']!r}, not {declared['planes']!r}"
        ) from None
    return planes


def state_of(declared: Any, where: str) -> np.dtype:
    if not isinstance(declared, Mapping) or not declared:
        raise UserError(f'{where}`state` must name its fields, such as {{"x": "float64"}}')
    fields = []
    for key, kind in declared.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise UserError(f"{where}a field of `state` cannot be called {key!r}")
        try:
            kind, shape = kind if isinstance(kind, tuple | list) else (kind, None)
            dtype = np.dtype(kind)
            if dtype.kind not in "bif" or dtype.itemsize > 8 or dtype == np.float16:
                raise TypeError
            fields.append((key, dtype) if shape is None else (key, dtype, shape))
            np.dtype(fields[-1:])
        except (TypeError, ValueError):
            raise UserError(
                f"{where}`state` field '{key}' cannot be {kind!r}; use float64, int64, bool, or"
                " one of them with a length, such as ('int64', 10)"
            ) from None
    return np.dtype(fields, align=True)


def _functions(cls: type, where: str) -> dict[str, Callable]:
    found: dict[str, Callable] = {}
    for name, takes in FUNCTIONS.items():
        declared = inspect.getattr_static(cls, name, None)
        function = plain_or_none(getattr(declared, "__func__", declared))
        if function is None:
            if declared is not None or name in REQUIRED:
                raise UserError(f"{where}the class has no `def {name}({', '.join(takes)})`")
            continue
        parameters = list(inspect.signature(function).parameters)
        if parameters[:1] in (["self"], ["cls"]) or len(parameters) - len(takes) not in (0, 1):
            line = function.__code__.co_firstlineno
            has = ", ".join(parameters)
            raise UserError(
                f"{function.__code__.co_filename}:{line}: `{name}` must take"
                f" ({', '.join(takes)}) and perhaps world, not ({has})"
            )
        found[name] = function
    return found


def _measures(declared: Mapping[str, Any], cls: type, where: str) -> tuple[str, ...]:
    names = tuple(declared.get("measures", ()))
    if bool(names) != hasattr(cls, "measure"):
        raise UserError(f"{where}`measures` names what `def measure(state, sums)` adds up: both")
    if any(not isinstance(name, str) or not name for name in names):
        raise UserError(f"{where}`measures` must be names, not {names!r}")
    return names


def check_reward(function: Any, where: str) -> None:
    """A learning reward is a plain function of what is seen before and after the step."""
    takes = "(before, action, after, reward, terminated)"
    if plain_or_none(function) is None or _arity(function) != 5:
        raise UserError(f"{where} must be a function of {takes}")


def _arity(function: Callable) -> int:
    return len(inspect.signature(function).parameters)


def world_value(key: str, value: Any, where: str) -> Any:
    if isinstance(value, np.number | np.bool_):
        value = value.item()
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "bif":
        value = np.array(value, order="C")  # ours: the user's own stays writable
        value.flags.writeable = False
        return value
    raise UserError(f"{where}`world` field '{key}' must be a number or an array, not {value!r}")


# Adaptors for functions written without `world`.


def _reset(state, rng):
    raise NotImplementedError


def _step(state, action, rng):
    raise NotImplementedError


def _observe(state, obs):
    raise NotImplementedError


def _truncated(state):
    raise NotImplementedError


def _score(state):
    raise NotImplementedError


def _measure(state, sums):
    raise NotImplementedError


def reset_without_world(state, rng, world):
    _reset(state, rng)


def step_without_world(state, action, rng, world):
    return _step(state, action, rng)


def observe_without_world(state, observation, world):
    _observe(state, observation)


def truncated_without_world(state, world):
    return _truncated(state)


def score_without_world(state, world):
    return _score(state)


def measure_without_world(state, sums, world):
    _measure(state, sums)


_ADAPTORS: dict[str, tuple[Any, Any, Any]] = {
    "reset": (loop.reset, reset_without_world, _reset),
    "step": (loop.step, step_without_world, _step),
    "observe": (loop.observe, observe_without_world, _observe),
    "truncated": (loop.given_up, truncated_without_world, _truncated),
    "score": (loop.score, score_without_world, _score),
    "measure": (loop.measure, measure_without_world, _measure),
}
