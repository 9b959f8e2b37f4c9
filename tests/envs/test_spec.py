"""A class is read into an environment, or its mistake is told in one line."""

from __future__ import annotations

import numpy as np
import pytest

from qlearn.envs import registry
from qlearn.envs.spec import coerce, from_class, settle
from qlearn.errors import UserError


class Good:
    """The first line.

    And more.
    """

    actions = 2
    observation = (3,)
    state = {"x": "float64", "trail": ("int16", 4), "alive": "bool"}

    def reset(state, rng):
        state.x = 0.0

    def step(state, action, rng):
        return 1.0, False

    def observe(state, obs):
        obs[0] = obs[1] = obs[2] = state.x


def read(base=Good, chosen=None, **changes):
    gone = [key for key, value in changes.items() if value is GONE]
    members = {**vars(base), **changes}
    for key in [*gone, "__dict__", "__weakref__"]:
        members.pop(key, None)
    return from_class(type("Thing", (), members), "thing", "file", chosen)


GONE = object()


def test_what_a_class_declares():
    environment = read(max_steps=9, low=-1, high=1.5, discount=0.5, action_names=("a", "b"))
    assert environment.description == "The first line."
    assert (environment.actions, environment.observation, environment.max_steps) == (2, (3,), 9)
    assert (environment.low, environment.high, environment.discount) == (-1.0, 1.5, 0.5)
    assert environment.action_names == ("a", "b")
    assert environment.state["trail"].shape == (4,)
    assert not environment.discrete
    assert environment.observation_dtype is np.float32


def test_what_need_not_be_declared():
    environment = read(__doc__=None)
    assert environment.max_steps == 0
    assert environment.description == ""
    assert environment.discount == 0.99
    assert environment.world_values == {}


def test_a_number_of_states_is_a_discrete_observation():
    environment = read(observation=np.int64(25))
    assert environment.discrete
    assert environment.observation_shape == (1,)
    assert environment.observation_dtype is np.int64


@pytest.mark.parametrize("missing", ["actions", "observation", "state"])
def test_a_missing_declaration_is_told(missing):
    with pytest.raises(UserError, match=f"thing: the class has no `{missing}`"):
        read(**{missing: GONE})


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("reset", r"def reset\(state, rng\)"),
        ("step", r"def step\(state, action, rng\)"),
        ("observe", r"def observe\(state, obs\)"),
    ],
)
def test_a_missing_function_is_told_as_it_should_stand(missing, said):
    for value in (GONE, 3, None):
        with pytest.raises(UserError, match=f"thing: the class has no `{said}`"):
            read(**{missing: value})


def with_self(self, state, action, rng):
    return 1.0, False


def too_few(state, action):
    return 1.0, False


def too_many(state, action, rng, world, more):
    return 1.0, False


@pytest.mark.parametrize("function", [with_self, too_few, too_many])
@pytest.mark.parametrize("kind", [lambda f: f, staticmethod])
def test_a_wrong_signature_is_told_with_its_line(function, kind):
    code = function.__code__
    with pytest.raises(UserError) as caught:
        read(step=kind(function))
    said = str(caught.value)
    assert said.startswith(f"{code.co_filename}:{code.co_firstlineno}: `step` must take")
    assert "(state, action, rng) and perhaps world, not (" in said


def test_a_class_method_is_told():
    def step(cls, state, action, rng):
        return 1.0, False

    with pytest.raises(UserError, match=r"not \(cls, state, action, rng\)"):
        read(step=classmethod(step))


def test_static_methods_and_plain_functions_are_alike():
    static = {name: staticmethod(vars(Good)[name]) for name in ("reset", "step", "observe")}
    assert read(**static).functions == read().functions


@pytest.mark.parametrize("actions", [0, -1, 2.0, "2", None, True, (2,)])
def test_actions_that_cannot_be(actions):
    with pytest.raises(UserError, match="thing: `actions` must be a whole number of at least 1"):
        read(actions=actions)


@pytest.mark.parametrize("observation", [0, (), (0,), (2.5,), (2, 2), "4", None, True, (-1,)])
def test_observations_that_cannot_be(observation):
    with pytest.raises(UserError, match="thing: `observation`"):
        read(observation=observation)


@pytest.mark.parametrize("limit", [-1, 1.5, "9", True])
def test_limits_that_cannot_be(limit):
    with pytest.raises(UserError, match="thing: `max_steps` must be a whole number"):
        read(max_steps=limit)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "must name its fields"),
        (["x"], "must name its fields"),
        (None, "must name its fields"),
        ({"a b": "int64"}, "cannot be called 'a b'"),
        ({3: "int64"}, "cannot be called 3"),
        ({"x": "int65"}, "field 'x' cannot be 'int65'"),
        ({"x": "complex128"}, "field 'x' cannot be"),
        ({"x": "U5"}, "field 'x' cannot be"),
        ({"x": object}, "field 'x' cannot be"),
        ({"x": "float16"}, "field 'x' cannot be"),
        ({"x": 0.0}, "field 'x' cannot be"),
        ({"x": ("int64", -1)}, "field 'x' cannot be"),
        ({"x": ("int64", "many")}, "field 'x' cannot be"),
        ({"x": ("int64", 2, 3)}, "field 'x' cannot be"),
    ],
)
def test_states_that_cannot_be(state, said):
    with pytest.raises(UserError, match=said):
        read(state=state)


# The world


