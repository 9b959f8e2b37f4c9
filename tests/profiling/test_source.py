"""What stands at a position of a file, what encloses it, and what its names mean."""

from __future__ import annotations

import ast
import json
import random
import textwrap

import pytest
from synthetic import find

from qlearn.profiling.source import Source, last_name, library, source_of, words

SCRIPT = textwrap.dedent(
    """
    import numpy as np
    import torch.nn.functional as F
    from collections import deque
    from random import sample as draw

    choose = np.random.choice
    memory = deque(maxlen=100)


    class Agent:
        def __init__(self):
            self.Q = {}

        @property
        def best(self):
            return max(self.Q.values())

        def act(self, state):
            äöü = "größer"; value = self.Q.get((state, äöü), 0)
            return choose([a for a in range(4) if value])

        def replay(self):
            while memory:
                for s, a in draw(memory, 2):
                    loss = F.mse_loss(s, a)
                else:
                    print("done")

            def inner(x):
                return round(x)


    def train():
        agent = (Agent()
                 .act(1))
        round = len
        return [y for x in memory for y in x.items()]
    """
)


@pytest.fixture(scope="module")
def source():
    return Source("script.py", SCRIPT)


def span(node):
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def test_every_expression_is_found_at_its_own_place(source):
    places = {}
    for node in ast.walk(source.tree):  # from outside in: the last at a place is the innermost
        if isinstance(node, (ast.expr, ast.stmt)):
            places[span(node)] = node
    assert len(places) > 80
    for place, node in places.items():
        found = source.node_at(*place)
        assert found is node or span(found) == place


def test_columns_count_bytes_as_python_does(source):
    node = find(source, "self.Q.get((state, äöü), 0)")
    assert node.col_offset != SCRIPT.splitlines()[node.lineno - 1].index("self.Q.get")
    assert source.node_at(*span(node)) is node


def test_without_columns_the_statement_of_the_line_is_found(source):
    node = find(source, "F.mse_loss(s, a)")
    found = source.node_at(node.lineno, node.lineno, -1, -1)
    assert isinstance(found, ast.Assign)
    assert source.text(found) == "loss = F.mse_loss(s, a)"


def test_a_call_that_begins_at_its_attribute_is_the_call(source):
    act = next(
        n for n in ast.walk(source.tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "act"
    )  # fmt: skip
    line = act.end_lineno
    begins = SCRIPT.splitlines()[line - 1].index("act")
    assert source.node_at(line, line, begins, act.end_col_offset) is act


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("choose([a for a in range(4) if value])", "numpy.random.choice"),
        ("F.mse_loss(s, a)", "torch.nn.functional.mse_loss"),
        ("draw(memory, 2)", "random.sample"),
        ("deque(maxlen=100)", "collections.deque"),
        ("self.Q.values()", "self.Q.values"),
        ("x.items()", "x.items"),
        ('print("done")', "print"),
    ],
)
def test_names_are_resolved_through_imports_and_aliases(source, text, name):
    assert source.resolve(find(source, text)) == name


NAMED = textwrap.dedent(
    """
    import random
    import numpy as np

    rng = np.random
    pick = random.choice


    class Agent:
        def __init__(self, rand=np.random, *, chance=random, memory=None):
            self.rand = rand
            self.chance = chance
            self.memory = memory

        def act(self, actions):
            return self.rand.choice(actions), self.chance.random(), self.memory.sample(2)


    def play(rand=np.random, table=None):
        def inner():
            return rand.randint(4)
        return inner() + table.max() + rng.rand()


    def draw(rng):
        return rng.uniform()


    def again(pick=random.sample):
        pick = pick or random.choices
        return pick(range(3))


    def last():
        return pick(range(4))
    """
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rand.randint(4)", "numpy.random.randint"),  # of a def around
        ("rng.rand()", "numpy.random.rand"),
        ("self.rand.choice(actions)", "numpy.random.choice"),
        ("self.chance.random()", "random.random"),
        ("self.memory.sample(2)", "self.memory.sample"),
        ("table.max()", "table.max"),
        ("rng.uniform()", "rng.uniform"),  # another's, of the same name
        ("pick(range(3))", "pick"),  # of two things
        ("pick(range(4))", "random.choice"),
    ],
)
def test_modules_are_seen_through_defaults_and_attributes(text, name):
    source = Source("named.py", NAMED)
    assert source.resolve(find(source, text)) == name


