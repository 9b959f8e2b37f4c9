"""What a class declares: its actions, observation, fields, options, and its functions' arguments."""

from __future__ import annotations

import ast
import inspect
import keyword
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from qlearn.envs import spec
from qlearn.envs.checks.problem import Found, Problem, from_error, in_function, innermost
from qlearn.errors import UserError, closest
from qlearn.kernels.text import plain_or_none

# What the plain twin of a state is made of.
RESERVED = ("_kinds", "_cut", "as_dict")
LARGEST_OBSERVATION = 1 << 24
NEEDED = ("actions", "observation", "state")


class Places:
    """Where in the user's files a class and what it declares are written."""

    def __init__(self, cls: type) -> None:
        self.bodies = [found for base in cls.__mro__[:-1] if (found := _class_text(base))]
        self.file = self.bodies[0][0] if self.bodies else "?"
        self.line = self.bodies[0][1].lineno if self.bodies else 0

    def problem(self, key: str, message: str) -> Problem:
        return Problem(*self.of(key), message)

    def of(self, key: str) -> tuple[str, int]:
        """FILE, LINE of a definition; of the class itself where there is none."""
        for file, body in self.bodies:
            for statement in body.body:
                if key in _names_set(statement):
                    return file, statement.lineno
                if getattr(statement, "name", None) == "configure":
                    for node in ast.walk(statement):
                        if isinstance(node, ast.Constant) and node.value == key:
                            return file, node.lineno
        return self.file, self.line


def problems(cls: type, chosen: Mapping[str, Any]) -> list[Problem]:
    """Every mistake in the declarations; none means that `spec.from_class` succeeds."""
    places = Places(cls)
    found = list(_function_problems(cls, places))
    try:
        values = declared(cls, chosen, places)
    except Found as stop:
        return [stop.problem, *found]
    return [*_value_problems(cls, values, chosen, places), *found]


def declared(cls: type, chosen: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """The class's attributes, completed by its `configure`."""
    defaults = getattr(cls, "options", {})
    if not isinstance(defaults, Mapping):
        raise Found(places.problem("options", "`options` must be a dict of names and defaults"))
    for key, value in defaults.items():
        try:
            _field_name(key, "`options`")
        except UserError as error:
            raise Found(places.problem("options", str(error))) from None
        if not isinstance(value, bool | int | float | str | tuple | np.number):
            message = f"option '{key}' must be a number, a text or a tuple of choices"
            raise Found(places.problem("options", f"{message}, not {value!r}"))
    try:
        options = spec.settle(defaults, chosen, "")
    except UserError as error:
        raise Found(from_error(error, *places.of("options"))) from None
    values = {
        key: value
        for key in dir(cls)
        if not key.startswith("_") and not callable(value := getattr(cls, key))
    }
    if hasattr(cls, "configure"):
        try:
            values.update(cls.configure(dict(options)))
        except UserError as error:
            raise Found(from_error(error, *places.of("configure"))) from None
        except Exception as error:
            frame = innermost(error, {file for file, _ in places.bodies})
            place = (frame.filename, frame.lineno or 0) if frame else places.of("configure")
            message = f"configure raised {type(error).__name__}: {error}"
            raise Found(Problem(*place, message)) from None
    if options.get("max_steps") is not None:
        values["max_steps"] = options["max_steps"]
    return values


def fields(cls: type, chosen: Mapping[str, Any]) -> np.dtype | None:
    """The state's fields, where they can be told."""
    try:
        return spec.state_of(declared(cls, chosen, Places(cls)).get("state"), "")
    except (Found, UserError):
        return None


def _value_problems(
    cls: type, values: dict[str, Any], chosen: Mapping[str, Any], places: Places
) -> Iterator[Problem]:
    for key in NEEDED:
        if key not in values:
            message = f"the class has no `{key}`{_near(key, cls)}"
            yield Problem(places.file, places.line, message)
    readers: dict[str, Callable[[Any], Any]] = {
        "actions": lambda value: spec.positive(value, "`actions`"),
        "observation": _observation,
        "max_steps": lambda value: spec.limit_of(value, ""),
        "state": _state,
        "world": _world,
        "low": lambda value: _number(value, "low"),
        "high": lambda value: _number(value, "high"),
        "bounds": lambda _: spec.bounds_of(values, "") if "observation" in values else None,
        "discount": _discount,
        "planes": lambda _: spec.planes_of(values, "") if "observation" in values else None,
    }
    if isinstance(values.get("world", {}), Mapping):
        options = spec.settle(getattr(cls, "options", {}), chosen, "")
        world = spec.world_of(values, options)
        readers["practice"] = lambda _: spec.practice_of(values, world, "")
    for key, read in readers.items():
        if key not in values:
            continue
        try:
            read(values[key])
        except UserError as error:
            yield from_error(error, *places.of(key))
    names, actions = values.get("action_names", ()), values.get("actions")
    if not isinstance(names, tuple | list):
        yield places.problem("action_names", f"`action_names` must be a tuple, not {names!r}")
    elif names and isinstance(actions, int) and len(names) != actions:
        yield places.problem("action_names", f"{len(names)} `action_names` for {actions} actions")
    if not isinstance(values.get("notes", ()), tuple | list):
        yield places.problem("notes", "`notes` must be a tuple of texts")
    low, high = values.get("low", -np.inf), values.get("high", np.inf)
    if spec.is_number(low) and spec.is_number(high) and not low < high:
        yield places.problem("low", f"`low` must be below `high`, and {low} is not below {high}")


def _observation(value: Any) -> None:
    size = spec.observation_of(value, "")
    if not isinstance(size, int) and size[0] > LARGEST_OBSERVATION:
        raise UserError(f"`observation` is too large: {size[0]:,} numbers for each copy")


def _state(value: Any) -> None:
    for name in spec.state_of(value, "").names or ():
        if keyword.iskeyword(name) or name in RESERVED:
            raise UserError(f"a field of `state` cannot be called '{name}'")


def _field_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"a field of {where} cannot be called {name!r}")
    if name.startswith("_"):
        raise UserError(f"a field of {where} cannot begin with _, as '{name}' does")