def test_numbers_among_the_options_are_in_the_world():
    environment = read(
        options={"size": 3, "slope": 0.5, "wide": True, "mode": ("a", "b"), "max_steps": 5},
        world={"table": np.arange(3)},
    )
    world = environment.world()
    assert (world.size, world.slope, world.wide) == (3, 0.5, True)
    assert not hasattr(world, "mode")
    assert not hasattr(world, "max_steps")
    assert environment.max_steps == 5


def test_world_arrays_are_copied_and_read_only():
    table = np.arange(12.0).reshape(3, 4)[:, ::2]
    environment = read(world={"table": table})
    inside = environment.world().table
    table[0, 0] = 100.0  # the user's own stays writable, and changes nothing
    assert inside[0, 0] == 0.0
    assert inside.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        inside[0, 0] = 1.0


def test_numpy_numbers_may_stand_in_the_world():
    world = read(world={"n": np.int32(4), "x": np.float32(0.5), "b": np.bool_(True)}).world()
    assert [type(value) for value in world] == [int, float, bool]


@pytest.mark.parametrize("value", ["text", [1, 2], None, {}, np.array(["a"]), np.array([1j])])
def test_worlds_that_cannot_be(value):
    with pytest.raises(UserError, match="thing: `world` field 'w' must be a number or an array"):
        read(world={"w": value})


# Options

DEFAULTS = {"size": 10, "slip": 0.0, "bold": False, "mode": ("calm", "wild"), "level": (1, 2, 3)}


@pytest.mark.parametrize(
    ("key", "given", "taken"),
    [
        ("size", "12", 12),
        ("size", 12.0, 12),
        ("size", np.int64(12), 12),
        ("slip", "0.25", 0.25),
        ("slip", 1, 1.0),
        ("slip", "1e-3", 0.001),
        ("bold", "true", True),
        ("bold", "No", False),
        ("bold", 1, True),
        ("mode", "wild", "wild"),
        ("level", "2", 2),
        ("level", 3, 3),
        ("max_steps", "7", 7),
    ],
)
def test_options_take_their_defaults_type(key, given, taken):
    settled = settle(DEFAULTS, {key: given}, "")
    assert settled[key] == taken
    assert type(settled[key]) is type(taken)


def test_defaults_and_the_first_of_the_choices():
    assert settle(DEFAULTS, {}, "") == {
        "size": 10, "slip": 0.0, "bold": False, "mode": "calm", "level": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [
        ("size", "big", "env.size must be a whole number, not 'big'"),
        ("size", 1.5, "env.size must be a whole number, not 1.5"),
        ("size", "inf", "env.size must be a whole number"),
        ("size", None, "env.size must be a whole number"),
        ("slip", "nan", "env.slip must be a number, not 'nan'"),
        ("slip", [1], "env.slip must be a number"),
        ("bold", "perhaps", "env.bold must be true or false"),
        ("mode", "wilde", "env.mode must be one of calm, wild, not 'wilde'"),
        ("level", 4, "env.level must be one of 1, 2, 3, not 4"),
        ("max_steps", "-1.5", "env.max_steps must be a whole number"),
        ("sise", 3, "there is no option env.sise; did you mean 'size'"),
        ("qqq", 3, "there is no option env.qqq; known: bold, level, max_steps, mode, size, slip"),
        ("reward", "fast", "env.reward must name a function, FILE.py:function"),
    ],
)
def test_options_that_cannot_be(key, given, said):
    with pytest.raises(UserError) as caught:
        settle(DEFAULTS, {key: given}, "here: ")
    assert str(caught.value).startswith("here: " + said)


def test_a_negative_limit_is_told():
    with pytest.raises(UserError, match="`max_steps` must be a whole number, 0 for none, not -1"):
        read(chosen={"max_steps": -1})


def test_text_options_stay_text():
    assert coerce(3, "name", "") == "3"


# Written with and without world


def with_world(state, action, rng, world):
    return world.worth, True


def test_functions_take_world_or_not_each_for_itself():
    for engine in ("python", "numba"):
        environment = read(step=with_world, world={"worth": 2.5}, score=seven, truncated=never)
        batch = registry.batch(environment, 2, 0, engine)
        batch.reset()
        assert batch.step([0, 1])[1].tolist() == [2.5, 2.5]
        assert batch.last_score.tolist() == [7.0, 7.0]


def seven(state):
    return 7.0 + state.x


def never(state, world):
    return world.worth < 0.0


def test_planes_have_as_many_numbers_as_are_seen():
    assert read(planes=(3, 1, 1)).planes == (3, 1, 1, False)
    assert read(planes=(1, 1, 3, True)).planes.channels_last
    assert read().planes is None
    for wrong in ((3, 1), (2, 1, 1), (0, 1, 3), "abc", 3):
        with pytest.raises(UserError, match=r"`planes` must be \(channels, rows, columns\)"):
            read(planes=wrong)


def test_practice_gives_numbers_of_the_world_other_values():
    found = read(options={"worth": 0.5}, practice={"worth": 2.0})
    assert found.world_values["worth"] == 0.5
    assert found.practised.world_values["worth"] == 2.0
    assert found.practised.practised.world_values == found.practised.world_values
    for wrong in (3, {"worth": 2}, {"wealth": 2.0}, {"worth": "much"}):
        with pytest.raises(UserError, match="`practice`"):
            read(options={"worth": 0.5}, practice=wrong)
