"""Generated text means what the functions it was collected from mean."""

from __future__ import annotations

import collections
import enum
import functools
import importlib.util
import linecache
import math
import math as m
import random
import re
from math import pi, sin

import numpy as np
import pytest
from numba import njit
from numpy import linalg
from numpy import sqrt as root

import qlearn.rng
import qlearn.rng as streams
from qlearn.errors import UserError
from qlearn.kernels.marks import cold
from qlearn.kernels.text import LARGEST_ARRAY, PREAMBLE, ModuleText

SIX = 6
NOT_A_NUMBER = math.nan
INFINITE = math.inf
NUMPY_NAN = np.float64("nan")
NUMPY_INF = np.float32("-inf")
NARROW = np.int8(100)
FLAG = np.bool_(True)
PAIR = (1, (2.5, -math.inf))
SMALL = np.array([[1, 2], [3, 4]], np.int16)
WITH_INF = np.array([math.inf, -math.inf, 2.0])
FLAGS = np.array([True, False])
LARGE = np.zeros(LARGEST_ARRAY + 1)
NUMBERS = [1, 2, 3]
Point = collections.namedtuple("Point", "x y")
CORNER = Point(1.5, Point(7, 8))


class Colour(enum.IntEnum):
    RED = 4
    BLUE = 5


class Mode(enum.Enum):
    SLOW = "slow"
    FAST = 9


class Constants:
    G = 9.81

    class Inner:
        DEPTH = 2

    @staticmethod
    def twice(x):
        return 2 * x


def helper(x):
    return x + SIX


def outer_helper(x):
    return helper(x) * helper(x)


@njit
def jitted(x):
    return x * SIX


def module_text(decorate=lambda function: "", **options):
    return ModuleText(options.pop("bind", {}), decorate, **options)


def generated(function, **options):
    """The function as it is in the generated module, run by the interpreter."""
    text = module_text(**options)
    name = text.add(function)
    space: dict = {}
    exec(compile(text.render(), "kernel.py", "exec"), space)
    return space[name]


def same(function, *arguments):
    np.testing.assert_equal(generated(function)(*arguments), function(*arguments))