def _world(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise UserError(f"`world` must be a dict of numbers and arrays, not {value!r}")
    for key, part in value.items():
        _field_name(key, "`world`")
        spec.world_value(key, part, "")


def _number(value: Any, key: str) -> None:
    if not spec.is_number(value) or value != value:
        raise UserError(f"`{key}` must be a number, not {value!r}")


def _discount(value: Any) -> None:
    if not spec.is_number(value) or not 0.0 <= value <= 1.0:
        raise UserError(f"`discount` must be a number from 0 to 1, not {value!r}")


def _function_problems(cls: type, places: Places) -> Iterator[Problem]:
    for name, takes in spec.FUNCTIONS.items():
        static = inspect.getattr_static(cls, name, None)
        function = plain_or_none(getattr(static, "__func__", static))
        wanted = f"def {name}({', '.join(takes)})"
        if function is not None:
            yield from _argument_problems(name, function, takes, wanted)
        elif static is not None:
            message = f"`{name}` must be a plain function without a decorator: `{wanted}`"
            yield places.problem(name, message)
        elif name in spec.REQUIRED:
            message = f"the class has no `{wanted}`{_near(name, cls)}"
            yield Problem(places.file, places.line, message)
    draw = plain_or_none(inspect.getattr_static(cls, "draw", None))
    if draw is not None and len(inspect.signature(draw).parameters) not in (1, 2):
        yield in_function(draw, "`draw` must take (state) and perhaps world")


def _argument_problems(
    name: str, function: FunctionType, takes: tuple[str, ...], wanted: str
) -> Iterator[Problem]:
    parameters = list(inspect.signature(function).parameters.values())
    has = ", ".join(str(parameter) for parameter in parameters)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        yield in_function(function, f"`{name}` must be a plain function, without async and yield")
    elif parameters and parameters[0].name in ("self", "cls"):
        yield in_function(
            function, f"`{name}` takes no {parameters[0].name}; it is a plain function: `{wanted}`"
        )
    elif any(parameter.kind != parameter.POSITIONAL_OR_KEYWORD for parameter in parameters):
        yield in_function(function, f"`{name}` must be written as `{wanted}`, not ({has})")
    elif len(parameters) not in (len(takes), len(takes) + 1):
        yield in_function(
            function, f"`{name}` must take ({', '.join(takes)}) and perhaps world, not ({has})"
        )
    elif defaults := [p for p in parameters if p.default is not p.empty]:
        yield in_function(
            function,
            f"`{name}` cannot have an argument with a default ({defaults[0]}); make it a constant"
            " of the file, or one of `options`, which arrive as fields of world",
        )


def _near(key: str, cls: type) -> str:
    """A name in the class that may be what was meant."""
    own = [name for name in dir(cls) if not name.startswith("_") and name not in spec.FUNCTIONS]
    hint = closest(key, own)
    return hint if hint.startswith("; did you mean") else ""


def _class_text(cls: type) -> tuple[str, ast.ClassDef] | None:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None:
        return None
    tree = ast.parse(Path(file).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return file, node
    return None


def _names_set(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    ]