def test_a_name_that_a_function_changes_for_all_stands_for_nothing():
    text = "import random\nr = random\ndef f():\n    global r\n    r = object()\nr.choice(1)\n"
    source = Source("changed.py", text)
    assert source.resolve(find(source, "r.choice(1)")) == "r.choice"


def test_what_the_file_names_itself_is_no_builtin(source):
    assert source.is_builtin("print")
    assert not source.is_builtin("round")
    assert not source.is_builtin("agent")


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("F.mse_loss(s, a)", ["For", "While"]),
        ("draw(memory, 2)", ["While"]),
        ('print("done")', ["While"]),
        ("round(x)", []),
        ("range(4)", []),
        ("x.items()", ["ListComp"]),
        ("self.Q.values()", []),
    ],
)
def test_loops_are_those_that_repeat_the_node(source, text, loops):
    assert [type(loop).__name__ for loop in source.loops(find(source, text))] == loops


def test_names_of_functions_are_pythons(source):
    assert dict(source.functions()).keys() == {
        "Agent.__init__", "Agent.best", "Agent.act", "Agent.replay",
        "Agent.replay.<locals>.inner", "train",
    }  # fmt: skip
    assert source.qualname(source.function_of(find(source, "round(x)"))).endswith("inner")
    assert source.qualname(source.function_of(find(source, "deque(maxlen=100)"))) == "<module>"


def test_code_objects_find_their_def(source):
    code = compile(SCRIPT, "script.py", "exec")

    def codes(of):
        for one in of.co_consts:
            if hasattr(one, "co_code"):
                yield one
                yield from codes(one)

    known = dict(source.functions())
    checked = 0
    for one in codes(code):
        owner = source.owner(one.co_firstlineno, one.co_qualname)
        if one.co_qualname in known:
            assert owner is known[one.co_qualname]
            checked += 1
        elif one.co_qualname.endswith("<listcomp>"):
            assert source.qualname(owner) == one.co_qualname.removesuffix(".<locals>.<listcomp>")
    assert checked == len(known)


def test_assigned_values_are_found_wherever_they_are(source):
    assert [source.text(value) for value in source.assigned("self.Q")] == ["{}"]
    assert list(source.assigned("nothing")) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("update_target", ["update", "target"]),
        ("updateTarget", ["update", "target"]),
        ("DQNAgent", ["dqn", "agent"]),
        ("Linear_QNet", ["linear", "q", "net"]),
        ("Q2", ["q"]),
        ("_", []),
    ],
)
def test_words(name, expected):
    assert words(name) == expected


@pytest.mark.parametrize(
    ("text", "name"), [("self.Q[s, a]", "Q"), ("Q.copy()", "Q"), ("f(x)", "f"), ("1 + 2", "")]
)
def test_last_name(text, name):
    assert last_name(ast.parse(text, mode="eval").body) == name


def test_libraries_and_the_users_own_files(tmp_path):
    assert library(str(tmp_path / "train.py")) is None
    assert library(random.__file__) == "random"
    assert library(json.__file__) == "json"
    assert library("/somewhere/site-packages/torch/optim/adam.py") == "torch.optim.adam"
    assert library("<frozen importlib._bootstrap>") == "importlib._bootstrap"
    assert library("~") is not None
    import qlearn.rng

    assert library(qlearn.rng.__file__) == "qlearn.rng"


def test_what_is_no_python_has_no_source(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    assert source_of(str(broken)) is None
    assert source_of(str(tmp_path / "missing.py")) is None
