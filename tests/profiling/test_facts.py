"""What the rules are told of a run: seconds by expression, calls, kinds, and what is left out."""

from __future__ import annotations

import ast
import textwrap
from types import SimpleNamespace

import pytest
from synthetic import call, find, held, lib, make_raw

from qlearn.profiling.facts import build, short_name
from qlearn.profiling.findings import Finding, collect, gain_limit

SCRIPT = textwrap.dedent(
    """
    import random
    from collections import deque

    import matplotlib.pyplot as plt
    import numpy as np


    class Agent:
        def __init__(self):
            self.Q = {(0, 0): 0.0}
            self.memory = deque(maxlen=10)
            self.new_Q = make()

        def choose(self, s):
            return np.random.choice([0, 1])

        def learn(self, episodes):
            for _ in range(episodes):
                a = self.choose(0)
                self.new_Q[(0, a)] = round(1.5, 3)
                self.Q = self.new_Q.copy()
                self.memory.append(a)
                other = {}.copy()


    def once():
        return abs(1)


    agent = Agent()
    once()
    agent.learn(10)
    plt.plot([1])
    """
)
LEARN = "agent.learn(10)"


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "q.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def facts(tmp_path, script):
    rows = [
        (0.5, "import numpy as np", ("<frozen importlib._bootstrap>", "_find_and_load")),
        (1.0, LEARN, "self.choose(0)", "np.random.choice([0, 1])"),
        (0.5, LEARN, "self.choose(0)", "[0, 1]"),
        (2.0, LEARN, "self.new_Q.copy()"),
        (0.5, LEARN, "round(1.5, 3)"),
        (0.25, "once()", "abs(1)"),
        (3.0, "plt.plot([1])", lib("matplotlib/pyplot.py", "plot")),
    ]
    learn, choose = SCRIPT_LINES["learn"], SCRIPT_LINES["choose"]
    calls = [
        call(script, 1, "<module>", 1),
        call(script, learn, "Agent.learn", 1, [(0, 1)]),
        call(script, choose, "Agent.choose", 1000, [(1, 1000)]),
        call("~", 0, "<built-in method builtins.round>", 1000, [(1, 1000)]),
        call("~", 0, "<method 'copy' of 'dict' objects>", 2000, [(1, 2000)]),
        call("~", 0, "<method 'choice' of 'numpy.random.mtrand.RandomState' objects>", 1000,
             [(2, 1000)]),
    ]  # fmt: skip
    seen = [
        held(script, "Agent.learn", "self.new_Q", "dict", 100, key="tuple"),
        held(script, "Agent.learn", "a", "int"),
    ]
    return build(make_raw(tmp_path, script, rows, calls=calls, seen=seen))


SCRIPT_LINES = {
    node.name: node.lineno
    for node in ast.walk(ast.parse(SCRIPT))
    if isinstance(node, ast.FunctionDef)
}


def site(facts, script, text):
    return facts.site_of(str(script), find(facts.source(str(script)), text))


def test_imports_and_the_final_plot_are_not_work(facts):
    assert facts.total_seconds == pytest.approx(7.75)
    assert facts.working_seconds == pytest.approx(4.25)
    assert facts.stages["plotting"] == pytest.approx(3.0)


def test_a_plot_in_the_loop_is_work(tmp_path, script):
    text = SCRIPT.replace("other = {}.copy()", "plt.plot([2])")
    script.write_text(text)
    plot = lib("matplotlib/pyplot.py", "plot")
    rows = [(1.0, LEARN, "plt.plot([2])", plot), (1.0, LEARN, "round(1.5, 3)")]
    other = tmp_path / "in_loop.py"
    other.write_text(text)
    assert build(make_raw(tmp_path, other, rows)).working_seconds == pytest.approx(2.0)


def test_seconds_are_those_in_an_expression_and_below_it(facts, script):
    assert site(facts, script, "np.random.choice([0, 1])").seconds == pytest.approx(1.5)
    assert site(facts, script, "[0, 1]").seconds == pytest.approx(0.5)
    assert site(facts, script, "self.choose(0)").seconds == pytest.approx(1.5)
    assert site(facts, script, LEARN).seconds == pytest.approx(4.0)
    assert site(facts, script, "self.new_Q.copy()").share == pytest.approx(2.0 / 4.25)


def test_sites_come_the_dearest_first_and_those_without_time_too(facts):
    calls = facts.sites(ast.Call)
    assert calls[0].text == LEARN
    assert [s.seconds for s in calls] == sorted((s.seconds for s in calls), reverse=True)
    assert "make()" in {s.text for s in calls if not s.seconds}


def test_calls_are_counted_where_they_are_made(facts, script):
    assert site(facts, script, "round(1.5, 3)").calls == 1000
    assert site(facts, script, "np.random.choice([0, 1])").calls == 1000
    assert site(facts, script, "self.choose(0)").calls == 1000
    assert site(facts, script, "make()").calls is None