def source(tmp_path, text, name="source.py"):
    """A module of exactly this text."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"text_{tmp_path.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    linecache.clearcache()
    return module


# What is reached


def test_helpers_of_helpers_come_along_once():
    def f(x):
        return outer_helper(x) + helper(x)

    text = module_text()
    text.add(f)
    assert text.render().count("def helper__") == 1
    same(f, 3)


def test_helpers_of_other_modules_by_every_way_of_importing():
    def f(rng):
        return streams.word(rng) + qlearn.rng.integers(rng, 10) + m.floor(streams.uniform(rng))

    assert generated(f)(streams.stream(1)) == f(streams.stream(1))


def test_same_names_in_two_modules_stay_apart(tmp_path):
    one = source(tmp_path, "K = 1\ndef helper(x):\n    return x + K\n", "one.py")
    two = source(tmp_path, "K = 2\ndef helper(x):\n    return x * K\n", "two.py")
    first, second = one.helper, two.helper

    def f(x):
        return first(x) * 100 + second(x) * 10 + helper(x)

    same(f, 5)


def test_libraries_under_other_names():
    def f(x):
        return m.cos(x) + math.pi + sin(x) + pi + np.float32(x) + root(x) + linalg.norm(SMALL)

    same(f, 0.5)


def test_attributes_of_classes_and_classes_in_classes():
    def f(x):
        return Constants.twice(x) * Constants.G + Constants.Inner.DEPTH

    same(f, 2)


def test_compiled_helpers_give_their_plain_text():
    def f(x):
        return jitted(x) + 1

    same(f, 2)
    assert "njit" not in module_text_of(f)


def test_decorators_are_left_behind():
    def f(rng):
        return streams.refill(rng)

    assert "cold" not in module_text_of(f)
    assert streams.refill.__cold__


def test_marked_functions_are_decorated_by_their_mark():
    @cold
    def rare(x):
        return x

    def f(x):
        return rare(x)

    text = module_text(lambda function: f"# cold={getattr(function, '__cold__', False)}")
    text.add(f)
    assert "# cold=True\ndef rare__1" in text.render()
    assert "# cold=False\ndef f__1" in text.render()


def module_text_of(function):
    text = module_text()
    text.add(function)
    return text.render()[len(PREAMBLE) :]


def test_placeholders_are_replaced_wherever_they_are_mentioned():
    def other(x):
        return -x

    def f(x):
        return outer_helper(x) + helper(x)

    assert generated(f, bind={helper: other})(3) == 9 - 3


def test_closures_keep_their_own_values():
    def maker(a):
        def inner(x):
            return x * a

        return inner

    two, three = maker(2), maker(3)

    def f(x):
        return two(x) * 10 + three(x)

    same(f, 1)


def test_recursion_and_mutual_recursion():
    def f(n):
        return factorial(n) + even(n)

    same(f, 6)


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def test_static_methods_of_a_class_by_name():
    assert generated(Constants.__dict__["twice"])(4) == 8


# Constants


def test_constants_of_every_kind():
    def f():
        return (
            SIX, NOT_A_NUMBER, INFINITE, -INFINITE, NUMPY_NAN, NUMPY_INF, FLAG, PAIR,
            Colour.RED, Colour.BLUE.value, Mode.FAST.value, CORNER.x, CORNER.y.x, True, None,
        )  # fmt: skip

    same(f)


def test_numpy_scalars_keep_their_type():
    def f():
        return NARROW

    assert type(generated(f)()) is np.int8


def test_small_arrays_keep_values_shape_and_type():
    for array in (SMALL, WITH_INF, FLAGS):

        def f():
            return array  # noqa: B023

        copy = generated(f)()
        np.testing.assert_array_equal(copy, array)
        assert copy.dtype == array.dtype


def test_the_text_changes_with_a_constant_and_with_a_helper(tmp_path):
    texts = set()
    for constant, operator in (("1", "+"), ("2", "+"), ("1", "-")):
        module = source(
            tmp_path,
            f"K = {constant}\ndef helper(x):\n    return x {operator} K\n"
            "def f(x):\n    return helper(x)\n",
            f"module_{len(texts)}.py",
        )
        texts.add(module_text_of(module.f))
    assert len(texts) == 3


def test_default_values_are_those_python_kept():
    functions = []
    for k in (1, 2):

        def f(x, k=k, *, name=SIX):
            return x * k + name

        functions.append(f)
    for f in functions:
        same(f, 10)


def test_default_value_out_of_the_class_body(tmp_path):
    module = source(
        tmp_path, "class A:\n    SIZE = 5\n    def f(x, size=SIZE):\n        return x * size\n"
    )
    same(module.A.f, 3)


# Text


def test_names_of_local_variables_hide_globals():
    def f(helper, SIX=2):
        m = helper + SIX
        return m

    same(f, 1)


def test_names_of_inner_scopes_do_not_hide_globals():
    def f(x):
        g = lambda SIX: SIX + 1  # noqa: E731
        inner = [2 * SIX for SIX in (1, 2)]
        return g(x) + SIX + inner[0]

    same(f, 1)


def test_inner_functions_and_their_default_values():
    def f(x):
        def g(y, k=SIX):
            return helper(y) * k

        return g(x)

    same(f, 1)


def test_a_helper_named_like_a_builtin(tmp_path):
    module = source(
        tmp_path, "def abs(x):\n    return 7 * x\ndef f(x):\n    return abs(x) + max(x, 1)\n"
    )
    same(module.f, -1)


def test_matches_handlers_and_walrus_bind_names():
    def f(x):
        try:
            if (k := x) > 0:
                match k:
                    case 1 as one:
                        return one + SIX
                    case other:
                        return other
        except ValueError as error:
            return error
        return k

    same(f, 1)
    same(f, 2)
    same(f, -1)


def test_expressions_over_several_lines():
    def f(x):
        y = (
            Constants  # a comment
            .Inner
            .DEPTH
        ) + (m
             .sin(x)) + SIX  # fmt: skip
        return y \
            + Constants. \
            G + SIX  # fmt: skip

    same(f, 0.3)


def test_columns_are_counted_in_bytes():
    def f(x):
        return "äöü", SIX, "日本", helper(x), "😀", SIX

    same(f, 1)


def test_odd_characters_do_not_shift_lines(tmp_path):
    module = source(tmp_path, 'K = 3\ndef f(x):\n    s = "a\u2028b\x0c"\n    return x + K, s\n')
    same(module.f, 1)


def test_comments_and_text_left_of_the_function(tmp_path):
    module = source(
        tmp_path,
        "K = 3\nclass A:\n    def f(x):\n# left\n        '''doc\nleft too'''\n        return x + K\n",
    )
    same(module.A.f, 1)


def test_tabs_and_wide_gaps(tmp_path):
    module = source(tmp_path, "K = 3\nclass A:\n\tdef   f(x):\n\t\treturn x + K\n")
    same(module.A.f, 1)


def test_annotations_are_not_looked_up(tmp_path):
    module = source(
        tmp_path,
        "from __future__ import annotations\n"
        "def f(x: Nothing, *rest: Nowhere) -> Undefined:\n    y: Never = x + 1\n    return y\n",
    )
    assert generated(module.f)(1) == 2


def test_messages_show_their_template():
    def f(x):
        if x > 3:
            raise ValueError(f"{x} is more than {SIX!r:>3} or so")
        return x

    with pytest.raises(ValueError, match=r"^\{x\} is more than \{SIX!r:>3\} or so$"):
        generated(f)(4)


def test_lines_lead_back_to_the_source(tmp_path):
    module = source(
        tmp_path,
        "import math\n\n\ndef helper(x):\n    # one\n    return math.sin(x)  # helper's\n\n\n"
        "class A:\n    @staticmethod\n    def f(x):\n        y = (\n            helper(x)  # f's\n"
        "        )\n        return y\n",
    )
    text = module_text(lambda function: "# decorated")
    text.add(module.A.f, "# entry\n# of two lines")
    lines = text.render().splitlines()
    for mark, line, name in (("# helper's", 6, "helper"), ("# f's", 13, "A.f")):
        (number,) = [n for n, row in enumerate(lines, 1) if mark in row]
        place = text.locate(number)
        assert (place.line, place.name) == (line, name)
        assert place.file == str(tmp_path / "source.py")
    assert text.locate(1) is None


def test_all_lines_of_the_snake_lead_back():
    from qlearn.envs.builtin.snake import Snake

    text = module_text(lambda function: "# x")
    text.add(Snake.step)
    text.add_line("A = 1\n")
    text.add(Snake.reset)
    found = 0
    for number, row in enumerate(text.render().splitlines(), 1):
        if (place := text.locate(number)) is not None:
            there = linecache.getline(place.file, place.line)
            assert re.sub(r"(\w+?)__\d+\b", r"\1", row).strip() == there.strip()
            found += 1
    assert found > 80


# What cannot be


def refused(function):
    with pytest.raises(UserError) as caught:
        generated(function)
    return str(caught.value)


def place_of(function, offset):
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}: "


def test_undefined_names_are_told_with_their_line():
    def f(x):
        y = x
        return nothing(y)  # noqa: F821

    assert refused(f) == place_of(f, 2) + "f uses 'nothing', which is not defined"


def test_undefined_attributes_are_told_with_their_line():
    def f(x):
        return streams.nothing(x)

    assert refused(f) == place_of(f, 1) + "f uses 'streams.nothing', which does not exist"


def test_global_statements_are_told_with_their_line():
    def f(x):
        global SIX
        SIX = x

    assert refused(f) == place_of(f, 1) + "f changes a global; keep what changes in `state`"


def test_writing_to_a_module_or_class_is_told_with_its_line():
    def f(x):
        Constants.G = x

    assert refused(f) == place_of(f, 1) + "f changes Constants.G; keep it in `state`"


def test_imports_inside_are_told_with_their_line():
    def f(x):
        import math

        return math.sin(x)

    assert refused(f).startswith(place_of(f, 1) + "f imports")


def test_large_arrays_are_told_with_their_line_and_size():
    def f(x):
        return LARGE[x]

    assert refused(f).startswith(
        place_of(f, 1) + "f uses the large global array 'LARGE' (1,025 numbers"
    )


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {1}])
def test_lists_are_told_with_what_works(value):
    def f():
        return value

    said = refused(f)
    assert said.startswith(place_of(f, 1) + f"f uses the global {type(value).__name__} 'value'")
    assert "a tuple of numbers" in said


def test_objects_are_told_by_their_type():
    thing = object()

    def f():
        return thing

    assert "f uses the global 'thing' of type object" in refused(f)


def test_other_random_generators_are_refused():
    draw = random.random
    generator = np.random.default_rng(0)

    def one(x):
        return np.random.random()  # noqa: NPY002

    def two(x):
        return random.randint(0, 1)

    def three(x):
        return draw()

    def four(x):
        return generator.random()

    assert refused(one) == (
        place_of(one, 1) + "one draws from 'np.random.random'; draw from `rng` with qlearn.rng"
    )
    for f in (two, three):
        assert "draw from `rng`" in refused(f)
    refused(four)


def test_wrapped_functions_are_refused():
    def louder(function):
        @functools.wraps(function)
        def inner(x):
            return function(x) * 10

        return inner

    @louder
    def f(x):
        return x

    assert "a decorator has put another function in the place of" in refused(f)


def test_lambdas_and_texts_that_are_nowhere():
    assert "must be written with `def`" in refused(lambda x: x)
    space: dict = {}
    exec("def f(x):\n    return x\n", space)
    assert "put it in a file" in refused(space["f"])