def test_calls_of_one_name_are_shared_by_what_they_took(facts, script):
    assert site(facts, script, "self.new_Q.copy()").calls == 2000
    assert site(facts, script, "{}.copy()").calls == 0


def test_calls_without_a_caller_belong_to_what_was_running_already(tmp_path, script):
    """Counting in windows never sees the call of a function that runs all the time."""
    rows = [(1.0, LEARN, "round(1.5, 3)"), (1.0, LEARN, "self.choose(0)", "[0, 1]")]
    calls = [
        call("~", 0, "<built-in method builtins.round>", 500),
        call(script, SCRIPT_LINES["choose"], "Agent.choose", 500),
    ]
    facts = build(make_raw(tmp_path, script, rows, calls=calls, calls_observed=0.04))
    assert site(facts, script, "round(1.5, 3)").calls == 500
    assert site(facts, script, "self.choose(0)").calls == 500


def test_loops_are_those_around_it_and_those_around_its_callers(facts, script):
    assert site(facts, script, "self.new_Q.copy()").loops == 1
    assert site(facts, script, "np.random.choice([0, 1])").loops == 1
    assert site(facts, script, "abs(1)").loops == 0
    assert facts.called_in_loop(str(script), "Agent.choose")
    assert not facts.called_in_loop(str(script), "Agent.learn")


def test_functions(facts):
    by_name = {function.name: function for function in facts.functions}
    assert by_name["Agent.learn"].seconds == pytest.approx(4.0)
    assert by_name["Agent.learn"].self_seconds == pytest.approx(2.5)
    assert by_name["Agent.choose"].calls == 1000
    assert by_name["Agent.learn"].hot
    assert by_name["<module>"].seconds == pytest.approx(7.75)
    assert "Agent.__init__" not in by_name


def test_calls_to_finds_what_is_meant_whatever_it_is_called(facts):
    def texts(*names):
        return {site.text for site in facts.calls_to(*names)}

    assert texts("numpy.random.choice") == {"np.random.choice([0, 1])"}
    assert texts("round", "abs") == {"round(1.5, 3)", "abs(1)"}
    assert texts("*.copy") == {"self.new_Q.copy()", "{}.copy()"}
    assert texts("dict.copy") == {"self.new_Q.copy()"}
    assert texts("deque.append") == {"self.memory.append(a)"}
    assert texts("list.append") == set()


def test_what_a_name_held_is_found_from_any_method(facts):
    held_there = facts.seen("Agent.choose", "self.new_Q")
    assert (held_there.kind, held_there.size, held_there.detail["key"]) == ("dict", 100, "tuple")
    assert facts.seen("Agent.learn", "a").kind == "int"
    assert facts.seen("Agent.choose", "a") is None


def test_what_was_never_looked_at_is_told_by_what_makes_it(facts):
    assert facts.seen("Agent.learn", "self.memory").kind == "deque"
    assert facts.seen("Agent.learn", "self.nothing") is None


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("<built-in method builtins.round>", "round"),
        ("<built-in method torch.tensor>", "tensor"),
        ("<method 'copy' of 'dict' objects>", "copy"),
        ("<built-in method gather of type object at 0x7f00>", "gather"),
        ("Agent.learn", "learn"),
        ("train", "train"),
        ("<module>", "<module>"),
        ("f.<locals>.<lambda>", "<lambda>"),
    ],
)
def test_short_names(written, name):
    assert short_name(written) == name


# --- findings


def rule(*findings):
    return SimpleNamespace(find=lambda facts: iter(findings))


def test_findings_below_the_floor_are_not_worth_a_word(facts):
    small = Finding("round", "q.py", 1, "", seconds=0.04)
    large = Finding("round", "q.py", 2, "", seconds=0.05)
    assert collect(facts, [rule(small, large)]) == [large]


def test_the_dearest_finding_comes_first_and_says_the_most_it_can_gain(facts):
    cheap = Finding("a", "q.py", 1, "", seconds=0.425)
    dear = Finding("b", "q.py", 2, "", seconds=2.125)
    assert collect(facts, [rule(cheap), rule(dear)]) == [dear, cheap]
    assert (dear.share, dear.gain_limit) == (pytest.approx(0.5), pytest.approx(2.0))


def test_one_place_is_told_once(facts):
    first = Finding("a", "q.py", 1, "first", seconds=1.0)
    second = Finding("a", "q.py", 1, "second", seconds=2.0)
    assert [f.evidence for f in collect(facts, [rule(first, second)])] == ["second"]


def test_all_of_a_run_could_go(facts):
    everything = Finding("a", "q.py", 1, "", seconds=99.0)
    collect(facts, [rule(everything)])
    assert everything.share == 1.0
    assert gain_limit(1.0) == float("inf")
    assert everything.report()["gain_limit"] is None
